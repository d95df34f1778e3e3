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
		{
			Name: "release under an older policy than the pinned one", World: seen, Sound: succeeded(renew), Trust: newest,
			Step: "policy chain", Why: "opened under policy 1, pinned is policy 2", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
				parts := r.Parts()
				parts.Policies = b.Policies[:1]
				*b = *build(tb, parts)
			},
		},
		{
			Name: "the same before the log had another origin", World: seen, Sound: succeeded(endLog), Trust: newest,
			Step: "policy chain", Why: "opened under policy 1, pinned is policy 2", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
				parts := r.Parts()
				parts.Policies = b.Policies[:1]
				*b = *build(tb, parts)
			},
		},
		{
			Name: "earlier decision's policy left out", World: seen, Sound: moved, Trust: newest,
			Step: "signatures", Why: "name no decision", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
				b.Policies = b.Policies[1:]
			},
		},
		{
			Name: "policy between the earlier decision's and the pinned one left out", World: seen, Sound: moved, Trust: newest,
			Step: "signatures", Why: "name no decision", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
				b.Policies = slices.Delete(b.Policies, 1, 2)
			},
		},
		// It is passed over, but must be what it stands for.
		{
			Name: "older policy in the envelope of a statement", World: seen, Sound: succeeded(renew), Trust: newest,
			Step: "policy chain", Why: "no envelope of a policy", Spoil: changedPolicy(func(e *attest.Envelope) { e.PayloadType = attest.StatementType }),
		},
		{
			Name: "older policy that nobody signed", World: seen, Sound: succeeded(renew), Trust: newest,
			Step: "policy chain", Why: "0 signatures", Spoil: changedPolicy(func(e *attest.Envelope) { e.Signatures = []attest.Signature{} }),
		},
		rivalPolicy(),
		{
			Name: "earlier decision by a signer whom its older policy does not list", World: seen, Sound: reused(endLog), Trust: newest,
			Step: "earlier decisions", Why: "signature does not verify", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
				d, err := attest.ParseDecision(b.Earlier[0].Envelope.Payload)
				if err != nil {
					tb.Fatal(err)
				}
				w, key := r.World, P256Key(tb, "mallory", "signer")
				e := seal(tb, key, d)
				index := w.Log.Append(tb, e, key.VerifierKey)
				b.Earlier[0], err = evidence.NewSigstore(e, key.VerifierKey, w.Log.Key.VerifierKey, w.Log.Prove(tb, index))
				if err != nil {
					tb.Fatal(err)
				}
			},
		},
		{
			Name: "earlier decision under the checkpoint of a log that has ended", World: seen, Sound: moved, Trust: newest,
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
			},
		},
	}
}

// changedPolicy changes the envelope of the oldest policy.
func changedPolicy(change func(*attest.Envelope)) func(testing.TB, *Release, *evidence.Bundle) {
	return func(_ testing.TB, _ *Release, b *evidence.Bundle) {
		e := *b.Policies[0]
		change(&e)
		b.Policies[0] = &e
	}
}

// rivalPolicy is about a second policy 1 with another signer. Enough admins of
// then may sign it at any time; what the pinned policy came from stands.
func rivalPolicy() Spoil {
	key := func(tb testing.TB) attest.SigningKey {
		tb.Helper()
		return P256Key(tb, "mallory", "signer")
	}
	var rival *attest.Envelope
	var forged Release
	return Spoil{
		Name: "earlier decision under a second policy 1 with another signer", World: Options{Witnesses: 3}, Trust: newest,
		Step: "earlier decisions", Why: "signature does not verify",
		Sound: func(tb testing.TB, w *World) *evidence.Bundle {
			p := w.Policy
			p.Signers = []policy.Party{{Key: key(tb).VerifierKey, NATS: NATSUser("signer")}}
			rival = w.Seal(tb, p)
			forged = *w.Release(tb, 2)
			d := forged.Decided()
			d.Policy = rival.Digest()
			forged.Log(tb, key(tb), d)
			forged.Signatures = forged.Sign(tb, Suite, w.Certificate)
			return reused(renew, endLog)(tb, w)
		},
		Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			b.Policies[0] = rival
			log := r.World.Log
			var err error
			b.Earlier[0], err = evidence.NewSigstore(forged.Decision, key(tb).VerifierKey, log.Key.VerifierKey, log.Prove(tb, forged.DecisionIndex))
			if err != nil {
				tb.Fatal(err)
			}
			for i := range b.Signatures {
				b.Signatures[i].Signature = forged.Signatures[i]
			}
		},
	}
}
