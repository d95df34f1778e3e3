package cmd_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/internal/bus"
)

// successor returns the next policy, changed and signed by all admins.
func (h *house) successor(t *testing.T, change func(p *policy.Policy)) *attest.Envelope {
	t.Helper()
	p, err := policy.Parse(h.Envelope.Payload) // a copy
	if err != nil {
		t.Fatal(err)
	}
	p.Serial++
	p.Previous, p.Issued = h.Envelope.Digest(), attest.At(time.Now())
	change(&p)
	return h.Seal(t, p)
}

func (h *house) submitPolicy(t *testing.T, e *attest.Envelope) {
	t.Helper()
	var reply bus.SubmitReply
	h.eventually(t, "policy submitted", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), answerPatience)
		defer cancel()
		var err error
		reply, err = h.publisher.Submit(ctx, h.Publisher.Name(), bus.SubmitRequest{Policy: e})
		if err != nil && bus.KindOf(err) != bus.KindUnavailable {
			t.Fatalf("submitting a policy: %v", err)
		}
		return err == nil
	})
	if reply.Policy != e.Digest() {
		t.Errorf("answered with policy %s, want %s", reply.Policy.Short(), e.Digest().Short())
	}
}

func TestANewPolicySupersedesOpenReleasesWhichAreOpenedAgainUnderIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	b := build(t, "1.0", "")
	first := h.submit(t, h.request(t, "1.0", nil))
	h.publish(t, "rebuilder-1", h.statement(t, first, h.Rebuilders[0], b))
	newcomer := evidencetest.Ed25519Key(t, "rebuilder", "newcomer")
	e := h.successor(t, func(p *policy.Policy) {
		p.Rebuilders = append(p.Rebuilders, policy.Rebuilder{
			Architectures: []string{evidencetest.Architecture}, Key: newcomer.VerifierKey, Operator: "operator-new",
			NATS: h.enrol(t, bus.RoleRebuilder, "newcomer"), ValidFrom: p.Issued - 1, ValidUntil: p.Expires,
		})
		p.Suites[0].Rebuilders = append(p.Suites[0].Rebuilders, "newcomer")
		p.Suites[0].Threshold = 3
	})
	h.submitPolicy(t, e)
	s := h.await(t, first, "superseded", func(s *bus.ReleaseStatus) bool { return s.Newest != first })
	if s.State != string(coordinator.Expired) || !strings.Contains(s.Reason, "superseded by policy 2") {
		t.Errorf("the old attempt is %s: %s", s.State, s.Reason)
	}
	second := h.awaitState(t, s.Newest, coordinator.Building)
	if second.PolicySerial != 2 || second.Operators != 4 || second.Threshold != 3 {
		t.Errorf("opened again under policy %d with %d of %d", second.PolicySerial, second.Threshold, second.Operators)
	}
	h.Use(t, e)
	h.Rebuilders = append(h.Rebuilders, newcomer)
	// The bus admits the newcomer though it was started before it was enrolled.
	if serial := <-h.admitted; serial != 2 {
		t.Fatalf("the bus learned policy %d", serial)
	}
	h.agents["newcomer"] = h.connect(t, bus.Identity{Role: bus.RoleRebuilder, Name: "newcomer"})
	h.voteAll(t, second.Release, b)
	h.awaitState(t, second.Release, coordinator.Signed)
	reply, err := h.publisher.Status(t.Context(), bus.StatusRequest{Release: second.Release, Evidence: true})
	if err != nil {
		t.Fatal(err)
	}
	h.verify(t, reply.Evidence, b) // from the first policy, by the chain in the bundle
}

func TestAReleaseBetweenQuorumAndDecisionIsSupersededToo(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	h.stopSigner()
	b := build(t, "1.0", "")
	first := h.submit(t, h.request(t, "1.0", nil))
	h.voteAll(t, first, b)
	h.await(t, first, "waiting for the signer", func(s *bus.ReleaseStatus) bool {
		return strings.Contains(s.Reason, "the signer has not decided")
	})
	e := h.successor(t, func(*policy.Policy) {})
	h.submitPolicy(t, e)
	s := h.await(t, first, "superseded", func(s *bus.ReleaseStatus) bool { return s.Newest != first })
	h.startSigner(t)
	h.Use(t, e)
	h.voteAll(t, s.Newest, b)
	h.awaitState(t, s.Newest, coordinator.Signed)
	if made := h.device.made.Load(); made != int64(len(b.files)) {
		t.Errorf("the device made %d signatures of %d artifacts", made, len(b.files))
	}
}

func TestADecidedReleaseIsSignedUnderANewPolicyByASignerThatNeverHeardOfIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	e := h.successor(t, func(*policy.Policy) {})
	h.submitPolicy(t, e)
	h.Use(t, e)
	h.device.fail(errAway)
	release := h.submit(t, h.request(t, "1.0", nil))
	h.voteAll(t, release, build(t, "1.0", ""))
	h.awaitState(t, release, coordinator.Logged)
	h.stopSigner()
	h.device.recover()
	h.startSigner(t) // pins the first policy
	h.awaitState(t, release, coordinator.Signed)
}

func TestPoliciesThatDoNotFollowAreDenied(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	same := func(*policy.Policy) {}
	longer := func(by policy.Seconds) func(*policy.Policy) {
		return func(p *policy.Policy) { p.Suites[0].Deadline += by }
	}
	unsigned := h.successor(t, longer(1))
	unsigned.Signatures = unsigned.Signatures[:1]
	usurper := h.successor(t, longer(2))
	usurper.Signatures = nil
	for _, name := range []string{"usurper-1", "usurper-2"} {
		if err := usurper.AddSignature(evidencetest.Ed25519Key(t, "admin", name)); err != nil {
			t.Fatal(err)
		}
	}
	broken := h.successor(t, func(p *policy.Policy) { p.Previous = attest.SHA256([]byte("another")) })
	twin := h.successor(t, longer(3))
	h.submitPolicy(t, h.successor(t, same))
	for name, e := range map[string]*attest.Envelope{
		"one admin": unsigned, "others' keys": usurper, "another previous": broken, "second of a serial": twin,
	} {
		var err error
		h.eventually(t, "answer about a policy", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), answerPatience)
			defer cancel()
			_, err = h.publisher.Submit(ctx, h.Publisher.Name(), bus.SubmitRequest{Policy: e})
			return bus.KindOf(err) != bus.KindUnavailable // the bus is learning the policy before
		})
		if bus.KindOf(err) != bus.KindDenied {
			t.Errorf("%s: %v, want denied", name, err)
		}
	}
	// The house goes on under the one that was first.
	release := h.submit(t, h.request(t, "1.0", nil))
	h.voteAll(t, release, build(t, "1.0", ""))
	if s := h.awaitState(t, release, coordinator.Signed); s.PolicySerial != 2 {
		t.Errorf("signed under policy %d", s.PolicySerial)
	}
}
