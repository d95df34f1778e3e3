package translog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// record reads a record. Which signatures its envelopes carry is fixed by it,
// so every reader comes to the same verdict on them.
func (r *reader) record() error {
	record, err := attest.ParseRecord(r.entry.Envelope.Payload)
	if err != nil {
		return problemf("%w", err)
	}
	bodies := make([]*attest.Envelope, len(record.Bodies))
	for i := range bodies {
		if at := slices.IndexFunc(r.entry.Bodies, func(b *attest.Envelope) bool { return record.Brings(i, b) }); at >= 0 {
			bodies[i] = r.entry.Bodies[at]
		}
	}
	policies := r.anyPolicy()
	if record.Kind == attest.RecordPolicy && bodies[0] != nil {
		// A new coordinator may be the one that logs the policy it comes with.
		if p, err := policy.Parse(bodies[0].Payload); err == nil && r.f.chain.Check(bodies[0]) == nil {
			policies = append(policies, &p)
		}
	}
	if err := r.by(Kind(record.Kind), record.Coordinator, (*policy.Policy).CoordinatorKey, policies...); err != nil {
		// Whoever keeps back the policy that brings the key must not have us pass
		// over it: others who get it would not.
		if record.Kind == attest.RecordPolicy && bodies[0] == nil {
			return fmt.Errorf("%w: policy %s of a record by an unknown coordinator", ErrMissingBody, record.Bodies[0].Short())
		}
		return err
	}
	for i, b := range bodies {
		if b == nil {
			return fmt.Errorf("%w: %s %s of a record", ErrMissingBody, record.Kind, record.Bodies[i].Short())
		}
	}
	r.fact.Record = &RecordFact{Bodies: record.Bodies}
	switch record.Kind {
	case attest.RecordPolicy:
		return r.policy(bodies)
	case attest.RecordWithdrawal:
		return r.withdrawal(bodies)
	case attest.RecordEquivocation:
		return r.equivocation(bodies)
	case attest.RecordComplaint:
		return r.complaint(bodies[0])
	}
	return problemf("record of a kind that this follower does not know: %s", record.Kind)
}

func (r *reader) policy(bodies []*attest.Envelope) error {
	if len(bodies) != 1 {
		return problemf("record of %d policies", len(bodies))
	}
	if err := r.f.chain.Check(bodies[0]); err != nil {
		r.fact.Record.Contradicts = errors.Is(err, policy.ErrTwoPolicies)
		return problemf("%w", err)
	}
	r.fact.Record.Policy = bodies[0]
	return nil
}

// withdrawal reads a withdrawal. Its author must be in the newest policy, or in
// the release's: the one in force when the coordinator took it may have been
// followed by another one before the withdrawal reached the log.
func (r *reader) withdrawal(bodies []*attest.Envelope) error {
	if len(bodies) != 1 {
		return problemf("record of %d withdrawals", len(bodies))
	}
	w, err := attest.ParseWithdrawal(bodies[0].Payload)
	if err != nil {
		return problemf("%w", err)
	}
	release, known := r.f.Release(w.Release)
	if !known {
		return problemf("withdrawal of release %s, whose opening does not stand before it in the log", w.Release.Short())
	}
	_, err = attest.OpenWithdrawal(bodies[0], r.f.chain.Newest().AuthorKey)
	if err != nil {
		_, err = attest.OpenWithdrawal(bodies[0], release.Policy.AuthorKey)
	}
	if err != nil {
		return problemf("%w", err)
	}
	if w.Role == attest.RolePublisher && w.By != release.Publisher {
		return problemf("withdrawal by publisher %q of a release that another one requested", w.By)
	}
	r.fact.Record.Release, r.fact.Record.By = w.Release, w.By
	return nil
}

// complaint reads a complaint, by the same policies. Receipt and statement
// beside it are its proof, which is not a follower's to judge.
func (r *reader) complaint(body *attest.Envelope) error {
	c, err := attest.ParseComplaint(body.Payload)
	if err != nil {
		return problemf("%w", err)
	}
	release, known := r.f.Release(c.Release)
	if !known {
		return problemf("complaint about release %s, whose opening does not stand before it in the log", c.Release.Short())
	}
	_, err = attest.OpenComplaint(body, r.f.chain.Newest().RebuilderKey)
	if err != nil {
		_, err = attest.OpenComplaint(body, release.Policy.RebuilderKey)
	}
	if err != nil {
		return problemf("%w", err)
	}
	r.fact.Record.Release, r.fact.Record.By = c.Release, c.Rebuilder
	return nil
}

func (r *reader) equivocation(bodies []*attest.Envelope) error {
	claimed, err := attest.ParseRebuild(bodies[0].Payload)
	if err != nil {
		return problemf("%w", err)
	}
	release, known := r.f.Release(claimed.Release)
	if !known {
		return problemf("equivocation in release %s, whose opening does not stand before it in the log", claimed.Release.Short())
	}
	votes := make([]attest.Rebuild, len(bodies))
	operators := make([]string, len(bodies))
	for i, b := range bodies {
		if votes[i], err = attest.OpenRebuild(b, release.Policy.RebuilderKey); err != nil {
			return problemf("equivocation: %w", err)
		}
		member, err := release.Policy.Rebuilder(votes[i].Rebuilder)
		if err != nil {
			return problemf("equivocation: %w", err)
		}
		operators[i] = member.Operator
	}
	a, b := votes[0], votes[1]
	if a.Release != b.Release || a.Outcome != attest.Built || b.Outcome != attest.Built || a.Set == b.Set || operators[0] != operators[1] {
		return problemf("equivocation: not two votes of one operator for two sets in one release")
	}
	r.fact.Record.Release, r.fact.Record.By = a.Release, a.Rebuilder
	return nil
}
