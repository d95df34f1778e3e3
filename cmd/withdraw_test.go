package cmd_test

import (
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/internal/bus"
)

func withdrawal(t *testing.T, release attest.Digest, role attest.Role, key attest.SigningKey) bus.WithdrawRequest {
	t.Helper()
	e, err := attest.Withdrawal{
		Role: role, By: key.Name(), Release: release, Reason: "the source has a backdoor", At: attest.At(time.Now()),
	}.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	return bus.WithdrawRequest{Withdrawal: e}
}

func TestOneAdminOrThePublisherMayWithdrawAndNobodyElse(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	release := h.submit(t, h.request(t, "1.0", nil))
	stranger := evidencetest.Ed25519Key(t, "admin", "stranger")
	posing := evidencetest.Ed25519Key(t, "impostor", h.Admins[0].Name())
	for name, q := range map[string]bus.WithdrawRequest{
		"a stranger":              withdrawal(t, release, attest.RoleAdmin, stranger),
		"under an admin's name":   withdrawal(t, release, attest.RoleAdmin, posing),
		"a rebuilder":             withdrawal(t, release, attest.RolePublisher, h.Rebuilders[0]),
		"an admin as a publisher": withdrawal(t, release, attest.RolePublisher, h.Admins[0]),
	} {
		if _, err := h.publisher.Withdraw(t.Context(), q); bus.KindOf(err) != bus.KindDenied {
			t.Errorf("%s: %v, want denied", name, err)
		}
	}
	if _, err := h.publisher.Withdraw(t.Context(), bus.WithdrawRequest{}); bus.KindOf(err) != bus.KindInvalid {
		t.Errorf("nothing: %v, want invalid", err)
	}
	for version, by := range map[string]struct {
		role attest.Role
		key  attest.SigningKey
	}{"2.0": {attest.RoleAdmin, h.Admins[1]}, "3.0": {attest.RolePublisher, h.Publisher}} {
		release := h.submit(t, h.request(t, version, nil))
		q := withdrawal(t, release, by.role, by.key)
		for range 2 { // saying it again changes nothing
			// Anybody may deliver it.
			if _, err := h.agents["rebuilder-1"].Withdraw(t.Context(), q); err != nil {
				t.Fatalf("%s: %v", by.role, err)
			}
		}
		h.voteAll(t, release, build(t, version, ""))
		if s := h.awaitState(t, release, coordinator.Withdrawn); !s.Final {
			t.Errorf("withdrawn by the %s, but not final", by.role)
		}
		h.eventually(t, "withdrawal in the log", func() bool {
			_, err := h.reader.Body(t.Context(), q.Withdrawal.Digest())
			return err == nil
		})
	}
	h.voteAll(t, release, build(t, "1.0", ""))
	h.awaitState(t, release, coordinator.Signed)
	if made := h.device.made.Load(); made != 2 {
		t.Errorf("the device made %d signatures, want those of the one release that nobody withdrew", made)
	}
}

// What the log says before the signer is asked, it knows when it is asked,
// whatever the coordinator makes of it.
func TestAReleaseWithdrawnBetweenDecisionAndSignatureIsNeverSigned(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	h.device.fail(errAway)
	release := h.submit(t, h.request(t, "1.0", nil))
	h.voteAll(t, release, build(t, "1.0", ""))
	h.awaitState(t, release, coordinator.Logged)
	h.eventually(t, "signer asked", func() bool { return h.tap.signs.Load() != nil })
	h.stopSigner() // no request is in its hands any more: what it has begun cannot be called back
	inHand := *h.tap.signs.Load()
	q := withdrawal(t, release, attest.RoleAdmin, h.Admins[0])
	if _, err := h.publisher.Withdraw(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	h.eventually(t, "withdrawal in the log", func() bool {
		_, err := h.reader.Body(t.Context(), q.Withdrawal.Digest())
		return err == nil
	})
	h.device.recover()
	h.startSigner(t)
	// A coordinator that does not care what was withdrawn.
	h.eventually(t, "refusal", func() bool {
		_, err := h.tap.Sign(t.Context(), inHand)
		if err == nil {
			t.Fatal("the withdrawn release was signed")
		}
		return bus.KindOf(err) == bus.KindDenied && strings.Contains(err.Error(), "withdrawn")
	})
	// Another release passes all loops, so nothing of the first one is left in them.
	other := h.submit(t, h.request(t, "2.0", nil))
	h.voteAll(t, other, build(t, "2.0", ""))
	h.awaitState(t, other, coordinator.Signed)
	s := h.awaitState(t, release, coordinator.Withdrawn)
	for _, a := range s.Artifacts {
		if len(a.Signatures) > 0 {
			t.Errorf("%s is signed", a.Name)
		}
	}
	if made := h.device.made.Load(); made != 2 {
		t.Errorf("the device made %d signatures, want the other release's 2", made)
	}
}

func TestTwoVotesOfOneOperatorAreRecordedAsProofAndVoid(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{rebuilders: 4, threshold: 3})
	b := build(t, "1.0", "")
	release := h.submit(t, h.request(t, "1.0", nil))
	first := h.statement(t, release, h.Rebuilders[3], b)
	second := h.statement(t, release, h.Rebuilders[3], build(t, "1.0", "another"))
	for _, v := range []bus.Vote{first, second} {
		h.publish(t, "rebuilder-4", v)
	}
	h.eventually(t, "both votes stored", func() bool {
		_, counted, late := h.answers(t, "rebuilder-4", first.Envelope.Digest(), second.Envelope.Digest())
		return len(counted) == 1 && len(late) == 1
	})
	if _, err := h.reader.Body(t.Context(), second.Envelope.Digest()); err == nil {
		t.Error("the proof is published while the embargo lasts")
	}
	for _, key := range h.Rebuilders[:3] {
		h.publish(t, key.Name(), h.statement(t, release, key, b))
	}
	// The equivocator is dissent that the suite does not allow: no signature.
	h.awaitState(t, release, coordinator.Held)
	if _, err := h.publisher.Withdraw(t.Context(), withdrawal(t, release, attest.RolePublisher, h.Publisher)); err != nil {
		t.Fatal(err)
	}
	h.eventually(t, "proof in the log", func() bool {
		for _, v := range []bus.Vote{first, second} {
			data, err := h.reader.Body(t.Context(), v.Envelope.Digest())
			if err != nil {
				return false
			}
			if e, err := attest.ParseEnvelope(data); err != nil || e.Verify(h.Rebuilders[3].VerifierKey) != nil {
				t.Fatalf("logged proof does not verify: %v", err)
			}
		}
		return true
	})
	s := h.awaitState(t, release, coordinator.Withdrawn)
	if s.Votes[3].View != "equivocated" || h.device.made.Load() != 0 {
		t.Errorf("view %s, %d signatures made", s.Votes[3].View, h.device.made.Load())
	}
}

func TestAnEquivocationAfterTheDecisionIsLoggedToo(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	release := h.submit(t, h.request(t, "1.0", nil))
	h.voteAll(t, release, build(t, "1.0", ""))
	h.awaitState(t, release, coordinator.Signed)
	second := h.statement(t, release, h.Rebuilders[0], build(t, "1.0", "another"))
	h.publish(t, "rebuilder-1", second)
	h.eventually(t, "proof in the log", func() bool {
		_, err := h.reader.Body(t.Context(), second.Envelope.Digest())
		return err == nil
	})
}
