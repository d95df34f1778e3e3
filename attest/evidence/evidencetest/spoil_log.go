package evidencetest

import (
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
)

// spoiledLog are about the opening, the decision and where they stand in the log.
func spoiledLog() []Spoil {
	return []Spoil{
		{Name: "opening altered", Step: "opening", Why: "signature does not verify", Spoil: func(tb testing.TB, _ *Release, b *evidence.Bundle) {
			b.Opening = with(tb, b.Opening, `"attempt":1`, `"attempt":2`)
		}},
		{Name: "opening by an unknown coordinator", Step: "opening", Why: "mallory", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			key := P256Key(tb, "coordinator", "mallory")
			reopen(tb, r, b, key, func(o *attest.Opening) { o.Coordinator = key.Name() })
		}},
		{Name: "opening under another policy", Step: "policy chain", Why: "does not end with", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			reopen(tb, r, b, r.World.Coordinator, func(o *attest.Opening) { o.Policy[0] ^= 1 })
		}},
		{Name: "opening of another attempt", Step: "votes", Why: "another release", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			reopen(tb, r, b, r.World.Coordinator, func(o *attest.Opening) { o.Attempt = 2 })
		}},
		{Name: "opening not in the log", Step: "opening in the log", Why: "not at index 0", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			log := otherLog(tb)
			log.Key = r.World.Log.Key
			log.Append(tb, r.Decision, r.World.Signer.VerifierKey)
			b.OpeningProof = string(log.Prove(tb, 0).MarshalTLogProof())
		}},
		{Name: "opening under another log's checkpoint", Step: "opening in the log", Why: "signature does not verify", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			log := otherLog(tb)
			log.Append(tb, r.Opening, r.World.Coordinator.VerifierKey)
			b.OpeningProof = string(log.Prove(tb, 0).MarshalTLogProof())
		}},
		{Name: "opening without proof", Step: "opening in the log", Why: "parsing log proof", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) { b.OpeningProof = "" }},
		{Name: "decision altered", Step: "decision in the log", Why: "signature does not verify", Spoil: func(tb testing.TB, _ *Release, b *evidence.Bundle) {
			b.Decision.Envelope = with(tb, b.Decision.Envelope, `"blind":true`, `"blind":false`)
		}},
		{Name: "decision by a foreign statement key", Step: "decision in the log", Why: "signature does not verify", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			redecide(tb, r, b, P256Key(tb, "mallory", "signer"), r.Decided())
		}},
		{Name: "decision by an unknown signer", Step: "decision in the log", Why: "mallory", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			d := r.Decided()
			d.Signer = "mallory"
			redecide(tb, r, b, P256Key(tb, "signer", "mallory"), d)
		}},
		{Name: "decision about another release", Step: "decision in the log", Why: "another release", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			b.Decision = r.World.Release(tb, 2).Bundle(tb).Decision
		}},
		{Name: "decision about another request", Step: "decision in the log", Why: "another request", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			d := r.Decided()
			d.Request[0] ^= 1
			redecide(tb, r, b, r.World.Signer, d)
		}},
		{Name: "decision under another policy", Step: "decision in the log", Why: "under policy 2", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			d := r.Decided()
			d.PolicySerial = 2
			redecide(tb, r, b, r.World.Signer, d)
		}},
		{Name: "decision with another threshold", Step: "verdict", Why: "decided as 1 of 3", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			d := r.Decided()
			d.Threshold = 1
			redecide(tb, r, b, r.World.Signer, d)
		}},
		{Name: "decision that calls the votes not blind", Step: "decision in the log", Why: "blind", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			d := r.Decided()
			d.Blind = false
			redecide(tb, r, b, r.World.Signer, d)
		}},
		{Name: "decision after the policy expired", Step: "policy in force", Why: "expired", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			d := r.Decided()
			d.Decided = Expires
			redecide(tb, r, b, r.World.Signer, d)
		}},
		{Name: "decision after the deadline", Step: "agreement", Why: "do not agree (expired)", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			d := r.Decided()
			d.Decided += 2 * 3600
			redecide(tb, r, b, r.World.Signer, d)
		}},
		{Name: "decision before the opening", Step: "agreement", Why: "do not agree (waiting)", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			d := r.Decided()
			d.Decided -= 3600
			redecide(tb, r, b, r.World.Signer, d)
		}},
		{Name: "wrong checkpoint key", Step: "decision in the log", Why: "signature does not verify", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			log := otherLog(tb)
			log.Append(tb, r.Decision, r.World.Signer.VerifierKey)
			var err error
			if b.Decision, err = evidence.NewSigstore(r.Decision, r.World.Signer.VerifierKey, log.Key.VerifierKey, log.Prove(tb, 0)); err != nil {
				tb.Fatal(err)
			}
		}},
		{Name: "proof of another leaf", Step: "decision in the log", Why: "not at index 0", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			b.Decision.Material.Entries[0].InclusionProof.LogIndex = r.OpeningIndex
		}},
		{Name: "outer index differs", Step: "decision in the log", Why: "contradict", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Decision.Material.Entries[0].LogIndex = 7
		}},
		{Name: "tree size differs from the checkpoint", Step: "decision in the log", Why: "contradict", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Decision.Material.Entries[0].InclusionProof.TreeSize++
		}},
		{Name: "root differs from the checkpoint", Step: "decision in the log", Why: "contradict", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Decision.Material.Entries[0].InclusionProof.RootHash = make([]byte, 32)
		}},
		{Name: "other leaf beside the proof", Step: "decision in the log", Why: "contradict", Spoil: func(_ testing.TB, r *Release, b *evidence.Bundle) {
			b.Decision.Material.Entries[0].CanonicalizedBody = r.World.Log.Leaves[r.OpeningIndex]
		}},
		{Name: "short hash in the proof", Step: "decision in the log", Why: "hash of 1 bytes", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Decision.Material.Entries[0].InclusionProof.Hashes[0] = []byte{1}
		}},
		{Name: "no log entry", Step: "decision in the log", Why: "0 log entries", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Decision.Material.Entries = nil
		}},
		{Name: "two log entries", Step: "decision in the log", Why: "2 log entries", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Decision.Material.Entries = append(b.Decision.Material.Entries, b.Decision.Material.Entries[0])
		}},
		{Name: "no decision in the Sigstore bundle", Step: "decision in the log", Why: "no envelope", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Decision.Envelope = nil
		}},
	}
}
