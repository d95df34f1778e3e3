package evidencetest

import (
	"slices"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/openpgp"
)

// resign signs the first artifact with the right key and the wrong words.
func resign(tb testing.TB, r *Release, at attest.Time, n []openpgp.Notation) []byte {
	tb.Helper()
	s, err := openpgp.SignBytes(r.World.Certificate, Ed25519("openpgp "+Suite), r.Files[0],
		openpgp.Options{Created: at.Time(), Notations: n})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// spoiledSignatures are about the policy chain, certificates and OpenPGP signatures.
func spoiledSignatures() []Spoil {
	return []Spoil{
		{Name: "certificate of another suite", Step: "certificates", Why: "not in the policy", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			other := Certify(tb, "other")
			b.Certificates = [][]byte{other.Binary()}
			for i, s := range r.Sign(tb, "other", other) {
				b.Signatures[i].Certificate, b.Signatures[i].Signature = other.Fingerprint(), s
			}
		}},
		{Name: "certificate in another spelling", Step: "certificates", Why: "armored", Spoil: func(_ testing.TB, r *Release, b *evidence.Bundle) {
			b.Certificates[0] = r.World.Certificate.Armor()
		}},
		{Name: "certificate cut off", Step: "certificates", Why: "parsing OpenPGP certificate", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Certificates[0] = b.Certificates[0][:len(b.Certificates[0])-1]
		}},
		{Name: "certificate missing", Step: "signatures", Why: "not in the bundle", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) { b.Certificates = nil }},
		{Name: "certificate that signs nothing", Step: "signatures", Why: "signs nothing", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) { b.Signatures = nil }},
		{Name: "signature by another key", Step: "signatures", Why: "not the signing key", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			b.Signatures[0].Signature = r.Sign(tb, "other", Certify(tb, "other"))[0]
		}},
		{Name: "signature of another artifact", Step: "signatures", Why: "name no decision", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Signatures[0].Signature = b.Signatures[1].Signature
		}},
		{Name: "signature over an unknown artifact", Step: "signatures", Why: "not an artifact", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Signatures[0].Artifact = "aaa.deb"
		}},
		{Name: "signature twice", Step: "bundle", Why: "one, ever", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Signatures = slices.Insert(b.Signatures, 0, b.Signatures[0])
		}},
		{Name: "signature with other notations", Step: "signatures", Why: "name no decision", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			b.Signatures[0].Signature = resign(tb, r, r.Decided().Decided, evidence.Notations("log.example.com", r.Decision.Digest(), attest.GroundQuorum, r.Artifacts[0].SHA512))
		}},
		{Name: "signature without notations", Step: "signatures", Why: "name no decision", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			b.Signatures[0].Signature = resign(tb, r, r.Decided().Decided, nil)
		}},
		{Name: "signature of another ground", Step: "signatures", Why: "name no decision", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			b.Signatures[0].Signature = resign(tb, r, r.Decided().Decided, evidence.Notations(Origin, r.Decision.Digest(), "approval", r.Artifacts[0].SHA512))
		}},
		{Name: "signature of another time than the decision", Step: "signatures", Why: "name no decision", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			b.Signatures[0].Signature = resign(tb, r, r.Decided().Decided+1, evidence.Notations(Origin, r.Decision.Digest(), attest.GroundQuorum, r.Artifacts[0].SHA512))
		}},
		{Name: "earlier decision that nothing names", Step: "signatures", Why: "named by no signature", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			w := r.World
			redecide(tb, r, b, w.Signer, r.Decided()) // the same decision, logged once more
			first, err := evidence.NewSigstore(r.Decision, w.Signer.VerifierKey, w.Log.Key.VerifierKey, w.Log.Prove(tb, 1))
			if err != nil {
				tb.Fatal(err)
			}
			b.Earlier = []*evidence.Sigstore{first}
		}},
		{Name: "policy chain broken", Step: "policy chain", Why: "does not follow", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			next := r.World.Policy
			next.Serial, next.Previous = 2, attest.Digest{1}
			b.Policies = append(b.Policies, r.World.Seal(tb, next))
		}},
		{Name: "policy signed by too few admins", Step: "policy chain", Why: "too few admins", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			next := r.World.Policy
			next.Serial, next.Previous = 2, r.World.Envelope.Digest()
			e, err := next.Seal(r.World.Admins[0])
			if err != nil {
				tb.Fatal(err)
			}
			b.Policies = append(b.Policies, e)
		}},
		{Name: "policies out of order", Step: "policy chain", Why: "order", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Policies = append(b.Policies, b.Policies[0])
		}},
		{Name: "chain that goes on behind the release's policy", Step: "policy chain", Why: "does not end with", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			next := r.World.Policy
			next.Serial, next.Previous = 2, r.World.Envelope.Digest()
			b.Policies = append(b.Policies, r.World.Seal(tb, next))
		}},
		{Name: "other media type", Step: "bundle", Why: "media type", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) { b.MediaType = "text/plain" }},
	}
}
