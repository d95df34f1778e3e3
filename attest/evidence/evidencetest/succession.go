package evidencetest

import (
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/policy"
)

// succeed puts the next policy in force, with a change.
func succeed(tb testing.TB, w *World, change func(p *policy.Policy)) {
	tb.Helper()
	next := w.Policy
	next.Serial, next.Previous = w.Version.Serial+1, w.Version.Digest
	change(&next)
	w.Use(tb, w.Seal(tb, next))
}

// changeLog puts a policy in force under which the log has another key, and
// possibly another origin.
func changeLog(tb testing.TB, w *World, key, origin string) {
	tb.Helper()
	w.Log.Key = Ed25519Key(tb, key, origin)
	succeed(tb, w, func(p *policy.Policy) { p.Log.Key, p.Log.Origin = w.Log.Key.VerifierKey, origin })
}

func endLog(tb testing.TB, w *World) {
	tb.Helper()
	changeLog(tb, w, "log", "next.example.org")
}

func rotateLog(tb testing.TB, w *World) {
	tb.Helper()
	changeLog(tb, w, "next log", w.Policy.Log.Origin)
}

func renew(tb testing.TB, w *World) {
	tb.Helper()
	succeed(tb, w, func(p *policy.Policy) { p.Expires += day })
}

func changeSigner(tb testing.TB, w *World) {
	tb.Helper()
	w.Signer = P256Key(tb, "next signer", "signer")
	succeed(tb, w, func(p *policy.Policy) {
		p.Signers = []policy.Party{{Key: w.Signer.VerifierKey, NATS: NATSUser("signer")}}
	})
}

// step puts a policy in force.
type step = func(tb testing.TB, w *World)

// succeeded is the evidence of a release after some changes of policy, which
// carries all policies.
func succeeded(steps ...step) func(tb testing.TB, w *World) *evidence.Bundle {
	return func(tb testing.TB, w *World) *evidence.Bundle {
		tb.Helper()
		policies := w.after(tb, steps)
		parts := w.Release(tb, 2).Parts()
		parts.Policies = policies
		return build(tb, parts)
	}
}

// reused is the same where the artifacts were signed before the changes.
func reused(steps ...step) func(tb testing.TB, w *World) *evidence.Bundle {
	return func(tb testing.TB, w *World) *evidence.Bundle {
		tb.Helper()
		first := w.Release(tb, 2)
		policies := w.after(tb, steps)
		second := w.Release(tb, 3)
		second.Signatures = first.Signatures
		parts := second.Parts()
		parts.Policies = policies
		parts.Earlier = []evidence.Logged{{Envelope: first.Decision, Proof: w.Log.Prove(tb, first.DecisionIndex)}}
		return build(tb, parts)
	}
}

// after takes the steps and returns all policies, oldest first.
func (w *World) after(tb testing.TB, steps []step) []*attest.Envelope {
	tb.Helper()
	policies := []*attest.Envelope{w.Envelope}
	for _, s := range steps {
		s(tb, w)
		policies = append(policies, w.Envelope)
	}
	return policies
}

// newest is the trust of somebody who pinned the policy in force.
func newest(_ testing.TB, w *World) evidence.Trust { return evidence.Trust{Policy: w.Envelope} }

// soundSuccessions are about policies that came after one another, seen from
// the first of them and from the last.
func soundSuccessions() []Sound {
	all := []step{changeSigner, endLog, rotateLog, renew}
	var out []Sound
	for _, c := range []struct {
		name string
		make func(tb testing.TB, w *World) *evidence.Bundle
	}{
		{"chain of policies", succeeded(renew)},
		{"the log's key was rotated", succeeded(rotateLog)},
		{"the log has got another origin", succeeded(endLog)},
		{"signer, origin and the log's key changed", succeeded(all...)},
		{"signatures made on an earlier decision", reused()},
		{"signatures made under an earlier policy", reused(renew)},
		{"signatures made before the log's key was rotated", reused(rotateLog)},
		{"signatures made when the log had another origin", reused(endLog)},
		{"signatures made before the signer's key changed", reused(changeSigner)},
		{"signatures made before signer, origin and the log's key changed", reused(all...)},
	} {
		world := Options{Witnesses: 3}
		out = append(out,
			Sound{Name: c.name, World: world, Make: c.make},
			Sound{Name: c.name + ", the newest policy pinned", World: world, Make: c.make, Trust: newest})
	}
	return out
}
