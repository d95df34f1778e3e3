package evidencetest

import (
	"bytes"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/policy"
)

// late is when the deadline of the first attempt has passed by the grace.
const late = Opened + hour + 600

// reproveDecision puts another proof of the decision into the bundle: under
// the checkpoint of the tree as it is now, cosigned by whoever now witnesses it.
func reproveDecision(tb testing.TB, r *Release, b *evidence.Bundle) {
	tb.Helper()
	w := r.World
	var err error
	if b.Decision, err = evidence.NewSigstore(r.Decision, w.Signer.VerifierKey, w.Log.Key.VerifierKey, w.Log.Prove(tb, r.DecisionIndex)); err != nil {
		tb.Fatal(err)
	}
}

func reproveOpening(tb testing.TB, r *Release, b *evidence.Bundle) {
	tb.Helper()
	b.OpeningProof = string(r.World.Log.Prove(tb, r.OpeningIndex).MarshalTLogProof())
}

// recheckpoint puts another note into the decision's proof, of the same tree.
func recheckpoint(b *evidence.Bundle, change func(note []byte) []byte) {
	envelope := &b.Decision.Material.Entries[0].InclusionProof.Checkpoint.Envelope
	*envelope = string(change([]byte(*envelope)))
}

// strangers has the log cosigned by others under the witnesses' names.
func strangers(tb testing.TB, l *Log) {
	tb.Helper()
	for i, w := range l.Witnesses {
		stranger, err := attest.NewCosigningKey(w.Name(), Ed25519("stranger "+w.Name()))
		if err != nil {
			tb.Fatal(err)
		}
		l.Witnesses[i] = stranger
	}
}

func witnessed(change func(p *policy.Policy)) Options { return Options{Witnesses: 3, Change: change} }

// spoiledWitnesses are about cosignatures and the time in them.
func spoiledWitnesses() []Spoil {
	return []Spoil{
		{Name: "opening cosigned by nobody", World: witnessed(nil), Step: "opening in the log", Why: "0 of 2", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			r.World.Log.Witnesses = nil
			reproveOpening(tb, r, b)
		}},
		{Name: "decision cosigned by nobody", World: witnessed(nil), Step: "decision in the log", Why: "0 of 2", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			r.World.Log.Witnesses = nil
			reproveDecision(tb, r, b)
		}},
		{Name: "decision cosigned by too few", World: witnessed(nil), Step: "decision in the log", Why: "1 of 2", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			r.World.Log.Witnesses = r.World.Witnesses[:1]
			reproveDecision(tb, r, b)
		}},
		{Name: "decision cosigned by one witness twice", World: witnessed(nil), Step: "decision in the log", Why: "1 of 2", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			r.World.Log.Witnesses = []attest.SigningKey{r.World.Witnesses[0], r.World.Witnesses[0]}
			reproveDecision(tb, r, b)
		}},
		{Name: "decision cosigned by strangers of the same names", World: witnessed(nil), Step: "decision in the log", Why: "0 of 2", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			strangers(tb, r.World.Log)
			reproveDecision(tb, r, b)
		}},
		{Name: "decision signed by the witnesses as if it were theirs", World: witnessed(nil), Step: "decision in the log", Why: "0 of 2", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			recheckpoint(b, func(note []byte) []byte {
				lines := bytes.SplitAfter(note, []byte("\n"))
				return bytes.Join(lines[:5], nil) // text, empty line, the log's signature
			})
			proof := r.World.Log.Prove(tb, r.DecisionIndex)
			for _, w := range r.World.Witnesses {
				recheckpoint(b, func(note []byte) []byte { return append(note, PlainSignature(tb, proof.Checkpoint, w)...) })
			}
		}},
		{Name: "cosignatures of a smaller tree", World: witnessed(nil), Step: "decision in the log", Why: "bad cosignature", Spoil: func(_ testing.TB, r *Release, b *evidence.Bundle) {
			recheckpoint(b, func(note []byte) []byte {
				lines, older := bytes.SplitAfter(note, []byte("\n")), bytes.SplitAfter(r.OpeningProof.Checkpoint, []byte("\n"))
				return bytes.Join(append(lines[:5], older[5:]...), nil)
			})
		}},
		{Name: "one bad cosignature beside enough good ones", World: witnessed(nil), Step: "decision in the log", Why: "bad cosignature", Spoil: func(_ testing.TB, r *Release, b *evidence.Bundle) {
			recheckpoint(b, func(note []byte) []byte {
				lines, older := bytes.SplitAfter(note, []byte("\n")), bytes.SplitAfter(r.OpeningProof.Checkpoint, []byte("\n"))
				lines[7] = older[7]
				return bytes.Join(lines, nil)
			})
		}},
		{Name: "cosignature with an earlier time", World: witnessed(nil), Step: "decision in the log", Why: "bad cosignature", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			r.World.Log.Now = late
			reproveDecision(tb, r, b)
			recheckpoint(b, func(note []byte) []byte { return Backdate(tb, note, 5, Opened+200) })
		}},
		{Name: "decision seen too late", World: witnessed(nil), Step: "witness time", Why: "expired", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			r.World.Log.Now = late // the second witness, a second later, is one too late
			reproveDecision(tb, r, b)
		}},
		{Name: "witness that came back too late", World: witnessed(nil), Step: "witness time", Why: "expired", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			r.World.Release(tb, 2) // the log grows, cosigned by one alone
			r.World.Log.Now = late
			reproveDecision(tb, r, b)
		}},
		{Name: "keys that ended before the decision was seen", World: witnessed(func(p *policy.Policy) {
			p.Rebuilders[0].ValidUntil, p.Rebuilders[1].ValidUntil = Opened+3000, Opened+3000
		}), Step: "witness time", Why: "no valid key", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			r.World.Log.Now = Opened + 2999
			reproveDecision(tb, r, b)
		}},
		{Name: "keys that had not begun when the opening was seen", World: witnessed(func(p *policy.Policy) {
			p.Rebuilders[0].ValidFrom, p.Rebuilders[1].ValidFrom = Opened-60, Opened-60
		}), Step: "witness time", Why: "no valid key", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			r.World.Log.Now = Opened - 62
			reproveOpening(tb, r, b)
		}},
		{Name: "policy that ended before the decision was seen", World: witnessed(func(p *policy.Policy) {
			p.Expires = Opened + 3000
			for i := range p.Rebuilders {
				p.Rebuilders[i].ValidUntil = Opened + 86400
			}
		}), Step: "witness time", Why: "expired", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			r.World.Log.Now = Opened + 2999
			reproveDecision(tb, r, b)
		}},
		{Name: "other witnesses than the verifier's own", World: witnessed(nil), Trust: func(tb testing.TB, w *World) evidence.Trust {
			tb.Helper()
			return evidence.Trust{Policy: w.Envelope, Witnesses: WitnessesOf(w.Witnesses[0], w.Witnesses[2])}
		}, Step: "decision in the log", Why: "1 of 2", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			r.World.Log.Witnesses = r.World.Witnesses[:2] // enough for the policy
			reproveDecision(tb, r, b)
		}},
		{Name: "earlier decision cosigned by nobody", World: witnessed(nil), Step: "earlier decisions", Why: "0 of 2", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			w := r.World
			first, envelope := r.DecisionIndex, r.Decision
			redecide(tb, r, b, w.Signer, r.Decided()) // the same decision, logged once more
			w.Log.Witnesses = nil
			earlier, err := evidence.NewSigstore(envelope, w.Signer.VerifierKey, w.Log.Key.VerifierKey, w.Log.Prove(tb, first))
			if err != nil {
				tb.Fatal(err)
			}
			b.Earlier = []*evidence.Sigstore{earlier}
		}},
	}
}
