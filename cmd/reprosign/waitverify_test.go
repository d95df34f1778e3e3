package main

import (
	"errors"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/internal/bus"
)

func TestEvidenceCoversWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	report, err := evidence.Verify(w.second.Bundle(t), evidence.Trust{Policy: w.Envelope})
	if err != nil {
		t.Fatal(err)
	}
	other := attest.SHA256([]byte("other"))
	for name, test := range map[string]struct {
		target  target
		attempt int
		covered bool
	}{
		"the release":                {target{digest: w.second.ID}, 2, true},
		"an artifact":                {target{digest: w.second.Artifacts[1].SHA256}, 2, true},
		"the request submitted":      {target{digest: w.first.ID, request: w.second.Request.Digest()}, 2, true},
		"another request":            {target{digest: w.second.ID, request: other}, 2, false},
		"an earlier attempt":         {target{digest: w.first.ID}, 2, true},
		"another as a first attempt": {target{digest: other}, 1, false},
	} {
		err := test.target.covered(report, &bus.ReleaseStatus{Release: w.second.ID, Attempt: test.attempt})
		if test.covered && err != nil || !test.covered && !errors.Is(err, evidence.ErrNotVerified) {
			t.Errorf("%s: got %v, want covered %v", name, err, test.covered)
		}
	}
}

// The coordinator calls a release signed and gives the evidence from before.
func TestWaitTakesNoEvidenceWithoutSignatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for what, b := range map[string]*evidence.Bundle{"signed": w.second.Bundle(t), "unsigned": w.second.UnsignedBundle(t)} {
		report, err := evidence.Verify(b, evidence.Trust{Policy: w.Envelope})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := signedAll(report, b); (err == nil) != (what == "signed") || err != nil && !errors.Is(err, evidence.ErrNotVerified) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
