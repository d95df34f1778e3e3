package evidence_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
)

func TestSpoiledEvidenceIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	for _, c := range evidencetest.Spoils() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			sound, spoiled, trust := c.Make(t)
			if _, err := evidence.Verify(sound, trust); err != nil {
				t.Fatalf("before: %v", err)
			}
			report, err := evidence.Verify(spoiled, trust)
			if !errors.Is(err, evidence.ErrNotVerified) || report != nil {
				t.Fatalf("verified: %v", err)
			}
			if prefix := evidence.ErrNotVerified.Error() + ": " + c.Step + ": "; !strings.HasPrefix(err.Error(), prefix) || !strings.Contains(err.Error(), c.Why) {
				t.Errorf("refused with %q, want step %q and %q", err, c.Step, c.Why)
			}
		})
	}
}

func TestSoundEvidenceOfAllKindsIsAccepted(t *testing.T) {
	t.Parallel()
	for _, c := range evidencetest.Sounds() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			b, trust, name, file := c.Case(t)
			report, err := evidence.Verify(b, trust)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := report.CheckFile(name, bytes.NewReader(file)); err != nil {
				t.Error(err)
			}
			if report.Unwitnessed != c.Unwitnessed || c.Unwitnessed != slices.ContainsFunc(report.Caveats(), func(s string) bool { return strings.HasPrefix(s, "unwitnessed") }) {
				t.Errorf("unwitnessed %t, want %t; caveats %q", report.Unwitnessed, c.Unwitnessed, report.Caveats())
			}
		})
	}
}

func TestForeignTrustRefusesTheBundle(t *testing.T) {
	r := evidencetest.New(t, evidencetest.Options{}).Release(t, 1)
	foreign := r.World.Policy
	foreign.Admins.Keys = slices.Clone(foreign.Admins.Keys)
	key := evidencetest.Ed25519Key(t, "admin", "mallory")
	foreign.Admins.Keys[0] = key.VerifierKey
	e, err := foreign.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.AddSignature(r.World.Admins[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Verify(r.Bundle(t), evidence.Trust{Policy: e}); !errors.Is(err, evidence.ErrNotVerified) {
		t.Errorf("verified under foreign trust: %v", err)
	}
}

func TestNothingUnverifiedIsBuilt(t *testing.T) {
	r := evidencetest.New(t, evidencetest.Options{}).Release(t, 1)
	for what, spoil := range map[string]func(p *evidence.Parts){
		"no policy":         func(p *evidence.Parts) { p.Policies = nil },
		"missing policy":    func(p *evidence.Parts) { p.Policies = []*attest.Envelope{nil} },
		"no request":        func(p *evidence.Parts) { p.Request = nil },
		"no opening":        func(p *evidence.Parts) { p.Opening = nil },
		"no decision":       func(p *evidence.Parts) { p.Decision.Envelope = nil },
		"no votes":          func(p *evidence.Parts) { p.Votes = nil },
		"no artifacts":      func(p *evidence.Parts) { p.Artifacts = nil },
		"no proof":          func(p *evidence.Parts) { p.Decision.Proof = translog.Proof{} },
		"no opening proof":  func(p *evidence.Parts) { p.OpeningProof = translog.Proof{} },
		"earlier, but none": func(p *evidence.Parts) { p.Earlier = []evidence.Logged{{}} },
	} {
		parts := r.Parts()
		spoil(&parts)
		if _, err := evidence.Build(parts); err == nil {
			t.Errorf("%s: built", what)
		}
	}
}
