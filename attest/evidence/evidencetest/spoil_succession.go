package evidencetest

import (
	"slices"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/policy"
)

// spoiledSuccessions are about policies older than the pinned one.
func spoiledSuccessions() []Spoil {
	seen := Options{Witnesses: 3}
	moved := reused(renew, endLog) // policies 1 to 3; the signatures are from under policy 1
	return []Spoil{
		// The keys of a policy that was replaced may have been stolen.
		{Name: "release under an older policy than the pinned one", World: seen, Sound: succeeded(renew), Trust: newest,
			Step: "policy chain", Why: "opened under policy 1, pinned is policy 2", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
				parts := r.Parts()
				parts.Policies = b.Policies[:1]
				*b = *build(tb, parts)
			}},
		{Name: "the same before the log had another origin", World: seen, Sound: succeeded(endLog), Trust: newest,
			Step: "policy chain", Why: "opened under policy 1, pinned is policy 2", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
				parts := r.Parts()
				parts.Policies = b.Policies[:1]
				*b = *build(tb, parts)
			}},
		{Name: "earlier decision's policy left out", World: seen, Sound: moved, Trust: newest,
			Step: "signatures", Why: "name no decision", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
				b.Policies = b.Policies[1:]
			}},
		{Name: "policy between the earlier decision's and the pinned one left out", World: seen, Sound: moved, Trust: newest,
			Step: "signatures", Why: "name no decision", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
				b.Policies = slices.Delete(b.Policies, 1, 2)
			}},
		// Enough admins of then may do anything later; what they did then stands.
		{Name: "earlier decision under a second policy 1 with another signer", World: seen, Sound: moved, Trust: newest,
			Step: "earlier decisions", Why: "signature does not verify", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
				w, key := r.World, P256Key(tb, "mallory", "signer")
				p, err := policy.Parse(b.Policies[0].Payload)
				if err != nil {
					tb.Fatal(err)
				}
				p.Signers = []policy.Party{{Key: key.VerifierKey, NATS: NATSUser("signer")}}
				b.Policies[0] = w.Seal(tb, p)
				d, err := attest.ParseDecision(b.Earlier[0].Envelope.Payload)
				if err != nil {
					tb.Fatal(err)
				}
				d.Policy = b.Policies[0].Digest()
				forge(tb, r, b, key, d)
			}},
		{Name: "earlier decision by a signer whom its older policy does not list", World: seen, Sound: reused(endLog), Trust: newest,
			Step: "earlier decisions", Why: "signature does not verify", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
				d, err := attest.ParseDecision(b.Earlier[0].Envelope.Payload)
				if err != nil {
					tb.Fatal(err)
				}
				forge(tb, r, b, P256Key(tb, "mallory", "signer"), d)
			}},
		{Name: "earlier decision under the checkpoint of a log that has ended", World: seen, Sound: moved, Trust: newest,
			Step: "earlier decisions", Why: "signature does not verify", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
				ended := Ed25519Key(tb, "log", Origin)
				earlier := b.Earlier[0]
				index := earlier.Material.Entries[0].InclusionProof.LogIndex
				r.World.Log.Key = ended
				var err error
				b.Earlier[0], err = evidence.NewSigstore(earlier.Envelope, P256Key(tb, "signer", "signer").VerifierKey, ended.VerifierKey, r.World.Log.Prove(tb, index))
				if err != nil {
					tb.Fatal(err)
				}
			}},
	}
}

// forge logs a decision and puts it into the bundle as the earlier one.
func forge(tb testing.TB, r *Release, b *evidence.Bundle, key attest.SigningKey, d attest.Decision) {
	tb.Helper()
	e := seal(tb, key, d)
	index := r.World.Log.Append(tb, e, key.VerifierKey)
	var err error
	b.Earlier[0], err = evidence.NewSigstore(e, key.VerifierKey, r.World.Log.Key.VerifierKey, r.World.Log.Prove(tb, index))
	if err != nil {
		tb.Fatal(err)
	}
}
