package evidence_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
)

func TestEvidenceWithoutSignaturesVerifiesAndVouchesForNoFile(t *testing.T) {
	t.Parallel()
	r := evidencetest.New(t, evidencetest.Options{}).Release(t, 1)
	b := r.UnsignedBundle(t)
	for how, verify := range map[string]func(*evidence.Bundle, evidence.Trust) (*evidence.Report, error){
		"verified": evidence.Verify, "evaluated again": evidence.Reevaluate,
	} {
		report, err := verify(b, evidence.Trust{Policy: r.World.Envelope})
		if err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		if caveats := report.Caveats(); !report.Unsigned() || report.TooLate != nil || !strings.HasPrefix(caveats[0], "unsigned: ") {
			t.Errorf("%s: caveats %q", how, caveats)
		}
		last := report.Steps[len(report.Steps)-1]
		if last.What != "signatures" || !strings.HasPrefix(last.Detail, "none: ") {
			t.Errorf("%s: last step %q", how, last)
		}
		_, err = report.CheckFile(r.Artifacts[0].Name, bytes.NewReader(r.Files[0]))
		if !errors.Is(err, evidence.ErrUnsigned) || !errors.Is(err, evidence.ErrNotVerified) {
			t.Errorf("%s: the file: %v, want unsigned", how, err)
		}
	}
	report, err := evidence.Verify(r.Bundle(t), evidence.Trust{Policy: r.World.Envelope})
	if err != nil || report.Unsigned() || strings.Contains(strings.Join(report.Caveats(), "\n"), "unsigned") {
		t.Errorf("signed evidence says that it is not: %v", err)
	}
}

// The signer decided as it had to; the witnesses came after the deadline.
func TestADecisionThatCameTooLateIsEvaluatedAgainAndNeverVerifies(t *testing.T) {
	t.Parallel()
	r := evidencetest.New(t, evidencetest.Options{Witnesses: 3}).Release(t, 1)
	r.SeeLate(t)
	trust := evidence.Trust{Policy: r.World.Envelope}
	b := r.UnsignedBundle(t)
	if _, err := evidence.Verify(b, trust); !errors.Is(err, policy.ErrTooLate) || !errors.Is(err, evidence.ErrNotVerified) {
		t.Errorf("verified: %v, want too late", err)
	}
	report, err := evidence.Reevaluate(b, trust)
	if err != nil || !errors.Is(report.TooLate, policy.ErrTooLate) {
		t.Errorf("evaluated again: %v", err)
	}

	if _, err := evidence.Build(r.Parts()); !errors.Is(err, policy.ErrTooLate) {
		t.Errorf("built with signatures: %v, want too late", err)
	}
	signed := *b
	signed.Signatures, signed.Certificates = r.Parts().Signatures, [][]byte{r.World.Certificate.Binary()}
	if _, err := evidence.Reevaluate(&signed, trust); !errors.Is(err, policy.ErrTooLate) {
		t.Errorf("evaluated again with signatures: %v, want too late", err)
	}
}

func TestAnUnsignedDecisionMustFollowFromItsVotes(t *testing.T) {
	t.Parallel()
	r := evidencetest.New(t, evidencetest.Options{}).Release(t, 1)
	b := *r.UnsignedBundle(t)
	b.Votes = b.Votes[1:]
	if _, err := evidence.Reevaluate(&b, evidence.Trust{Policy: r.World.Envelope}); !errors.Is(err, evidence.ErrNotVerified) {
		t.Errorf("a vote is missing: %v, want not verified", err)
	}
	// Nor with what no signature needs.
	b = *r.UnsignedBundle(t)
	b.Certificates = [][]byte{r.World.Certificate.Binary()}
	if _, err := evidence.Reevaluate(&b, evidence.Trust{Policy: r.World.Envelope}); err == nil || !strings.Contains(err.Error(), "signs nothing") {
		t.Errorf("with a certificate: %v", err)
	}
}
