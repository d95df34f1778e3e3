package cmd_test

import (
	"errors"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/monitor"
)

// Whoever changes one of the two has to change the other.
func TestMonitorsWaitForTheEvidenceLongerThanCoordinators(t *testing.T) {
	t.Parallel()
	if monitor.DefaultEvidence < 2*coordinator.UnsignedAfter {
		t.Errorf("monitors wait %v, coordinators %v: that is no room for an outage", monitor.DefaultEvidence, coordinator.UnsignedAfter)
	}
}

// evidenceOf waits for a release's evidence as everybody can get it.
func (h *house) evidenceOf(t *testing.T, release attest.Digest) *evidence.Bundle {
	t.Helper()
	var data []byte
	h.eventually(t, "the evidence is public", func() bool {
		var err error
		if data, err = h.reader.Evidence(t.Context(), release); err != nil && !errors.Is(err, coordinator.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	})
	b, err := evidence.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// One release is withdrawn after its decision, one was seen too late by the
// witnesses, one waits for the device: a stranger can evaluate all three again.
func TestEveryDecisionIsEvaluatedAgainThoughNothingIsSigned(t *testing.T) {
	t.Parallel()
	end := attest.At(time.Now()) + 120
	h := newHouse(t, houseOptions{witnesses: 2, coordinators: 2, unsignedAfter: time.Nanosecond, change: func(p *policy.Policy) {
		p.Suites[0].Retries = 0
		for i := range p.Rebuilders {
			p.Rebuilders[i].ValidUntil = end
		}
	}})
	log, m, trust := h.watched(t)
	h.device.fail(errAway)
	releases, builds := h.several(t, 3)
	waits, withdrawn, late := releases[0], releases[1], releases[2]
	for i, release := range releases[:2] {
		h.voteAll(t, release, builds[i])
		h.awaitState(t, release, coordinator.Logged)
	}
	if _, err := h.publisher.Withdraw(t.Context(), withdrawal(t, withdrawn, attest.RoleAdmin, h.Admins[0])); err != nil {
		t.Fatal(err)
	}
	h.awaitState(t, withdrawn, coordinator.Withdrawn)
	h.awaitOpened(t, late)
	for _, w := range h.witnesses {
		w.skew.Store(int64(4 * time.Minute))
	}
	h.voteAll(t, late, builds[2])
	h.awaitState(t, late, coordinator.Expired)

	pinned := evidence.Trust{Policy: h.Envelope}
	for what, release := range map[string]attest.Digest{"waits": waits, "withdrawn": withdrawn, "late": late} {
		b := h.evidenceOf(t, release)
		report, err := evidence.Reevaluate(b, pinned)
		if err != nil || !report.Unsigned() || report.Release != release || len(report.Witnesses) != 2 || (report.TooLate != nil) != (what == "late") {
			t.Errorf("%s: %v, report %+v", what, err, report)
		}
		if _, err := evidence.Verify(b, pinned); errors.Is(err, policy.ErrTooLate) != (what == "late") {
			t.Errorf("%s: verified: %v", what, err)
		}
	}
	report, err := monitor.Verify(t.Context(), log, trust, monitor.VerifyOptions{})
	if err != nil || report.Decisions != 3 || report.Evaluated != 3 || report.Signatures != 0 {
		t.Errorf("log verify: %v, %d of %d decisions evaluated again, %d signatures", err, report.Evaluated, report.Decisions, report.Signatures)
	}
	pass, err := m.Once(t.Context())
	if err != nil || pass.Alarming() {
		t.Errorf("monitor: %v, %+v", err, pass)
	}
}

// The same evidence, with the signatures, takes the place of what was shown without.
func TestEvidenceGrowsWhenTheDeviceIsBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{unsignedAfter: time.Nanosecond})
	h.device.fail(errAway)
	release := h.submit(t, h.request(t, "1.0", nil))
	b := build(t, "1.0", "")
	h.voteAll(t, release, b)
	without := h.evidenceOf(t, release)
	if len(without.Signatures) != 0 {
		t.Fatalf("%d signatures of a device that is away", len(without.Signatures))
	}
	h.device.recover()
	h.awaitState(t, release, coordinator.Signed)
	with := h.evidenceOf(t, release)
	if len(with.Signatures) != len(b.artifacts) || with.Decision.Envelope.Digest() != without.Decision.Envelope.Digest() {
		t.Errorf("%d signatures, want %d on the same decision", len(with.Signatures), len(b.artifacts))
	}
}
