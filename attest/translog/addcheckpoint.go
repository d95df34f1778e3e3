package translog

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxAddCheckpoint bounds a request to a witness, in bytes.
const MaxAddCheckpoint = MaxCheckpoint + 4<<10

const oldPrefix = "old "

// AddCheckpoint is what a log asks of a witness (C2SP tlog-witness, the body of
// add-checkpoint): to cosign a signed checkpoint whose tree provably continues
// the tree of the size that the witness cosigned last.
type AddCheckpoint struct {
	Old        int64       // the size that the witness cosigned last; 0 if none or not known
	Proof      []tlog.Hash // from Old to the checkpoint's size
	Checkpoint []byte      // signed note, byte for byte
}

func (r AddCheckpoint) check() error {
	if r.Old < 0 || r.Old > MaxTreeSize {
		return malformed("old size %d, 0 to %d allowed", r.Old, int64(MaxTreeSize))
	}
	if len(r.Proof) > MaxConsistency {
		return malformed("consistency proof of %d hashes, at most %d allowed", len(r.Proof), MaxConsistency)
	}
	if len(r.Checkpoint) == 0 || len(r.Checkpoint) > MaxCheckpoint {
		return malformed("checkpoint of %d bytes, 1 to %d allowed", len(r.Checkpoint), MaxCheckpoint)
	}
	return nil
}

// Marshal returns the body of the request.
func (r AddCheckpoint) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%d\n", oldPrefix, r.Old)
	for _, h := range r.Proof {
		fmt.Fprintf(&b, "%s\n", h)
	}
	b.WriteByte('\n')
	b.Write(r.Checkpoint)
	return b.Bytes()
}

// ParseAddCheckpoint reads the body of a request. It verifies nothing and takes
// only the spelling that Marshal writes; the checkpoint is kept as it is.
func ParseAddCheckpoint(data []byte) (AddCheckpoint, error) {
	r, err := parseAddCheckpoint(data)
	if err != nil {
		return AddCheckpoint{}, fmt.Errorf("parsing add-checkpoint request: %w", err)
	}
	return r, nil
}

func parseAddCheckpoint(data []byte) (AddCheckpoint, error) {
	if len(data) > MaxAddCheckpoint {
		return AddCheckpoint{}, malformed("%d bytes, at most %d allowed", len(data), MaxAddCheckpoint)
	}
	head, checkpoint, found := bytes.Cut(data, []byte("\n\n"))
	old, known := strings.CutPrefix(string(head), oldPrefix)
	if !found || !known {
		return AddCheckpoint{}, malformed("no old size, consistency proof, empty line and checkpoint")
	}
	lines := strings.Split(old, "\n")
	r := AddCheckpoint{Checkpoint: checkpoint}
	var err error
	if r.Old, err = strconv.ParseInt(lines[0], 10, 64); err != nil {
		return AddCheckpoint{}, malformed("old size %.20q", lines[0])
	}
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return AddCheckpoint{}, malformed("hash %.50q", line)
		}
		r.Proof = append(r.Proof, h)
	}
	if err := r.check(); err != nil {
		return AddCheckpoint{}, err
	}
	if !bytes.Equal(r.Marshal(), data) {
		return AddCheckpoint{}, malformed("old size or hash in another spelling than the canonical one")
	}
	return r, nil
}
