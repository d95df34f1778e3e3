package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/monitor"
)

// sighting is a checkpoint that somebody has seen.
type sighting struct {
	translog.Checkpoint

	where string
}

// lastSeen returns the newest checkpoint of a policy's log among those that
// others have seen, with the signature lines of all who have seen the same, and
// all of them, each signed by the log's key.
func lastSeen(ctx context.Context, p *policy.Policy, from []string) (note []byte, all []sighting, err error) {
	var newest translog.Checkpoint
	for _, where := range from {
		signed, err := readSeen(ctx, p.Log.Origin, where)
		if err != nil {
			return nil, nil, err
		}
		c, err := translog.OpenCheckpoint(signed, p.Log.Key)
		if err != nil {
			return nil, nil, &failure{code: exitUnverified, cause: fmt.Errorf("%s: %w", where, err)}
		}
		all = append(all, sighting{c, where})
		switch {
		case note == nil || c.Size > newest.Size:
			newest, note = c, signed
		case c.Size == newest.Size && c.Root != newest.Root:
			return nil, nil, hinted(&failure{code: exitUnverified, cause: fmt.Errorf("%s: another tree of %d entries, root %v, than one seen before it, root %v", where, c.Size, c.Root, newest.Root)},
				twoHistories)
		case c == newest:
			note = withLines(note, signed)
		}
	}
	if _, err := openUnder(p, note); err != nil {
		return nil, nil, hinted(&failure{code: exitUnverified, cause: fmt.Errorf("checkpoint of %d entries from %s: %w", newest.Size, strings.Join(from, ", "), err)},
			"name more witnesses with --last")
	}
	return note, all, nil
}

const twoHistories = "the log's key has signed two histories: publish both checkpoints"

// holds reports an error unless a tree, which continues the newest of some
// checkpoints, continues them all.
func holds(ctx context.Context, tree monitor.Tree, all []sighting) error {
	for _, c := range all {
		root, err := tree.Root(ctx, c.Size)
		if err != nil {
			return err
		}
		if root != c.Root {
			return hinted(&failure{code: exitUnverified, cause: fmt.Errorf("%s: a tree of %d entries, root %v, that the newer checkpoint does not continue", c.where, c.Size, c.Root)},
				twoHistories)
		}
	}
	return nil
}

// readSeen reads a checkpoint from a file, or asks a witness for it.
func readSeen(ctx context.Context, origin, where string) ([]byte, error) {
	if !strings.Contains(where, "://") {
		return readFile(where, translog.MaxCheckpoint)
	}
	witness, err := monitor.Open(where)
	if err != nil {
		return nil, usage(fmt.Errorf("--last: %w", err))
	}
	signed, err := witness.Get(ctx, attest.SHA256([]byte(origin)).String()+"/checkpoint", translog.MaxCheckpoint)
	if errors.Is(err, monitor.ErrMissing) {
		return nil, fmt.Errorf("the witness knows of no checkpoint of %s: %w", origin, err)
	}
	return signed, err
}

// withLines adds to a note those signature lines under the same text that it lacks.
func withLines(note, same []byte) []byte {
	end := []byte("\n\n") // of the text
	for line := range bytes.Lines(same[bytes.LastIndex(same, end)+len(end):]) {
		if !bytes.Contains(note, append([]byte("\n"), line...)) {
			note = append(note, line...)
		}
	}
	return note
}
