package rebuilder_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

func pin(t *testing.T, e *attest.Envelope) *policy.Chain {
	t.Helper()
	c, err := policy.Pin(e)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recalled opens a spool as a restarted agent does.
func recalled(t *testing.T, dir string, trust *policy.Chain) error {
	t.Helper()
	spool := open(t, dir)
	err := spool.Recall(trust)
	if err := spool.Close(); err != nil {
		t.Fatal(err)
	}
	return err
}

func TestARestartedAgentKnowsThePoliciesThatItLearned(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t).start(t)
	old, successor := h.order(t), h.successor(t, nil)
	h.mu.Lock()
	h.policies = []*attest.Envelope{successor}
	h.mu.Unlock()
	o := h.sent(t, func(o *order) { o.opening.Policy, o.opening.PolicySerial = successor.Digest(), 2 })
	h.wantOutcome(t, o, attest.Built)
	p.stop()

	// A coordinator that tells it less does not bring the old policy back.
	h.mu.Lock()
	h.policies = nil
	h.mu.Unlock()
	again := h.partyOf(t, p.spool).start(t)
	h.send(t, old)
	eventually(t, "refusal", func() bool {
		return again.log.has("task refused", old.release.String(), "superseded by policy 2")
	})
	if again.quick.count(old) != 0 {
		t.Error("a release under a superseded policy was built")
	}
}

func TestAnAgentRefusesToBePinnedBack(t *testing.T) {
	h := newHouse(t, nil)
	first, second := h.Envelope, h.successor(t, nil)
	rival := h.successor(t, func(p *policy.Policy) { p.Publishers[0].Quota++ })
	third := h.successor(t, func(p *policy.Policy) { p.Serial, p.Previous = 3, second.Digest() })
	dir := filepath.Join(t.TempDir(), "spool")
	// It was pinned to policy 2, and learned policy 3.
	spool := open(t, dir)
	trust := pin(t, second)
	if err := errors.Join(spool.Recall(trust), spool.Learn(trust, third), spool.Learn(trust, third), spool.Close()); err != nil {
		t.Fatal(err)
	}
	for what, pinned := range map[string]*attest.Envelope{"older": first, "same": second, "newest": third} {
		trust := pin(t, pinned)
		if err := recalled(t, dir, trust); err != nil || trust.Newest().Serial != 3 {
			t.Errorf("%s policy pinned: policy %d in force, %v", what, trust.Newest().Serial, err)
		}
	}
	if err := recalled(t, dir, pin(t, rival)); !errors.Is(err, policy.ErrTwoPolicies) || !strings.Contains(err.Error(), "learned earlier") {
		t.Errorf("another policy 2 pinned: %v", err)
	}
	// A pinned policy that is newer than all it learned needs none of them.
	later := h.successor(t, func(p *policy.Policy) { p.Serial, p.Previous = 5, attest.SHA256([]byte("unseen")) })
	trust = pin(t, later)
	if err := recalled(t, dir, trust); err != nil || trust.Newest().Serial != 5 {
		t.Errorf("newer policy pinned: policy %d in force, %v", trust.Newest().Serial, err)
	}
	trust = pin(t, first)
	if err := recalled(t, dir, trust); err != nil || trust.Newest().Serial != 5 {
		t.Errorf("pinned back again: policy %d in force, %v", trust.Newest().Serial, err)
	}
}

func TestAPolicyIsDurableBeforeItIsInForce(t *testing.T) {
	h := newHouse(t, nil)
	second := h.successor(t, nil)
	dir := filepath.Join(t.TempDir(), "spool")
	spool := open(t, dir)
	defer spool.Close()
	trust := pin(t, h.Envelope)
	if err := spool.Recall(trust); err != nil {
		t.Fatal(err)
	}
	// In the place of the file is a directory: the disk cannot take it.
	file := filepath.Join(dir, "policies", "2.json")
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := spool.Learn(trust, second); err == nil || trust.Newest().Serial != 1 {
		t.Errorf("policy %d in force, %v", trust.Newest().Serial, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := spool.Learn(trust, second); err != nil || trust.Newest().Serial != 2 {
		t.Errorf("policy %d in force, %v", trust.Newest().Serial, err)
	}
	// What admins did not sign is not kept.
	unsigned := h.successor(t, func(p *policy.Policy) { p.Serial, p.Previous = 3, second.Digest() })
	unsigned.Signatures = unsigned.Signatures[:1]
	if err := spool.Learn(trust, unsigned); !errors.Is(err, policy.ErrNotSigned) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "policies", "3.json")); err == nil {
		t.Error("an unsigned policy is kept")
	}
}

func TestADamagedPolicyOfTheSpoolIsNotSkipped(t *testing.T) {
	h := newHouse(t, nil)
	dir := filepath.Join(t.TempDir(), "spool")
	if err := recalled(t, dir, pin(t, h.successor(t, nil))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "policies", "2.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := recalled(t, dir, pin(t, h.Envelope)); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}
