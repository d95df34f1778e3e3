package evidencetest

import (
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/policy"
)

// Sound is evidence that every verifier must accept, whoever wrote it.
type Sound struct {
	Name  string
	World Options // it takes place in
	// Make returns the bundle; nil means that of the world's first release.
	Make func(tb testing.TB, w *World) *evidence.Bundle
	// Trust is what the verifier believes when the bundle was made; nil means the
	// world's first policy.
	Trust func(tb testing.TB, w *World) evidence.Trust
	// Unwitnessed is whether the verdict must say so.
	Unwitnessed bool
}

// Case returns the bundle, the trust, and a file that both are about with its name.
func (s Sound) Case(tb testing.TB) (b *evidence.Bundle, trust evidence.Trust, name string, file []byte) {
	tb.Helper()
	w := New(tb, s.World)
	trust = evidence.Trust{Policy: w.Envelope}
	r := w.Release(tb, 1)
	if s.Make != nil {
		b = s.Make(tb, w)
	} else {
		b = r.Bundle(tb)
	}
	if s.Trust != nil {
		trust = s.Trust(tb, w)
	}
	return b, trust, r.Artifacts[0].Name, r.Files[0]
}

// tolerant lets one operator dissent, and waits for nobody.
func tolerant(p *policy.Policy) { p.Suites[0].MaxDissent, p.Suites[0].Settle = 1, 60 }

// changed is what a rebuilder built that differs.
func changed(tb testing.TB, r *Release, key attest.SigningKey) *attest.Envelope {
	tb.Helper()
	other := append(attest.Artifacts{}, r.Artifacts...)
	other[0].SHA256[0] ^= 1
	return r.Vote(tb, key, other)
}

// Sounds returns evidence of all kinds.
func Sounds() []Sound {
	return append(soundSuccessions(), []Sound{
		{Name: "three rebuilders", Unwitnessed: true},
		{Name: "seven rebuilders", World: Options{Rebuilders: 7, Threshold: 4, Artifacts: 5}, Unwitnessed: true},
		{Name: "insecure policy", World: Options{Change: func(p *policy.Policy) { p.Insecure = true }}, Unwitnessed: true},
		{Name: "one dissents", World: Options{Rebuilders: 5, Change: tolerant, Votes: func(tb testing.TB, r *Release) []*attest.Envelope {
			k := r.World.Rebuilders
			return []*attest.Envelope{r.Vote(tb, k[0], r.Artifacts), r.Vote(tb, k[1], r.Artifacts), r.Vote(tb, k[2], r.Artifacts), changed(tb, r, k[3])}
		}}, Unwitnessed: true},
		{Name: "one equivocates", World: Options{Rebuilders: 5, Change: tolerant, Votes: func(tb testing.TB, r *Release) []*attest.Envelope {
			k := r.World.Rebuilders
			return []*attest.Envelope{
				r.Vote(tb, k[0], r.Artifacts), r.Vote(tb, k[1], r.Artifacts), r.Vote(tb, k[2], r.Artifacts), r.Vote(tb, k[3], r.Artifacts), changed(tb, r, k[3]),
			}
		}}, Unwitnessed: true},
		{Name: "one votes after a report, one only reports", World: Options{Change: tolerant, Votes: func(tb testing.TB, r *Release) []*attest.Envelope {
			k := r.World.Rebuilders
			return []*attest.Envelope{
				r.Report(tb, k[0], attest.InfraError), r.Vote(tb, k[0], r.Artifacts), r.Vote(tb, k[1], r.Artifacts), r.Report(tb, k[2], attest.BuildFailed),
			}
		}}, Unwitnessed: true},
		{Name: "two rebuilders of one operator", World: Options{Rebuilders: 4, Threshold: 2, Change: func(p *policy.Policy) {
			p.Rebuilders[1].Operator = p.Rebuilders[0].Operator
		}}, Unwitnessed: true},
		{Name: "some do not wait for the rest", World: Options{Rebuilders: 5, Change: tolerant, Votes: func(tb testing.TB, r *Release) []*attest.Envelope {
			k := r.World.Rebuilders
			return []*attest.Envelope{r.Vote(tb, k[2], r.Artifacts), r.Vote(tb, k[3], r.Artifacts), r.Vote(tb, k[4], r.Artifacts)}
		}}, Unwitnessed: true},
		{Name: "witnessed", World: Options{Witnesses: 3}},
		{Name: "witnesses that may be one operator and the log's", World: Options{Witnesses: 3, Change: func(p *policy.Policy) {
			p.Witnesses.Keys[0].Operator = p.Log.Operator
		}}, Unwitnessed: true},
		{Name: "a witness away", World: Options{Witnesses: 3}, Make: func(tb testing.TB, w *World) *evidence.Bundle {
			w.Log.Witnesses = w.Witnesses[1:]
			return w.Release(tb, 2).Bundle(tb)
		}},
		{Name: "a witness that came back", World: Options{Witnesses: 3}, Make: func(tb testing.TB, w *World) *evidence.Bundle {
			r := w.Release(tb, 2)
			w.Release(tb, 3) // the log grows meanwhile
			w.Log.Now = Opened + hour + 3600 + 599
			b := r.Bundle(tb)
			reproveDecision(tb, r, b)
			reproveOpening(tb, r, b)
			return b
		}},
		{Name: "signatures that nobody knows", World: Options{Witnesses: 3}, Make: func(tb testing.TB, w *World) *evidence.Bundle {
			b := w.Release(tb, 2).Bundle(tb)
			recheckpoint(b, func(note []byte) []byte {
				note = append(note, Unknown("mirror.example.net")...)
				note = append(note, Unknown(w.Witnesses[0].Name())...)
				return append(note, PlainSignature(tb, note, w.Witnesses[1])...)
			})
			return b
		}},
		{Name: "witnesses of the verifier's own", World: Options{Witnesses: 3, Change: func(p *policy.Policy) {
			p.Witnesses = policy.Witnesses{}
		}}, Trust: func(_ testing.TB, w *World) evidence.Trust {
			return evidence.Trust{Policy: w.Envelope, Witnesses: WitnessesOf(w.Witnesses...)}
		}},
		{Name: "witnesses of a later policy", World: Options{Witnesses: 3, Change: func(p *policy.Policy) {
			p.Witnesses = policy.Witnesses{}
		}}, Unwitnessed: true, Make: func(tb testing.TB, w *World) *evidence.Bundle {
			first := w.Envelope
			next := w.Policy
			next.Serial, next.Previous, next.Witnesses = 2, first.Digest(), WitnessesOf(w.Witnesses...)
			w.Use(tb, w.Seal(tb, next))
			parts := w.Release(tb, 2).Parts()
			parts.Policies = []*attest.Envelope{first, w.Envelope}
			return build(tb, parts)
		}},
	}...)
}

func build(tb testing.TB, parts evidence.Parts) *evidence.Bundle {
	tb.Helper()
	b, err := evidence.Build(parts)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
