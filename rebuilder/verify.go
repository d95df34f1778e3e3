package rebuilder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

// job is a verified task.
type job struct {
	id      attest.Digest
	task    bus.Task
	request attest.Request
	opening attest.Opening
	source  attest.Digest
}

// notYet is the reason to put a task back: it may be good in a moment.
type notYet struct{ err error }

func (n *notYet) Error() string { return n.err.Error() }
func (n *notYet) Unwrap() error { return n.err }

// verify checks opening and request against the agent's own policy, before
// anything of the task is run. It refuses what could never be decided: the
// agent's time would be the attacker's.
func (a *Agent) verify(ctx context.Context, t bus.Task) (*job, error) {
	claimed, err := attest.ParseOpening(t.Opening.Payload)
	if err != nil {
		return nil, err
	}
	p, err := a.policyOf(ctx, claimed.Policy)
	if err != nil {
		return nil, err
	}
	j := &job{id: t.Opening.Digest(), task: t}
	if j.opening, err = attest.OpenOpening(t.Opening, p.CoordinatorKey); err != nil {
		return nil, err
	}
	if j.request, err = attest.OpenRequest(t.Request, p.PublisherKey); err != nil {
		return nil, err
	}
	if j.opening.Request != t.Request.Digest() {
		return nil, errors.New("opening is of another request than the task's")
	}
	if err := p.Admit(j.request); err != nil {
		return nil, err
	}
	suite, err := p.Suite(j.request.Suite)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if err := p.InForce(attest.At(now)); err != nil {
		return nil, err
	}
	if err := a.invited(p, suite, j.request.Architecture, attest.At(now)); err != nil {
		return nil, err
	}
	if j.opening.Deadline > j.opening.Opened.Add(suite.Deadline.Duration()) {
		return nil, fmt.Errorf("deadline %v is later than suite %s allows", j.opening.Deadline, suite.Name)
	}
	if !now.Before(j.opening.Deadline.Time()) {
		return nil, fmt.Errorf("deadline %v has passed", j.opening.Deadline)
	}
	j.source, err = j.request.Recipe.SourceDigest()
	return j, err
}

// invited reports why a vote of this agent would not count.
func (a *Agent) invited(p *policy.Version, s *policy.Suite, architecture string, at attest.Time) error {
	for _, r := range p.Invited(s, architecture) {
		switch {
		case r.Key.Name() != a.Name:
			continue
		case r.Key.String() != a.Key.VerifierKey.String():
			return fmt.Errorf("policy %d knows rebuilder %s by the key %v, not by this agent's %v", p.Serial, a.Name, r.Key, a.Key.VerifierKey)
		case at < r.ValidFrom || at >= r.ValidUntil:
			return fmt.Errorf("policy %d lets rebuilder %s vote from %v until %v only", p.Serial, a.Name, r.ValidFrom, r.ValidUntil)
		}
		return nil
	}
	return fmt.Errorf("rebuilder %s does not vote on %s in suite %s", a.Name, architecture, s.Name)
}

// policyOf returns the policy of a task, which must be the newest: a release is
// decided under no other (design §3.1), and a key that the newest policy has
// dropped may be in anybody's hands.
func (a *Agent) policyOf(ctx context.Context, digest attest.Digest) (*policy.Version, error) {
	if _, ok := a.Trust.ByDigest(digest); !ok {
		if err := a.refresh(ctx); err != nil {
			return nil, err
		}
	}
	v, ok := a.Trust.ByDigest(digest)
	if !ok {
		return nil, fmt.Errorf("policy %s does not follow from the pinned one", digest.Short())
	}
	if newest := a.Trust.Newest(); newest.Digest != digest {
		return nil, fmt.Errorf("policy %d of the opening is superseded by policy %d", v.Serial, newest.Serial)
	}
	return v, nil
}

// refresh asks the coordinator for the signed policies after the newest one
// known here.
func (a *Agent) refresh(ctx context.Context) error {
	known := a.Trust.Newest().Serial
	reply, err := a.Bus.Policies(ctx, bus.PolicyRequest{After: known})
	if err != nil {
		return &notYet{fmt.Errorf("asking for the policies after %d: %w", known, err)}
	}
	for _, e := range reply.Policies {
		if err := a.Spool.Learn(a.Trust, e); err != nil {
			return fmt.Errorf("policies after %d: %w", known, err)
		}
	}
	if v := a.Trust.Newest(); v.Serial != known {
		a.Log.InfoContext(ctx, "policy in force", slog.Uint64("serial", v.Serial), slog.Any("policy", v.Digest))
	}
	return nil
}
