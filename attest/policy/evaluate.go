package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/reprosign/reprosign/attest"
)

// Evaluate judges a case at a time. It is pure and the order of votes and
// objections does not matter, so coordinator, signer and offline verifier
// reach the same verdict from the same case.
//
// Counted are operators, not rebuilders: m is the number of distinct operators
// that the suite invites for the architecture, n its threshold.
//
//  1. A statement is accepted if it names this release, its rebuilder is
//     invited and that rebuilder's key was valid when the release was opened. A
//     vote must also be of the suite's minimum isolation, and never of level
//     none unless the policy is insecure. All else is ignored.
//  2. An operator with votes for two sets, or with an objection of
//     equivocation, has equivocated and agrees with nothing. An operator with votes for
//     one set stands for that set, whatever it reported before or after. A key
//     that is no longer valid agrees with nothing, but its dissent stands.
//  3. The candidate is the claim's set if there is a claim, else the set that
//     most operators stand for; if several lead, there is none. A is the number
//     of operators that stand for the candidate, or for each leading set. D, the
//     dissent, is the number that stand for another set or equivocated. O is
//     the number outstanding: without vote, and with a rebuilder whose key is
//     valid and who has not answered.
//
// The first of these rules that applies gives the outcome:
//
//  4. A withdrawn release is Withdrawn.
//  5. A case that the policy does not admit is a Conflict: another policy or
//     request than the opening names, a request not admitted, a claim that is
//     missing or does not open its salted digest, an attempt beyond the suite's
//     retries, a deadline beyond the suite's, a policy not in force at the opening.
//  6. If n operators stand for another set than the claim's, and fewer for the
//     claim's, the case is a Conflict.
//  7. If A and O, and those that another attempt may bring back, together are
//     below n, the case is a Conflict: no set can reach n. Another attempt may
//     bring back the operators that reported infra-error, fetch-failed or
//     timed-out, and those without valid key.
//  8. Before the opening's time the case is Waiting.
//  9. From the policy's expiry, and later than [Grace] after the deadline, it is
//     Expired, to be tried again.
//  10. If A and O together are below n, it is Expired, to be tried again.
//  11. If A ≥ n and D > max_dissent, it is Held, until the deadline.
//  12. If A ≥ n, and O + D ≤ max_dissent or the settle time has passed since
//     the opening, it is Agreed.
//  13. It is Waiting until the deadline, and then Expired, to be tried again, as
//     is what was Held.
//
// More votes never lose agreement: a vote for the agreed set or a report
// leaves an Agreed case Agreed on that set, and so does any vote of an operator
// that was outstanding while O + D ≤ max_dissent.
//
// More objections never gain it: a case that is not Agreed on a set does not
// become so by an equivocation, a withdrawal or a vote for another set.
//
// Once a case is Agreed on a set, no further statement of anybody can make it
// Agreed on another one.
//
// The clock is the caller's own word. What the log's witnesses say of time is
// for [Confirm].
func Evaluate(c Case, at attest.Time) Verdict { return evaluate(c, at, c.Opening.Opened) }

// evaluate is Evaluate, but that a key must have been valid since a time, not
// later than the opening's.
func evaluate(c Case, at, since attest.Time) Verdict {
	suite, err := c.lawful()
	if err != nil && !c.withdrawn() {
		return Verdict{Outcome: Conflict, Explanation: "the policy does not admit this release: " + err.Error()}
	}
	if err != nil {
		return Verdict{Outcome: Withdrawn, Explanation: headWithdrawn}
	}
	t := newTally(&c, suite, at, since)
	t.count()
	v := t.verdict()
	t.judge(&v)
	v.Explanation = t.explain(&v)
	return v
}

// withdrawn is rule 4.
func (c *Case) withdrawn() bool {
	return slices.ContainsFunc(c.Objections, func(o Objection) bool { return o.Kind == ObjectionWithdrawal })
}

// lawful is rule 5.
func (c *Case) lawful() (*Suite, error) {
	p, o := c.Policy, &c.Opening
	if p == nil || o.Policy != p.Digest || o.PolicySerial != p.Serial {
		return nil, fmt.Errorf("the opening names another policy, %d", o.PolicySerial)
	}
	if o.Request != c.RequestDigest {
		return nil, errors.New("the opening names another request")
	}
	if c.Request.Claim.IsZero() != (c.Claim == nil) {
		return nil, errors.New("the request's claim is missing, or there is one that it does not make")
	}
	if c.Claim != nil && !c.Claim.Matches(c.Request.Claim) {
		return nil, errors.New("the claim is not the one in the request")
	}
	suite, err := p.admit(&c.Request)
	if err != nil {
		return nil, err
	}
	if o.Attempt > suite.Retries+1 {
		return nil, fmt.Errorf("attempt %d exceeds the suite's %s", o.Attempt, plural(suite.Retries, "retry", "retries"))
	}
	if o.Deadline > o.Opened.Add(suite.Deadline.Duration()) {
		return nil, errors.New("its deadline is later than the suite's")
	}
	if err := p.InForce(o.Opened); err != nil {
		return nil, fmt.Errorf("opened at %v: %w", o.Opened, err)
	}
	return suite, nil
}

// judge is rules 4 and 6 to 13.
func (t *tally) judge(v *Verdict) {
	n, most := t.suite.Threshold, t.suite.MaxDissent
	o := &t.c.Opening
	settled, late := o.Opened.Add(t.suite.Settle.Duration()), o.Deadline+1
	switch {
	case t.c.withdrawn():
		v.Outcome, t.why = Withdrawn, whyWithdrawn
		return
	case t.agree < n && t.other >= n:
		v.Outcome, t.why = Conflict, whyClaim
		return
	case t.agree+t.outstanding < n && t.agree+t.outstanding+t.hopeful < n:
		v.Outcome, t.why = Conflict, whyOutOfReach
		return
	case t.at < o.Opened:
		v.Outcome, v.Next, t.why = Waiting, o.Opened, whyClock
		return
	case t.at >= t.c.Policy.Expires:
		v.Outcome, v.Retry, t.why = Expired, true, whyPolicy
		return
	case t.at > o.Deadline.Add(Grace):
		v.Outcome, v.Retry, t.why = Expired, true, whyDeadline
		return
	case t.agree+t.outstanding < n:
		v.Outcome, v.Retry, t.why = Expired, true, whyOutOfReach
		return
	case t.agree >= n && t.dissent > most:
		v.Outcome, t.why = Held, whyDissent
	case t.agree >= n && (t.outstanding+t.dissent <= most || t.at >= settled):
		v.Outcome, v.Set = Agreed, t.candidate
		late = o.Deadline.Add(Grace) + 1
	default:
		v.Outcome = Waiting
		if t.agree >= n {
			t.why = whySettle
			late = min(late, settled)
		}
	}
	if v.Outcome != Agreed && t.at > o.Deadline {
		v.Outcome, v.Retry, t.why = Expired, true, whyDeadline
		return
	}
	v.Next = min(late, t.c.Policy.Expires, t.lapse)
}
