package main

import (
	"bytes"
	"context"
	_ "embed" // the README
	"fmt"
	"path/filepath"
	"strings"
	"text/template"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

//go:embed log-readme.tmpl
var logReadme string

// logRecord is what shows that a log went on under another key.
type logRecord struct {
	Last, First translog.Checkpoint
	// LastBy and FirstBy are the witnesses that cosigned them.
	LastBy, FirstBy []translog.Cosignature
	// Continues says that the tree of First has the entries of Last in their places.
	Continues bool

	proof []tlog.Hash
	first []byte
}

// record verifies both checkpoints and proves that one tree continues the other.
func (s *logSwitch) record(ctx context.Context, first []byte) (*logRecord, error) {
	r := &logRecord{first: first}
	var err error
	if r.Last, err = openUnder(&s.before.Policy, s.last); err != nil {
		return nil, err
	}
	if r.First, err = openUnder(&s.next.Policy, first); err != nil {
		return nil, err
	}
	if r.LastBy, err = translog.WitnessesOf(s.before.Witnesses).Cosignatures(s.last); err != nil {
		return nil, err
	}
	if r.FirstBy, err = translog.WitnessesOf(s.next.Witnesses).Cosignatures(first); err != nil {
		return nil, err
	}
	if r.Last.Size > r.First.Size {
		return r, nil
	}
	tree := s.site.Tree(r.First)
	root, err := tree.Root(ctx, r.Last.Size)
	if err != nil {
		return nil, err
	}
	if r.Continues = root == r.Last.Root; !r.Continues {
		return r, nil
	}
	if err := holds(ctx, tree, s.seen); err != nil {
		return nil, err
	}
	r.proof, err = tree.Consistency(ctx, r.Last.Size)
	return r, err
}

// by says who cosigned the first checkpoint.
func (r *logRecord) by() string {
	if len(r.FirstBy) == 0 {
		return ""
	}
	return ", and cosigned by " + cosigners(r.FirstBy)
}

// writeRecord writes the record into the directory. What marks it as whole comes last.
func (a *app) writeRecord(s *logSwitch, r *logRecord) error {
	p := &parts{}
	p.raw(fileLast, s.last)
	p.raw(fileFirst, r.first)
	if r.Continues {
		p.raw(fileContinuation, translog.AddCheckpoint{Old: r.Last.Size, Proof: r.proof, Checkpoint: r.first}.Marshal())
		a.printStep("ok", fmt.Sprintf("it continues the last checkpoint under the old key, of %d entries", r.Last.Size))
	}
	for _, d := range []draft{s.before, s.next} {
		p.add(fmt.Sprintf("policy-%d.json", d.Serial), d.envelope.Encode)
	}
	readme, err := s.readme(r)
	if err != nil {
		return err
	}
	p.raw(fileReadme, readme)
	if p.err != nil {
		return p.err
	}
	if err := writeParts(s.dir, p.list, true); err != nil {
		return err
	}
	names := make([]string, len(p.list))
	for i, f := range p.list {
		names[i] = filepath.Join(s.dir, f.name)
	}
	a.printStep("ok", "recorded in "+strings.Join(names, ", "))
	return nil
}

func (s *logSwitch) readme(r *logRecord) ([]byte, error) {
	t, err := template.New(fileReadme).Funcs(template.FuncMap{"cosigners": cosigners}).Parse(logReadme)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		*logRecord

		Ends         bool
		Before, Next draft
		BeforeDigest attest.Digest
		NextDigest   attest.Digest
	}{r, s.ends(), s.before, s.next, s.before.envelope.Digest(), s.next.envelope.Digest()})
	return out.Bytes(), err
}
