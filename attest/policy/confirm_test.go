package policy_test

import (
	"errors"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

func TestADecisionHoldsByTheTimeOfTheWitnesses(t *testing.T) {
	t.Parallel()
	const decided, deadline = opened + 100, opened + 7200
	for name, test := range map[string]struct {
		change func(*policy.Case)
		seen   policy.Seen
		want   bool
	}{
		"seen at once":                                   {nil, policy.Seen{Opening: opened + 1, Decision: decided + 1}, true},
		"seen within the grace":                          {nil, policy.Seen{Opening: opened + 1, Decision: deadline + grace}, true},
		"seen too late":                                  {nil, policy.Seen{Opening: opened + 1, Decision: deadline + grace + 1}, false},
		"opening seen with the decision":                 {nil, policy.Seen{Opening: decided + 9, Decision: decided + 9}, true},
		"opening proven under a later size":              {nil, policy.Seen{Opening: deadline + 86400, Decision: decided + 1}, true},
		"witnesses' clocks behind the signer's":          {nil, policy.Seen{Opening: opened - 60, Decision: decided - 60}, true},
		"policy expired before it was seen":              {func(c *policy.Case) { c.Policy.Expires = decided + 5 }, policy.Seen{Opening: opened, Decision: decided + 5}, false},
		"policy expires after it was seen":               {func(c *policy.Case) { c.Policy.Expires = decided + 6 }, policy.Seen{Opening: opened, Decision: decided + 5}, true},
		"a key expired before it was seen":               {until("alpha", decided+5), policy.Seen{Opening: opened, Decision: decided + 5}, false},
		"a key expires after it was seen":                {until("alpha", decided+6), policy.Seen{Opening: opened, Decision: decided + 5}, true},
		"a key not needed expired":                       {until("gamma", decided+5), policy.Seen{Opening: opened, Decision: decided + 5}, true},
		"a key not yet valid when the opening was seen":  {from("alpha", opened-10), policy.Seen{Opening: opened - 11, Decision: decided}, false},
		"a key valid just when the opening was seen":     {from("alpha", opened-10), policy.Seen{Opening: opened - 10, Decision: decided}, true},
		"a key not yet valid when the decision was seen": {from("alpha", opened-10), policy.Seen{Opening: opened + 5, Decision: opened - 11}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCase(newPolicy(2, 1, "alpha", "beta", "gamma"))
			c.Votes = votes(built("alpha", "x"), built("beta", "x"))
			if name == "a key not needed expired" {
				c.Votes = votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x"))
			}
			if test.change != nil {
				test.change(&c)
			}
			v := policy.Evaluate(c, decided)
			if v.Outcome != policy.Agreed {
				t.Fatalf("%s at the signer's time: %s", v.Outcome, v.Explanation)
			}
			d := attest.Decision{Decided: decided, Set: v.Set}
			err := policy.Confirm(c, d, test.seen)
			if (err == nil) != test.want || err != nil && !errors.Is(err, policy.ErrTooLate) {
				t.Errorf("confirmed: %v, want %t", err, test.want)
			}
			d.Set = digest("y")
			if err := policy.Confirm(c, d, test.seen); !errors.Is(err, policy.ErrTooLate) {
				t.Errorf("another set: %v", err)
			}
		})
	}
}

// Time alone, and what the witnesses say of it, never makes an agreement.
func TestWitnessesConfirmNothingThatWasNotAgreed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ votes []policy.Vote }{
		"too few":  {votes(built("alpha", "x"))},
		"conflict": {votes(built("alpha", "x"), built("beta", "y"), built("gamma", "z"))},
	} {
		c := newCase(newPolicy(2, 0, "alpha", "beta", "gamma"))
		c.Votes = test.votes
		for at := opened; at < opened+10000; at = at.Add(10 * time.Minute) {
			d := attest.Decision{Decided: opened + 100, Set: digest("x")}
			if err := policy.Confirm(c, d, policy.Seen{Opening: opened, Decision: at}); !errors.Is(err, policy.ErrTooLate) {
				t.Errorf("%s, seen at %v: %v", name, at, err)
			}
		}
	}
}

func until(rebuilder string, end attest.Time) func(*policy.Case) {
	return func(c *policy.Case) { key(c, rebuilder).ValidUntil = end }
}

func from(rebuilder string, begin attest.Time) func(*policy.Case) {
	return func(c *policy.Case) { key(c, rebuilder).ValidFrom = begin }
}

func key(c *policy.Case, rebuilder string) *policy.Rebuilder {
	r, err := c.Policy.Rebuilder(rebuilder)
	if err != nil {
		panic(err)
	}
	return r
}
