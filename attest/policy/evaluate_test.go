package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// evaluation is a case under the policy 2 of alpha, beta, gamma without
// dissent, unless the test changes it.
type evaluation struct {
	threshold, maxDissent int
	operators             []string
	policy                func(*policy.Policy)
	change                func(*policy.Case)
	votes                 []policy.Vote
	objections            []policy.Objection
	after                 attest.Time // the opening, in seconds

	want    policy.Outcome
	set     string
	explain string
	retry   bool
	next    attest.Time // after the opening; zero for never
}

func (e evaluation) build() policy.Case {
	if e.threshold == 0 {
		e.threshold = 2
	}
	if e.operators == nil {
		e.operators = []string{"alpha", "beta", "gamma"}
	}
	p := newPolicy(e.threshold, e.maxDissent, e.operators...)
	if e.policy != nil {
		e.policy(&p)
	}
	c := newCase(p)
	c.Votes, c.Objections = e.votes, e.objections
	if e.change != nil {
		e.change(&c)
	}
	return c
}

const (
	settle   = 1800
	deadline = 7200
	grace    = 600
)

func claim(set string) func(*policy.Case) {
	return func(c *policy.Case) {
		c.Claim = &attest.Claim{Salt: digest("salt"), Set: digest(set)}
		c.Request.Claim = c.Claim.Digest()
	}
}

func votes(v ...policy.Vote) []policy.Vote { return v }

var five = []string{"alpha", "beta", "gamma", "delta", "epsilon"}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	weak := built("beta", "x")
	weak.Isolation = attest.IsolationNone
	elsewhere := built("beta", "x")
	elsewhere.Release = digest("another release")
	for name, e := range map[string]evaluation{
		"nobody has answered": {
			want: policy.Waiting, next: deadline + 1,
			explain: "0 of 3 operators agree, 2 needed; waiting for alpha, beta, gamma",
		},
		"one vote is no quorum": {
			votes: votes(built("beta", "x")), want: policy.Waiting, next: deadline + 1,
			explain: "1 of 3 operators agrees, 2 needed; waiting for alpha, gamma",
		},
		"n agree, but the others may still dissent": {
			votes: votes(built("alpha", "x"), built("beta", "x")), want: policy.Waiting, next: settle,
			explain: "2 of 3 operators agree; others may answer until 2023-11-14T23:43:20Z; waiting for gamma",
		},
		"n agree and the settle time has passed": {
			votes: votes(built("alpha", "x"), built("beta", "x")), after: settle, want: policy.Agreed, set: "x", next: deadline + grace + 1,
			explain: "2 of 3 operators agree; no answer from gamma",
		},
		"all agree": {
			votes: votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x")), want: policy.Agreed, set: "x", next: deadline + grace + 1,
			explain: "3 of 3 operators agree",
		},
		"n agree and the last reports": {
			votes: votes(built("alpha", "x"), built("beta", "x"), report("gamma", attest.BuildFailed)),
			want:  policy.Agreed, set: "x", next: deadline + grace + 1, explain: "2 of 3 operators agree; gamma failed to build",
		},
		"the outstanding are too few to matter": {
			threshold: 3, maxDissent: 1, operators: five,
			votes: votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x"), report("delta", attest.TimedOut)),
			want:  policy.Agreed, set: "x", next: deadline + grace + 1,
			explain: "3 of 5 operators agree; no answer from epsilon; delta timed out",
		},
		"the outstanding could exceed the dissent allowed": {
			threshold: 3, maxDissent: 1, operators: five,
			votes: votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x"), built("delta", "y")),
			want:  policy.Waiting, next: settle,
			explain: "3 of 5 operators agree; others may answer until 2023-11-14T23:43:20Z; waiting for epsilon; delta differs",
		},
		"dissent allowed": {
			threshold: 3, maxDissent: 1, operators: five, after: settle,
			votes: votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x"), built("delta", "y")),
			want:  policy.Agreed, set: "x", next: deadline + grace + 1, explain: "3 of 5 operators agree; no answer from epsilon; delta differs",
		},
		"a set that differs by one file is dissent": {
			votes: votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x but one file")), after: settle,
			want: policy.Held, next: deadline + 1, explain: "2 of 3 operators agree, but the suite allows no dissent; gamma differs",
		},
		"dissent above the limit": {
			threshold: 4, maxDissent: 1, operators: append([]string{"zeta"}, five...), after: settle,
			votes: votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x"), built("zeta", "x"), built("delta", "y"), built("epsilon", "z")),
			want:  policy.Held, next: deadline + 1, explain: "4 of 6 operators agree, but the suite allows at most 1 dissenting; delta, epsilon differ",
		},
		"a hold ends at the deadline": {
			votes: votes(built("alpha", "x"), built("beta", "x"), built("gamma", "y")), after: deadline + 1,
			want: policy.Expired, retry: true,
			explain: "the deadline of 2023-11-15T01:13:20Z passed before the release was decided; 2 of 3 operators agree; gamma differs",
		},
		"a quorum may be decided in the grace after the deadline": {
			votes: votes(built("alpha", "x"), built("beta", "x")), after: deadline + grace,
			want: policy.Agreed, set: "x", next: deadline + grace + 1, explain: "2 of 3 operators agree; no answer from gamma",
		},
		"a quorum is too late after the grace": {
			votes: votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x")), after: deadline + grace + 1,
			want: policy.Expired, retry: true,
			explain: "the deadline of 2023-11-15T01:13:20Z passed before the release was decided; 3 of 3 operators agree",
		},
		"no quorum at the deadline": {
			votes: votes(built("alpha", "x")), after: deadline, want: policy.Waiting, next: deadline + 1,
			explain: "1 of 3 operators agrees, 2 needed; waiting for beta, gamma",
		},
		"no quorum after the deadline": {
			votes: votes(built("alpha", "x")), after: deadline + 1, want: policy.Expired, retry: true,
			explain: "the deadline of 2023-11-15T01:13:20Z passed before the release was decided; 1 of 3 operators agrees; no answer from beta, gamma",
		},
		"two keys of one operator count once": {
			policy: func(p *policy.Policy) { p.Rebuilders[1].Operator = "alpha"; p.Insecure = true },
			votes:  votes(built("alpha", "x"), built("beta", "x")), after: settle,
			want: policy.Waiting, next: deadline + 1, explain: "1 of 2 operators agrees, 2 needed; waiting for gamma",
		},
		"an operator is outstanding while one of its rebuilders is": {
			policy: func(p *policy.Policy) { p.Rebuilders[1].Operator = "alpha" },
			votes:  votes(report("alpha", attest.BuildFailed), built("gamma", "x")),
			want:   policy.Waiting, next: deadline + 1, explain: "1 of 2 operators agrees, 2 needed; waiting for alpha",
		},
		"equivocation voids the operator's vote": {
			votes: votes(built("alpha", "x"), built("beta", "x"), built("beta", "y")), after: settle,
			want: policy.Waiting, next: deadline + 1, explain: "1 of 3 operators agrees, 2 needed; waiting for gamma; beta equivocated",
		},
		"equivocation is dissent": {
			votes: votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x"), built("gamma", "y")),
			want:  policy.Held, next: deadline + 1, explain: "2 of 3 operators agree, but the suite allows no dissent; gamma equivocated",
		},
		"equivocation of one operator through two keys": {
			operators: []string{"alpha", "beta", "gamma", "delta"},
			policy:    func(p *policy.Policy) { p.Rebuilders[3].Operator = "gamma" },
			votes:     votes(built("alpha", "x"), built("gamma", "x"), built("delta", "y")), after: settle,
			want: policy.Waiting, next: deadline + 1, explain: "1 of 3 operators agrees, 2 needed; waiting for beta; gamma equivocated",
		},
		"equivocation by objection": {
			votes: votes(built("alpha", "x"), built("beta", "x")), objections: []policy.Objection{{Kind: policy.ObjectionEquivocation, Rebuilder: "beta"}},
			after: settle, want: policy.Waiting, next: deadline + 1,
			explain: "1 of 3 operators agrees, 2 needed; waiting for gamma; beta equivocated",
		},
		"an objection to a stranger changes nothing": {
			votes: votes(built("alpha", "x"), built("beta", "x")), objections: []policy.Objection{{Kind: policy.ObjectionEquivocation, Rebuilder: "mallory"}},
			after: settle, want: policy.Agreed, set: "x", next: deadline + grace + 1, explain: "2 of 3 operators agree; no answer from gamma",
		},
		"the same set twice is no equivocation": {
			votes: votes(built("alpha", "x"), built("alpha", "x"), statement(attest.Rebuild{
				Rebuilder: "alpha", Outcome: attest.Built, Set: digest("x"), Isolation: attest.IsolationUID,
			})),
			want: policy.Waiting, next: deadline + 1, explain: "1 of 3 operators agrees, 2 needed; waiting for beta, gamma",
		},
		"built counts after a report": {
			votes: votes(report("alpha", attest.InfraError), built("alpha", "x"), built("beta", "x"), report("gamma", attest.FetchFailed)),
			want:  policy.Agreed, set: "x", next: deadline + grace + 1, explain: "2 of 3 operators agree; gamma had an infrastructure error",
		},
		"no hash can reach n": {
			votes: votes(built("alpha", "x"), built("beta", "y"), built("gamma", "z")), want: policy.Conflict,
			explain: "at most 1 of 3 operators can agree, 2 needed; alpha, beta, gamma differ from one another",
		},
		"conflict as soon as the outstanding cannot help": {
			threshold: 3, operators: five, votes: votes(built("alpha", "x"), built("beta", "y"), built("gamma", "z"), report("delta", attest.BuildFailed)),
			want:    policy.Conflict,
			explain: "at most 2 of 5 operators can agree, 3 needed; no answer from epsilon; alpha, beta, gamma differ from one another; delta failed to build",
		},
		"no conflict while the outstanding can help": {
			threshold: 3, operators: five, votes: votes(built("alpha", "x"), built("beta", "y"), built("gamma", "z")),
			want: policy.Waiting, next: deadline + 1,
			explain: "0 of 5 operators agree, 3 needed; waiting for delta, epsilon; alpha, beta, gamma differ from one another",
		},
		"a conflict stays one after the deadline": {
			votes: votes(built("alpha", "x"), built("beta", "y"), built("gamma", "z")), after: deadline + grace + 1, want: policy.Conflict,
			explain: "at most 1 of 3 operators can agree, 2 needed; alpha, beta, gamma differ from one another",
		},
		"all fail to build": {
			votes: votes(report("alpha", attest.BuildFailed), report("beta", attest.BuildFailed)), want: policy.Conflict,
			explain: "at most 1 of 3 operators can agree, 2 needed; no answer from gamma; alpha, beta failed to build",
		},
		"errors make agreement impossible in this attempt": {
			votes: votes(built("alpha", "x"), report("beta", attest.InfraError), report("gamma", attest.FetchFailed)), want: policy.Expired, retry: true,
			explain: "in this attempt at most 1 of 3 operators can agree, 2 needed; beta, gamma had infrastructure errors",
		},
		"time-outs make agreement impossible in this attempt": {
			votes: votes(built("alpha", "x"), report("beta", attest.TimedOut), report("gamma", attest.BuildFailed)), want: policy.Expired, retry: true,
			explain: "in this attempt at most 1 of 3 operators can agree, 2 needed; gamma failed to build; beta timed out",
		},
		"errors do not hide a conflict": {
			threshold: 3, votes: votes(built("alpha", "x"), built("beta", "y"), report("gamma", attest.InfraError)), want: policy.Conflict,
			explain: "at most 1 of 3 operators can agree, 3 needed; alpha, beta differ from one another; gamma had an infrastructure error",
		},
		"n agree with the claim": {
			change: claim("x"), votes: votes(built("alpha", "x"), built("beta", "x")), after: settle,
			want: policy.Agreed, set: "x", next: deadline + grace + 1, explain: "2 of 3 operators agree; no answer from gamma",
		},
		"n agree on something else than the claim": {
			change: claim("c"), votes: votes(built("alpha", "x"), built("beta", "x")), want: policy.Conflict,
			explain: "what 2 of 3 operators agree on differs from the claim; no answer from gamma; alpha, beta differ from the claim",
		},
		"the claim is no vote": {
			change: claim("x"), votes: votes(built("alpha", "x")), after: settle, want: policy.Waiting, next: deadline + 1,
			explain: "1 of 3 operators agrees, 2 needed; waiting for beta, gamma",
		},
		"a majority of an insecure policy does not override the claim": {
			operators: five, policy: func(p *policy.Policy) { p.Insecure = true }, change: claim("x"), after: settle,
			votes: votes(built("alpha", "x"), built("beta", "x"), built("gamma", "y"), built("delta", "y"), built("epsilon", "y")),
			want:  policy.Held, next: deadline + 1,
			explain: "2 of 5 operators agree, but the suite allows no dissent; delta, epsilon, gamma differ from the claim",
		},
		"two sets reach the n of an insecure policy": {
			operators: five[:4], policy: func(p *policy.Policy) { p.Insecure = true }, after: settle,
			votes: votes(built("alpha", "x"), built("beta", "x"), built("gamma", "y"), built("delta", "y")),
			want:  policy.Held, next: deadline + 1,
			explain: "0 of 4 operators agree, but the suite allows no dissent; alpha, beta, delta, gamma differ from one another",
		},
		"withdrawn": {
			votes: votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x")), objections: []policy.Objection{{Kind: policy.ObjectionWithdrawal}},
			want: policy.Withdrawn, explain: "the release was withdrawn",
		},
		"withdrawn though unlawful": {
			change: func(c *policy.Case) { c.Request.Source = "other" }, objections: []policy.Objection{{Kind: policy.ObjectionWithdrawal}},
			want: policy.Withdrawn, explain: "the release was withdrawn",
		},
		"a vote on another release": {
			votes: votes(built("alpha", "x"), elsewhere), after: settle, want: policy.Waiting, next: deadline + 1,
			explain: "1 of 3 operators agrees, 2 needed; waiting for beta, gamma",
		},
		"a vote of an uninvited rebuilder": {
			votes: votes(built("alpha", "x"), built("mallory", "x")), after: settle, want: policy.Waiting, next: deadline + 1,
			explain: "1 of 3 operators agrees, 2 needed; waiting for beta, gamma",
		},
		"a vote of a rebuilder of another suite": {
			operators: five[:4], votes: votes(built("alpha", "x"), built("delta", "x")), after: settle,
			policy: func(p *policy.Policy) { p.Suites[0].Rebuilders = p.Suites[0].Rebuilders[:3] },
			want:   policy.Waiting, next: deadline + 1, explain: "1 of 3 operators agrees, 2 needed; waiting for beta, gamma",
		},
		"a vote of a rebuilder of another architecture": {
			operators: five[:4], votes: votes(built("alpha", "x"), built("delta", "x")), after: settle,
			policy: func(p *policy.Policy) { p.Rebuilders[3].Architectures = []string{"arm64"} },
			want:   policy.Waiting, next: deadline + 1, explain: "1 of 3 operators agrees, 2 needed; waiting for beta, gamma",
		},
		"a vote built without isolation": {
			votes: votes(built("alpha", "x"), weak), after: settle, want: policy.Waiting, next: deadline + 1,
			explain: "1 of 3 operators agrees, 2 needed; waiting for beta, gamma",
		},
		"a vote built with less isolation than demanded": {
			policy: func(p *policy.Policy) { p.Insecure, p.Suites[0].MinIsolation = true, attest.IsolationBwrap },
			votes: votes(built("alpha", "x"), statement(attest.Rebuild{
				Rebuilder: "beta", Outcome: attest.Built, Set: digest("x"), Isolation: attest.IsolationUserns,
			})), after: settle, want: policy.Waiting, next: deadline + 1,
			explain: "1 of 3 operators agrees, 2 needed; waiting for beta, gamma",
		},
		"an insecure policy may admit builds without isolation": {
			policy: func(p *policy.Policy) { p.Insecure, p.Suites[0].MinIsolation = true, attest.IsolationNone },
			votes:  votes(built("alpha", "x"), weak), after: settle, want: policy.Agreed, set: "x", next: deadline + grace + 1,
			explain: "2 of 3 operators agree; no answer from gamma",
		},
		"a secure policy never admits builds without isolation": {
			policy: func(p *policy.Policy) { p.Suites[0].MinIsolation = attest.IsolationNone },
			votes:  votes(built("alpha", "x"), weak), after: settle, want: policy.Waiting, next: deadline + 1,
			explain: "1 of 3 operators agrees, 2 needed; waiting for beta, gamma",
		},
		"a key that is valid only after the opening": {
			policy: func(p *policy.Policy) { p.Rebuilders[1].ValidFrom = opened + 1 },
			votes:  votes(built("alpha", "x"), built("beta", "x")), after: settle, want: policy.Waiting, next: deadline + 1,
			explain: "1 of 3 operators agrees, 2 needed; waiting for gamma; beta has no valid key",
		},
		"a key that expired before the opening": {
			policy: func(p *policy.Policy) { p.Rebuilders[1].ValidUntil = opened },
			votes:  votes(built("alpha", "x"), built("beta", "x")), after: settle, want: policy.Waiting, next: deadline + 1,
			explain: "1 of 3 operators agrees, 2 needed; waiting for gamma; beta has no valid key",
		},
		"a key that lapses before the decision": {
			policy: func(p *policy.Policy) { p.Rebuilders[1].ValidUntil = opened + settle },
			votes:  votes(built("alpha", "x"), built("beta", "x")), after: settle, want: policy.Waiting, next: deadline + 1,
			explain: "1 of 3 operators agrees, 2 needed; waiting for gamma; beta has no valid key",
		},
		"the verdict may change when a key lapses": {
			policy: func(p *policy.Policy) { p.Rebuilders[1].ValidUntil = opened + settle },
			votes:  votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x")), after: settle - 1, want: policy.Agreed, set: "x", next: settle,
			explain: "3 of 3 operators agree",
		},
		"dissent outlives its key": {
			policy: func(p *policy.Policy) { p.Rebuilders[1].ValidUntil = opened + settle },
			votes:  votes(built("alpha", "x"), built("beta", "y"), built("gamma", "x")), after: settle, want: policy.Held, next: deadline + 1,
			explain: "2 of 3 operators agree, but the suite allows no dissent; beta differs",
		},
		"dissent under a key that expired before the opening": {
			policy: func(p *policy.Policy) { p.Rebuilders[1].ValidUntil = opened },
			votes:  votes(built("alpha", "x"), built("beta", "y"), built("gamma", "x")), want: policy.Agreed, set: "x", next: deadline + grace + 1,
			explain: "2 of 3 operators agree; beta has no valid key",
		},
		"an operator does not wait for its lapsed key": {
			operators: []string{"alpha", "beta", "gamma", "delta"},
			policy: func(p *policy.Policy) {
				p.Rebuilders[3].Operator, p.Rebuilders[3].ValidUntil = "gamma", opened+1
			},
			votes: votes(built("alpha", "x"), built("beta", "x"), report("gamma", attest.BuildFailed)), after: 1,
			want: policy.Agreed, set: "x", next: deadline + grace + 1, explain: "2 of 3 operators agree; gamma failed to build",
		},
		"a report under a lapsed key does not count": {
			operators: []string{"alpha", "beta", "gamma", "delta"},
			policy: func(p *policy.Policy) {
				p.Rebuilders[3].Operator, p.Rebuilders[3].ValidUntil = "gamma", opened+1
			},
			votes: votes(built("alpha", "x"), built("beta", "y"), report("gamma", attest.BuildFailed), report("delta", attest.InfraError)), after: 1,
			want:    policy.Conflict,
			explain: "at most 1 of 3 operators can agree, 2 needed; alpha, beta differ from one another; gamma failed to build",
		},
		"lapsed keys leave too few for this attempt": {
			policy: func(p *policy.Policy) {
				p.Rebuilders[1].ValidUntil = opened + 1
				p.Rebuilders[2].ValidUntil = opened + 1
			},
			votes: votes(built("alpha", "x")), after: settle, want: policy.Expired, retry: true,
			explain: "in this attempt at most 1 of 3 operators can agree, 2 needed; beta, gamma have no valid keys",
		},
		"the policy expired": {
			policy: func(p *policy.Policy) { p.Expires = opened + settle },
			votes:  votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x")), after: settle, want: policy.Expired, retry: true,
			explain: "policy 1 expired at 2023-11-14T23:43:20Z before the release was decided; the admins must sign its successor",
		},
		"the policy was about to expire": {
			policy: func(p *policy.Policy) { p.Expires = opened + settle },
			votes:  votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x")), after: settle - 1, want: policy.Agreed, set: "x", next: settle,
			explain: "3 of 3 operators agree",
		},
		"a clock before the opening": {
			votes: votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x")), after: -1, want: policy.Waiting, next: 0,
			explain: "the clock is before the time of the opening",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := policy.Evaluate(e.build(), opened+e.after)
			want := policy.Verdict{Outcome: e.want, Retry: e.retry, Explanation: e.explain}
			if e.set != "" {
				want.Set = digest(e.set)
			}
			if e.next != 0 || e.after < 0 {
				want.Next = opened + e.next
			}
			got = policy.Verdict{Outcome: got.Outcome, Set: got.Set, Retry: got.Retry, Next: got.Next, Explanation: got.Explanation}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}
