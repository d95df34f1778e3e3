package policy_test

import (
	"fmt"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// Two of three operators must agree; the third may still dissent until the
// suite's settle time, half an hour after the opening.
func ExampleEvaluate() {
	c := newCase(newPolicy(2, 0, "alpha", "beta", "gamma"))
	c.Votes = []policy.Vote{built("alpha", "the set"), built("beta", "the set")}

	v := policy.Evaluate(c, c.Opening.Opened)
	fmt.Println(v.Outcome, "-", v.Explanation)

	c.Votes = append(c.Votes, report("gamma", attest.BuildFailed))
	v = policy.Evaluate(c, c.Opening.Opened)
	fmt.Println(v.Outcome, "-", v.Explanation)
	// Output:
	// waiting - 2 of 3 operators agree; others may answer until 2023-11-14T23:43:20Z; waiting for gamma
	// agreed - 2 of 3 operators agree; gamma failed to build
}
