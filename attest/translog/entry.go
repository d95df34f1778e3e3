package translog

import (
	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/canonical"
)

// Entry is one entry of a log with all that is needed to understand it: the
// leaf, the statement it stands for, and the envelopes that the statement
// names and that are served beside the log. Nothing in it is verified; a
// [Follower] does that.
type Entry struct {
	Index int64  `json:"index"`
	Leaf  []byte `json:"leaf"`
	// Envelope is the statement, whose PAE digest is in the leaf. It is nil if
	// whoever served the entry has it no more.
	Envelope *attest.Envelope `json:"envelope,omitzero"`
	// Bodies are the envelopes that the statement names, in any order: of an
	// opening its request, of a record what it brings into the log.
	Bodies []*attest.Envelope `json:"bodies,omitempty"`
}

// Walk goes through the entry within a message.
func (e *Entry) Walk(w *canonical.Walk) {
	w.Text(`{`)
	if w.Has(`"bodies":`, `[]`, len(e.Bodies) > 0) {
		canonical.List(w, "", &e.Bodies, func(b **attest.Envelope) { canonical.Present(w, b).Walk(w) })
		w.Text(`,`)
	}
	if w.Has(`"envelope":`, `null`, e.Envelope != nil) {
		canonical.Present(w, &e.Envelope).Walk(w)
		w.Text(`,`)
	}
	canonical.Number(w, `"index":`, &e.Index)
	w.Base64(`,"leaf":`, &e.Leaf)
	w.Text(`}`)
}

// body returns the envelope of a digest of its payload, or nil.
func (e *Entry) body(digest attest.Digest) *attest.Envelope {
	for _, b := range e.Bodies {
		if b != nil && b.Digest() == digest {
			return b
		}
	}
	return nil
}
