package monitor

import (
	"context"
	"errors"
	"fmt"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// complaint is a rebuilder's complaint in the log that was not judged yet.
type complaint struct {
	Entry   int64         `json:"entry"`
	Release attest.Digest `json:"release"`
	By      string        `json:"by"`
	// Bodies and Envelopes are the digests of complaint, receipt and statement,
	// without and with their signatures.
	Bodies    []attest.Digest `json:"bodies"`
	Envelopes []attest.Digest `json:"envelopes"`
	Newest    attest.Digest   `json:"newest"` // the newest policy before the entry
	Since     attest.Time     `json:"since"`  // when it was seen in the log
	Next      attest.Time     `json:"next"`   // when to try again
}

// complaintOf notes a complaint to be judged: that takes the evidence of its
// release, which the log's entries do not hold.
func (a *auditor) complaintOf(e *translog.Entry, fact *translog.Fact) {
	if fact.Kind != translog.KindComplaint || fact.Problem != "" {
		return
	}
	record, err := attest.ParseRecord(e.Envelope.Payload)
	if err != nil {
		return // the follower has read it
	}
	a.complaints = append(a.complaints, complaint{
		Entry: e.Index, Release: fact.Record.Release, By: fact.Record.By,
		Bodies: record.Bodies, Envelopes: record.Envelopes, Newest: a.follower.Chain().Newest().Digest,
	})
}

// takeComplaints returns the complaints that were read since it was called last.
func (a *auditor) takeComplaints() []complaint {
	taken := a.complaints
	a.complaints = nil
	return taken
}

// judgeComplaint says, as an alarm, whether a complaint is justified: then a
// statement that a coordinator called counted is missing in the decision. Errors
// say why nobody can tell yet; they wrap [ErrUnreachable] if the log is away.
func (a *auditor) judgeComplaint(ctx context.Context, c complaint) (Alarm, error) {
	kind := Complaint
	what, err := a.dispute(ctx, c)
	if errors.Is(err, policy.ErrUnjustified) {
		kind, what = UnjustifiedComplaint, err.Error()
	} else if err != nil {
		return Alarm{}, err
	}
	return alarm(kind, c.cause(), "rebuilder %s complains about the decision on %s: %s", c.By, a.name(c.Release), what).at(c.Entry, c.Release), nil
}

// unjudged says that nobody can tell whether a complaint is justified.
func (a *auditor) unjudged(c complaint, err error) Alarm {
	return alarm(Complaint, c.cause(), "rebuilder %s complains about the decision on %s, and whether it is right cannot be seen: %v", c.By, a.name(c.Release), err).
		at(c.Entry, c.Release)
}

func (c complaint) cause() string { return fmt.Sprintf("entry %d", c.Entry) }

// dispute judges a complaint by the release's evidence, and says what was left
// out. Errors wrap [policy.ErrUnjustified], or are those of [auditor.judgeComplaint].
func (a *auditor) dispute(ctx context.Context, c complaint) (string, error) {
	r, known := a.follower.Release(c.Release)
	newest, _ := a.follower.Chain().ByDigest(c.Newest)
	const parts = 3
	if !known || r.Decision == nil || len(c.Bodies) != parts || len(c.Envelopes) != parts {
		return "", fmt.Errorf("%w: it has %d parts and is about no decision in the log", policy.ErrUnjustified, len(c.Bodies))
	}
	bodies := make([]*attest.Envelope, parts)
	named := attest.Record{Bodies: c.Bodies, Envelopes: c.Envelopes}
	for i, digest := range c.Bodies {
		var err error
		if bodies[i], err = a.log.Body(ctx, digest); err != nil {
			return "", err
		}
		if !named.Brings(i, bodies[i]) {
			return "", fmt.Errorf("%w: another envelope is served as body %v", ErrMissing, digest)
		}
	}
	bundle, err := a.log.Evidence(ctx, c.Release)
	if err != nil {
		return "", err
	}
	d := policy.Dispute{
		Policy: r.Policy, Newest: newest, Opening: bundle.Opening, Request: bundle.Request, Decision: bundle.Decision.Envelope,
		Complaint: bodies[0], Receipt: bodies[1], Statement: bodies[2], Listed: bundle.Votes,
	}
	if d.Opening.Digest() != c.Release || d.Decision == nil || d.Decision.Digest() != r.Decision.Statement {
		return "", fmt.Errorf("%w: the evidence is of another decision than log entry %d", ErrMissing, r.Decision.Index)
	}
	// Both are in the log with good signatures. Whoever serves bad ones must not make the
	// rebuilder look wrong.
	_, badOpening := attest.OpenOpening(d.Opening, r.Policy.CoordinatorKey)
	_, badDecision := attest.OpenDecision(d.Decision, r.Policy.SignerKey)
	if err := errors.Join(badOpening, badDecision); err != nil {
		return "", fmt.Errorf("%w: the evidence does not hold what is in the log: %w", ErrMissing, err)
	}
	if _, err := d.Judge(); err != nil {
		return "", err
	}
	return leftOut(bodies[2], bundle)
}

// leftOut says what a statement is that a decision should list.
func leftOut(statement *attest.Envelope, b *evidence.Bundle) (string, error) {
	s, err := attest.ParseRebuild(statement.Payload)
	if err != nil {
		return "", err
	}
	d, err := attest.ParseDecision(b.Decision.Envelope.Payload)
	if err != nil {
		return "", err
	}
	switch {
	case s.Outcome != attest.Built:
		return fmt.Sprintf("its counted report of %s was left out", s.Outcome), nil
	case s.Set == d.Set:
		return "its counted vote for the decided files was left out", nil
	}
	return "its counted vote for OTHER files was left out; dissent was hidden", nil
}
