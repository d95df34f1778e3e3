package policy_test

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

var rebuilders = []string{"alpha", "beta", "gamma", "delta", "epsilon", "zeta"}

// drawCase draws a case under any valid rules, secure ones or not, with up to
// six rebuilders of fewer operators, and any statements of theirs.
func drawCase(t *rapid.T) policy.Case {
	names := rebuilders[:rapid.IntRange(1, len(rebuilders)).Draw(t, "rebuilders")]
	p := newPolicy(1, 0, names...)
	p.Insecure = true
	distinct := map[string]bool{}
	for i := range p.Rebuilders {
		r := &p.Rebuilders[i]
		r.Operator = rapid.SampledFrom(names).Draw(t, "operator")
		distinct[r.Operator] = true
		if rapid.IntRange(0, 5).Draw(t, "lapses") == 0 {
			r.ValidUntil = drawTime(t)
		}
	}
	s := &p.Suites[0]
	s.Threshold = rapid.IntRange(1, len(distinct)).Draw(t, "threshold")
	s.MaxDissent = rapid.IntRange(0, min(s.Threshold-1, len(distinct)-s.Threshold)).Draw(t, "max dissent")
	s.Settle = rapid.SampledFrom([]policy.Seconds{0, settle, deadline}).Draw(t, "settle")
	if err := p.Check(); err != nil {
		t.Fatalf("drawn policy: %v", err)
	}
	c := newCase(p)
	if rapid.Bool().Draw(t, "claimed") {
		claim("x")(&c)
	}
	c.Votes = rapid.SliceOfN(rapid.Custom(drawVote), 0, 12).Draw(t, "votes")
	if rapid.IntRange(0, 3).Draw(t, "objection") == 0 {
		c.Objections = append(c.Objections, drawEquivocation(t))
	}
	return c
}

func drawTime(t *rapid.T) attest.Time {
	return opened + rapid.SampledFrom([]attest.Time{0, 1, settle - 1, settle, deadline, deadline + 1, deadline + grace, deadline + grace + 1}).Draw(t, "time")
}

func drawVote(t *rapid.T) policy.Vote {
	who := rapid.SampledFrom(rebuilders).Draw(t, "rebuilder")
	if outcome := rapid.SampledFrom(append([]attest.Outcome{attest.Built, attest.Built, attest.Built}, attest.Outcomes()...)).Draw(t, "outcome"); outcome != attest.Built {
		return report(who, outcome)
	}
	return built(who, rapid.SampledFrom([]string{"x", "x", "x", "y", "z"}).Draw(t, "set"))
}

func drawEquivocation(t *rapid.T) policy.Objection {
	return policy.Objection{Kind: policy.ObjectionEquivocation, Rebuilder: rapid.SampledFrom(rebuilders).Draw(t, "equivocator")}
}

// with returns the case with further statements and objections, in another order.
func with(t *rapid.T, c policy.Case, v []policy.Vote, o ...policy.Objection) policy.Case {
	c.Votes = slices.Concat(c.Votes, v)
	c.Objections = slices.Concat(c.Objections, o)
	random := rand.New(rand.NewSource(rapid.Int64().Draw(t, "order")))
	random.Shuffle(len(c.Votes), func(i, j int) { c.Votes[i], c.Votes[j] = c.Votes[j], c.Votes[i] })
	return c
}

func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, at := drawCase(t), drawTime(t)
		if diff := cmp.Diff(policy.Evaluate(c, at), policy.Evaluate(with(t, c, nil), at)); diff != "" {
			t.Errorf("verdict in another order (-first +second):\n%s", diff)
		}
	})
}

func TestMoreVotesNeverLoseAgreement(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, at := drawCase(t), drawTime(t)
		before := policy.Evaluate(c, at)
		if before.Outcome != policy.Agreed {
			t.Skip("not agreed")
		}
		more := drawVote(t)
		operator := ""
		if r, err := c.Policy.Rebuilder(more.Rebuilder); err == nil {
			operator = r.Operator
		}
		early := len(before.Waiting)+len(before.Differ)+len(before.Equivocated) <= c.Policy.Suites[0].MaxDissent
		harmless := more.Outcome != attest.Built || more.Set == before.Set || early && slices.Contains(before.Waiting, operator)
		after := policy.Evaluate(with(t, c, []policy.Vote{more}), at)
		if harmless && (after.Outcome != policy.Agreed || after.Set != before.Set) {
			t.Errorf("%s of %s takes %q to %q", more.Outcome, more.Rebuilder, before.Explanation, after.Explanation)
		}
	})
}

func TestMoreObjectionsNeverGainAgreement(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, at := drawCase(t), drawTime(t)
		before := policy.Evaluate(c, at)
		vote := drawVote(t)
		vote.Outcome, vote.Set = attest.Built, digest(rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "other set"))
		for what, after := range map[string]policy.Verdict{
			"vote":         policy.Evaluate(with(t, c, []policy.Vote{vote}), at),
			"equivocation": policy.Evaluate(with(t, c, nil, drawEquivocation(t)), at),
			"withdrawal":   policy.Evaluate(with(t, c, nil, policy.Objection{Kind: policy.ObjectionWithdrawal}), at),
		} {
			gained := after.Outcome == policy.Agreed && (before.Outcome != policy.Agreed || before.Set != after.Set)
			if gained && (what != "vote" || after.Set != vote.Set) {
				t.Errorf("%s takes %q to %q", what, before.Explanation, after.Explanation)
			}
		}
	})
}

func TestAgreementNeverMovesToAnotherSet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, at := drawCase(t), drawTime(t)
		before := policy.Evaluate(c, at)
		if before.Outcome != policy.Agreed {
			t.Skip("not agreed")
		}
		more := rapid.SliceOfN(rapid.Custom(drawVote), 0, 20).Draw(t, "more")
		after := policy.Evaluate(with(t, c, more, drawEquivocation(t)), drawTime(t))
		if after.Outcome == policy.Agreed && after.Set != before.Set {
			t.Errorf("%q moved to another set: %q", before.Explanation, after.Explanation)
		}
	})
}

func TestAgreementNeedsDistinctOperators(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, at := drawCase(t), drawTime(t)
		v := policy.Evaluate(c, at)
		if v.Outcome != policy.Agreed {
			t.Skip("not agreed")
		}
		// Counted again by the plainest means.
		sets := map[string]map[attest.Digest]bool{}
		for _, vote := range c.Votes {
			r, err := c.Policy.Rebuilder(vote.Rebuilder)
			if err != nil || vote.Outcome != attest.Built || at >= r.ValidUntil {
				continue
			}
			if sets[r.Operator] == nil {
				sets[r.Operator] = map[attest.Digest]bool{}
			}
			sets[r.Operator][vote.Set] = true
		}
		agree := 0
		for _, s := range sets {
			if len(s) == 1 && s[v.Set] {
				agree++
			}
		}
		if agree < c.Policy.Suites[0].Threshold {
			t.Errorf("agreed with %d operators of %d needed: %s", agree, c.Policy.Suites[0].Threshold, v.Explanation)
		}
	})
}

// An offline verifier sees the accepted statements alone.
func TestTheAcceptedStatementsAloneGiveTheSameDecision(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, at := drawCase(t), drawTime(t)
		before := policy.Evaluate(c, at)
		if before.Outcome != policy.Agreed {
			t.Skip("not agreed")
		}
		c.Objections = nil
		c.Votes = slices.DeleteFunc(slices.Clone(c.Votes), func(v policy.Vote) bool { return !slices.Contains(before.Accepted, v.Statement) })
		after := policy.Evaluate(c, at)
		if after.Outcome != policy.Agreed || after.Set != before.Set || !slices.Equal(after.Accepted, before.Accepted) {
			t.Errorf("%q becomes %q", before.Explanation, after.Explanation)
		}
	})
}

func TestNothingChangesBeforeNext(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, at, later := drawCase(t), drawTime(t), drawTime(t)
		before := policy.Evaluate(c, at)
		if later <= at || before.Next.IsZero() || later >= before.Next {
			t.Skip("not between")
		}
		after := policy.Evaluate(c, later)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("verdict before its next time %v (-at %v +at %v):\n%s", before.Next, at, later, diff)
		}
	})
}

func TestEveryOperatorIsInOneList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCase(t)
		v := policy.Evaluate(c, drawTime(t))
		all := slices.Concat(v.Agree, v.Differ, v.Failed, v.Errored, v.Equivocated, v.Waiting, v.Lapsed)
		slices.Sort(all)
		if len(all) != v.Operators || len(slices.Compact(all)) != v.Operators || len(v.Views) != len(c.Policy.Rebuilders) {
			t.Errorf("%d operators, lists hold %v, %d views", v.Operators, all, len(v.Views))
		}
		for _, vote := range c.Votes {
			if _, ignored := v.Ignored[vote.Statement]; ignored == slices.Contains(v.Accepted, vote.Statement) {
				t.Errorf("the %s of %s is neither accepted nor ignored, or both", vote.Outcome, vote.Rebuilder)
			}
		}
	})
}
