package bus

import (
	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/canonical"
	"github.com/reprosign/reprosign/attest/translog"
)

// walked is a message that there are many of: votes, what coordinators and
// signers say about them, and entries of the log. Each describes its canonical
// JSON in one walk. All other messages are described by the tags of their members.
type walked interface {
	walk(w *canonical.Walk)
}

var _ = []walked{(*Vote)(nil), (*DecideRequest)(nil), (*DecideReply)(nil), (*LogReply)(nil)}

func (v *Vote) walk(w *canonical.Walk) {
	w.Text(`{`)
	if w.Has(`"artifacts":`, `[]`, len(v.Artifacts) > 0) {
		v.Artifacts.Walk(w)
		w.Text(`,`)
	}
	envelope(w, `"envelope":`, &v.Envelope)
	if w.Has(`,"states":`, `[]`, len(v.States) > 0) {
		canonical.List(w, "", &v.States, func(s *attest.State) { w.Base64("", (*[]byte)(s)) })
	}
	w.Text(`}`)
}

func (q *DecideRequest) walk(w *canonical.Walk) {
	canonical.List(w, `{"cases":`, &q.Cases, func(c *DecideCase) { c.walk(w) })
	w.Text(`}`)
}

func (c *DecideCase) walk(w *canonical.Walk) {
	w.Text(`{"artifacts":`)
	c.Artifacts.Walk(w)
	if w.Has(`,"claim":`, `null`, c.Claim != nil) {
		claim := canonical.Present(w, &c.Claim)
		w.Hex(`{"salt":`, claim.Salt[:])
		w.Hex(`,"set":`, claim.Set[:])
		w.Text(`}`)
	}
	envelope(w, `,"opening":`, &c.Opening)
	envelope(w, `,"request":`, &c.Request)
	canonical.List(w, `,"votes":`, &c.Votes, func(e **attest.Envelope) { envelope(w, "", e) })
	w.Text(`}`)
}

func (r *DecideReply) walk(w *canonical.Walk) {
	canonical.List(w, `{"results":`, &r.Results, func(r *DecideResult) {
		if w.Has(`{"error":`, `null`, r.Error != nil) {
			canonical.Present(w, &r.Error).walk(w)
		} else {
			envelope(w, `{"decision":`, &r.Decision)
		}
		w.Text(`}`)
	})
	w.Text(`}`)
}

func (r *LogReply) walk(w *canonical.Walk) {
	w.Base64(`{"checkpoint":`, &r.Checkpoint)
	if w.Has(`,"edge":`, `[]`, len(r.Edge) > 0) {
		canonical.List(w, "", &r.Edge, func(d *attest.Digest) { w.Hex("", d[:]) })
	}
	canonical.List(w, `,"entries":`, &r.Entries, func(e *translog.Entry) { e.Walk(w) })
	if w.Has(`,"error":`, `null`, r.Error != nil) {
		canonical.Present(w, &r.Error).walk(w)
	}
	w.Text(`}`)
}

func (e *Error) walk(w *canonical.Walk) {
	canonical.Word(w, `{"kind":`, &e.Kind)
	canonical.Word(w, `,"message":`, &e.Message)
	w.Text(`}`)
}

// envelope goes through an envelope that must be there.
func envelope(w *canonical.Walk, before string, e **attest.Envelope) {
	w.Text(before)
	canonical.Present(w, e).Walk(w)
}
