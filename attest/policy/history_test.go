package policy_test

import (
	"errors"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

func TestAChainGrowsBackwardsByTheDigestsThatItsPoliciesName(t *testing.T) {
	t.Parallel()
	one := sign(t, newPolicy(2, 0, "alpha", "beta", "gamma"), "ann", "bob")
	two := sign(t, after(one, nil), "ann", "bob")
	three := sign(t, after(two, nil), "ann", "bob")
	c, err := policy.Pin(three)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Precede(one); !errors.Is(err, policy.ErrBroken) {
		t.Errorf("policy 1 before policy 3: %v", err)
	}
	forged := sign(t, after(one, quota(7)), "ann", "bob")
	if err := c.Precede(forged); !errors.Is(err, policy.ErrBroken) {
		t.Errorf("another policy 2: %v", err)
	}
	for _, e := range []*attest.Envelope{two, one} {
		if err := c.Precede(e); err != nil {
			t.Fatal(err)
		}
	}
	if c.Oldest().Serial != 1 || c.Newest().Serial != 3 {
		t.Errorf("chain leads from policy %d to policy %d", c.Oldest().Serial, c.Newest().Serial)
	}
	if _, known := c.ByDigest(two.Digest()); !known {
		t.Error("policy 2 is not found by its digest")
	}
	if err := c.Precede(one); !errors.Is(err, policy.ErrBroken) {
		t.Errorf("a policy before the first: %v", err)
	}
}

func TestCheckSaysWhatAddWouldDoAndDoesNothing(t *testing.T) {
	t.Parallel()
	one, c := first(t)
	good := sign(t, after(one, nil), "ann", "bob")
	for range 2 {
		if err := c.Check(good); err != nil {
			t.Fatal(err)
		}
	}
	if c.Newest().Serial != 1 {
		t.Error("the policy was added")
	}
	if err := c.Check(sign(t, after(one, nil), "ann")); !errors.Is(err, policy.ErrNotSigned) {
		t.Errorf("too few signatures: %v", err)
	}
	if err := c.Check(one); err != nil {
		t.Errorf("a known policy: %v", err)
	}
	if err := c.Check(&attest.Envelope{}); !errors.Is(err, attest.ErrMalformed) {
		t.Errorf("no policy: %v", err)
	}
}
