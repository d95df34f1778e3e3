package evidencetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
)

// Spoil is a bundle of valid form in which one thing is wrong. It is built past
// [evidence.Build], which would refuse it.
type Spoil struct {
	Name  string
	World Options // it takes place in
	// Sound makes the bundle that is spoiled; nil means the release's own.
	Sound func(tb testing.TB, w *World) *evidence.Bundle
	// Trust is what the verifier believes when the bundle was made; nil means the
	// world's first policy.
	Trust func(tb testing.TB, w *World) evidence.Trust
	Spoil func(tb testing.TB, r *Release, b *evidence.Bundle)
	Step  string // of the verification that must refuse it
	Why   string // in the error
}

// Spoils returns everything that a verifier must refuse, whoever wrote it.
func Spoils() []Spoil {
	return slices.Concat(spoiledStatements(), spoiledLog(), spoiledWitnesses(), spoiledSignatures(), spoiledSuccessions())
}

// Make returns the spoiled bundle, the same before, and the trust that both are
// verified with. They are shared by all who ask: nobody changes them.
func (s Spoil) Make(tb testing.TB) (sound, spoiled *evidence.Bundle, trust evidence.Trust) {
	tb.Helper()
	type result struct {
		sound, spoiled *evidence.Bundle
		trust          evidence.Trust
	}
	m := once("spoil "+s.Name, func() result {
		r := New(tb, s.World).Release(tb, 1)
		trust := evidence.Trust{Policy: r.World.Envelope}
		var sound *evidence.Bundle
		if s.Sound != nil {
			sound = s.Sound(tb, r.World)
		} else {
			sound = r.Bundle(tb)
		}
		if s.Trust != nil {
			trust = s.Trust(tb, r.World)
		}
		spoiled := again(tb, sound)
		s.Spoil(tb, r, spoiled)
		return result{sound, spoiled, trust}
	})
	return m.sound, m.spoiled, m.trust
}

// again reads a bundle from its bytes, and so shares nothing with it.
func again(tb testing.TB, b *evidence.Bundle) *evidence.Bundle {
	tb.Helper()
	data, err := b.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	b, err = evidence.Parse(data)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func sortVotes(b *evidence.Bundle) {
	slices.SortFunc(b.Votes, func(x, y *attest.Envelope) int {
		dx, dy := x.Digest(), y.Digest()
		return slices.Compare(dx[:], dy[:])
	})
}

// redecide puts another decision, sealed and logged, into the bundle.
func redecide(tb testing.TB, r *Release, b *evidence.Bundle, key attest.SigningKey, d attest.Decision) {
	tb.Helper()
	r.Log(tb, key, d)
	var err error
	if b.Decision, err = evidence.NewSigstore(r.Decision, key.VerifierKey, r.World.Log.Key.VerifierKey, r.DecisionProof); err != nil {
		tb.Fatal(err)
	}
}

// reopen puts another opening, sealed and logged, into the bundle.
func reopen(tb testing.TB, r *Release, b *evidence.Bundle, key attest.SigningKey, change func(o *attest.Opening)) {
	tb.Helper()
	o, err := attest.ParseOpening(r.Opening.Payload)
	if err != nil {
		tb.Fatal(err)
	}
	change(&o)
	if b.Opening, err = o.Seal(key); err != nil {
		tb.Fatal(err)
	}
	index := r.World.Log.Append(tb, b.Opening, key.VerifierKey)
	b.OpeningProof = string(r.World.Log.Prove(tb, index).MarshalTLogProof())
}

// with returns a copy of an envelope with other bytes in the payload.
func with(tb testing.TB, e *attest.Envelope, from, to string) *attest.Envelope {
	tb.Helper()
	changed := *e
	changed.Payload = []byte(strings.Replace(string(e.Payload), from, to, 1))
	if string(changed.Payload) == string(e.Payload) {
		tb.Fatalf("%q is not in the payload", from)
	}
	return &changed
}

func otherLog(tb testing.TB) *Log {
	tb.Helper()
	return &Log{Key: Ed25519Key(tb, "another log", Origin)}
}
