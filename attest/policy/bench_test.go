package policy_test

import (
	"testing"

	"github.com/reprosign/reprosign/attest/policy"
)

func BenchmarkEvaluateSevenRebuilders(b *testing.B) {
	names := []string{"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta"}
	c := newCase(newPolicy(5, 1, names...))
	claim("x")(&c)
	for _, name := range names {
		c.Votes = append(c.Votes, built(name, "x"))
	}
	b.ReportAllocs()
	for b.Loop() {
		if v := policy.Evaluate(c, opened); v.Outcome != policy.Agreed {
			b.Fatal(v.Explanation)
		}
	}
}
