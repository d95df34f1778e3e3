package cmd_test

import (
	"bytes"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/internal/bus"
)

func TestAnAgreedReleaseIsSignedAndItsEvidenceVerifies(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	b := build(t, "1.0", "")
	release := h.submit(t, h.request(t, "1.0", b.artifacts))
	h.voteAll(t, release, b)
	reply, err := h.publisher.Status(t.Context(), bus.StatusRequest{
		Release: release, WaitFor: string(coordinator.Signed), WaitSeconds: bus.MaxWait, Evidence: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := reply.Release
	if s.State != string(coordinator.Signed) || len(s.Artifacts) != len(b.files) {
		t.Fatalf("got %+v, want signed", s)
	}
	for i, a := range s.Artifacts {
		if a.Artifact != b.artifacts[i] || len(a.Signatures) != 1 {
			t.Fatalf("artifact %d: %+v", i, a)
		}
		if _, err := openpgp.Verify(h.Certificate, a.Signatures[0].Signature, bytes.NewReader(b.files[i])); err != nil {
			t.Errorf("signature of %s: %v", a.Name, err)
		}
	}
	bundle, err := evidence.Parse(reply.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	report, err := evidence.Verify(bundle, evidence.Trust{Policy: h.Envelope})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Unwitnessed {
		t.Error("verdict does not say that the log is unwitnessed")
	}
	if made := h.device.made.Load(); made != int64(len(b.files)) {
		t.Errorf("the device made %d signatures for %d artifacts", made, len(b.files))
	}
}

func TestTheSameRequestIsTheSameRelease(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	r := h.request(t, "1.0", nil)
	first := h.submit(t, r)
	if again := h.submit(t, r); again != first {
		t.Errorf("got release %s, then %s", first.Short(), again.Short())
	}
}

func TestDisagreementIsAConflictAndTheDeviceIsNeverAsked(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	release := h.submit(t, h.request(t, "1.0", nil))
	for _, key := range h.Rebuilders {
		h.publish(t, key.Name(), h.statement(t, release, key, build(t, "1.0", key.Name())))
	}
	s := h.awaitState(t, release, coordinator.Conflict)
	if !s.Final || h.device.made.Load() != 0 {
		t.Errorf("final %v, %d signatures made", s.Final, h.device.made.Load())
	}
	if s.Reason == "" {
		t.Error("conflict without a reason")
	}
}

func TestArtifactsOtherThanTheClaimAreAConflict(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	release := h.submit(t, h.request(t, "1.0", build(t, "1.0", "the candidate").artifacts))
	h.voteAll(t, release, build(t, "1.0", "what everybody builds"))
	h.awaitState(t, release, coordinator.Conflict)
}

func TestInfraErrorsOpenTheNextAttempt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	r := h.request(t, "1.0", nil)
	first := h.submit(t, r)
	b := build(t, "1.0", "")
	for _, key := range h.Rebuilders[:2] {
		h.publish(t, key.Name(), h.statement(t, first, key, b, failed(attest.InfraError, source(t, r))))
	}
	s := h.await(t, first, "superseded", func(s *bus.ReleaseStatus) bool { return s.Newest != first })
	if s.Final {
		t.Error("an expired attempt with a successor is called final")
	}
	h.voteAll(t, s.Newest, b)
	if s := h.awaitState(t, s.Newest, coordinator.Signed); s.Attempt != 2 {
		t.Errorf("attempt %d was signed, want 2", s.Attempt)
	}
}
