//go:build long

package evidence_test

import (
	"testing"

	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
)

// More changes, and of bundles of all kinds: without signatures, and with older
// policies behind it, both as the newest policy sees it and as the oldest does.
func TestLongIndependentVerifierAgreesOnChangedEvidence(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	r := evidencetest.New(t, evidencetest.Options{Witnesses: 3, Artifacts: 1}).Release(t, 1)
	own := evidence.Trust{Policy: r.World.Envelope}
	agreeOnChangedEvidence(t, p, "signed", r.Bundle(t), own, 4)
	agreeOnChangedEvidence(t, p, "unsigned", r.UnsignedBundle(t), own, 16)
	found := 0
	for _, s := range evidencetest.Sounds() {
		switch s.Name {
		case "signer, origin and the log's key changed, the newest policy pinned", // the older ones are passed over
			"signatures made before signer, origin and the log's key changed, the newest policy pinned":
			found++
			bundle, trust, _, _ := s.Case(t)
			agreeOnChangedEvidence(t, p, s.Name, bundle, trust, 16)
		}
	}
	if found != 2 {
		t.Fatalf("%d bundles with older policies to change", found)
	}
}
