package coordinator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

const (
	// openBatch bounds how many attempts one round of the retry loop opens.
	openBatch = 100
	// freshRequest is how long whoever submitted a request has to open its first
	// attempt. Only after a crash in between is it the retry loop's.
	freshRequest = 5 * time.Second
)

// Submit takes a release request or a signed policy from the publisher whose
// connection it came on. The same request again answers with its newest release.
func (c *Coordinator) Submit(ctx context.Context, publisher string, r bus.SubmitRequest) bus.SubmitReply {
	var reply bus.SubmitReply
	var err error
	switch {
	case r.Policy != nil && r.Request == nil && r.Claim == nil:
		reply.Policy, err = c.submitPolicy(ctx, r.Policy)
	case r.Request != nil && r.Policy == nil:
		reply.Release, reply.Attempt, err = c.submitRequest(ctx, publisher, r)
	default:
		err = bus.Errorf(bus.KindInvalid, "either a release request or a policy is wanted")
	}
	if err != nil {
		c.log.InfoContext(ctx, "submission refused", slog.Any("publisher", publisher), slog.Any("reason", err))
	}
	reply.Error = answer(err)
	return reply
}

func (c *Coordinator) submitRequest(ctx context.Context, publisher string, r bus.SubmitRequest) (attest.Digest, int, error) {
	none := attest.Digest{}
	version := c.trust.Newest()
	request, err := attest.OpenRequest(r.Request, version.PublisherKey)
	if err != nil {
		return none, 0, err
	}
	if request.Publisher != publisher {
		return none, 0, bus.Errorf(bus.KindDenied, "request of publisher %q came on the connection of %q", request.Publisher, publisher)
	}
	if err := version.Admit(request); err != nil {
		return none, 0, bus.Errorf(bus.KindDenied, "%v", err)
	}
	now, err := c.store.Now(ctx)
	if err != nil {
		return none, 0, err
	}
	// Before anything is stored: what nobody may open would only lie there.
	if err := version.InForce(attest.At(now)); err != nil {
		return none, 0, bus.Errorf(bus.KindDenied, "%v", err)
	}
	if request.Claim.IsZero() != (r.Claim == nil) || r.Claim != nil && !r.Claim.Matches(request.Claim) {
		return none, 0, bus.Errorf(bus.KindInvalid, "the claim beside the request does not open the salted digest in it")
	}
	rules, err := version.Publisher(publisher)
	if err != nil {
		return none, 0, err
	}
	s := Submission{Digest: r.Request.Digest(), Envelope: r.Request, Request: request, Claim: r.Claim}
	newest, _, err := c.store.Submit(ctx, s, rules.Quota)
	if err != nil {
		return none, 0, err
	}
	if newest != nil {
		return newest.ID, newest.Attempt, nil
	}
	return c.openAttempt(ctx, s, 1)
}

// openAttempt opens a release. If another replica opens the same attempt at
// the same time, the store keeps one of the two and that one is returned.
func (c *Coordinator) openAttempt(ctx context.Context, s Submission, attempt int) (attest.Digest, int, error) {
	version := c.trust.Newest()
	r, err := c.newRelease(ctx, version, s, attempt)
	if err != nil {
		return attest.Digest{}, 0, err
	}
	err = c.store.Open(ctx, r)
	if errors.Is(err, ErrExists) {
		newest, err := c.reader.NewestOf(ctx, s.Digest)
		return newest, attempt, err
	}
	if err != nil {
		return attest.Digest{}, 0, err
	}
	c.tail.add(r.Entry, r.Envelope, s.Envelope)
	c.metrics.opened.Inc()
	c.log.InfoContext(ctx, "release opened", slog.Any("release", r.ID), slog.Any("suite", r.Suite), slog.Any("source", s.Request.Source), slog.Any("version", s.Request.Version), slog.Any("architecture", s.Request.Architecture), slog.Any("attempt", attempt))
	return r.ID, attempt, nil
}

func (c *Coordinator) newRelease(ctx context.Context, version *policy.Version, s Submission, attempt int) (NewRelease, error) {
	suite, err := version.Suite(s.Request.Suite)
	if err != nil {
		return NewRelease{}, err
	}
	if key, err := version.CoordinatorKey(c.key.Name()); err != nil || key.Fingerprint() != c.key.Fingerprint() {
		return NewRelease{}, bus.Errorf(bus.KindUnavailable, "opening key %s of this coordinator is not in policy %d", c.key.Name(), version.Serial)
	}
	now, err := c.store.Now(ctx)
	if err != nil {
		return NewRelease{}, err
	}
	if err := version.InForce(attest.At(now)); err != nil {
		return NewRelease{}, bus.Errorf(bus.KindDenied, "%v", err)
	}
	o := attest.Opening{
		Coordinator: c.key.Name(), Request: s.Digest, Policy: version.Digest, PolicySerial: version.Serial,
		Attempt: attempt, Opened: attest.At(now), Deadline: attest.At(now).Add(suite.Deadline.Duration()),
	}
	if _, err := rand.Read(o.Nonce[:]); err != nil {
		return NewRelease{}, fmt.Errorf("nonce: %w", err)
	}
	sealed, err := o.Seal(c.key)
	if err != nil {
		return NewRelease{}, err
	}
	logged, err := entry(sealed, c.key.VerifierKey)
	if err != nil {
		return NewRelease{}, err
	}
	// Suite and source, which names belong to, stand in the request alone.
	if logged.Bodies[s.Digest], err = s.Envelope.Encode(); err != nil {
		return NewRelease{}, err
	}
	r := NewRelease{
		ID: sealed.Digest(), Opening: o, Envelope: sealed, Entry: logged, Suite: suite.Name,
		Threshold: suite.Threshold, MaxDissent: suite.MaxDissent, Settle: suite.Settle.Duration(), Retries: suite.Retries,
	}
	operators := map[string]bool{}
	for _, invited := range version.Invited(suite, s.Request.Architecture) {
		r.Invited = append(r.Invited, Invited{invited.Key.Name(), invited.Operator})
		operators[invited.Operator] = true
	}
	r.Operators = len(operators)
	return r, nil
}

// openNext opens what a crash between submission and opening left unopened,
// and the next attempts of releases that expired with attempts left.
func (c *Coordinator) openNext(ctx context.Context) error {
	if err := c.refresh(ctx); err != nil {
		return err
	}
	for {
		submissions, attempts, err := c.store.Unopened(ctx, openBatch, freshRequest)
		if err != nil || len(submissions) == 0 {
			return err
		}
		for i, s := range submissions {
			if err := c.trust.Newest().Admit(s.Request); err != nil {
				if err := c.store.Abandon(ctx, s.Digest, "the policy now in force does not admit it: "+err.Error()); err != nil {
					return err
				}
				continue
			}
			if _, _, err := c.openAttempt(ctx, s, attempts[i]); err != nil && !errors.Is(err, ErrTooLate) {
				return err
			}
		}
	}
}

// publishTasks hands openings to the rebuilders. A task may be published
// twice; agents know what they have begun.
func (c *Coordinator) publishTasks(ctx context.Context) error {
	for {
		releases, err := c.store.UnpublishedTasks(ctx, openBatch)
		if err != nil || len(releases) == 0 {
			return err
		}
		done := make([]attest.Digest, 0, len(releases))
		tasks := map[string][]bus.Task{}
		for _, r := range releases {
			request, err := attest.ParseRequest(r.Body.Payload)
			if err != nil {
				return err
			}
			tasks[request.Suite] = append(tasks[request.Suite], bus.Task{Opening: r.Opening, Request: r.Body})
			done = append(done, r.ID)
		}
		for suite, some := range tasks {
			if err := c.bus.PublishTask(ctx, suite, some...); err != nil {
				return err
			}
		}
		if err := c.store.TasksPublished(ctx, done); err != nil {
			return err
		}
	}
}

// answer turns an error into what travels. What is not a refusal of ours is
// not explained to the other side; the log has it.
func answer(err error) *bus.Error {
	var known *bus.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.Is(err, policy.ErrUnjustified):
		return bus.Errorf(bus.KindDenied, "%v", err)
	case errors.Is(err, attest.ErrMalformed), errors.Is(err, attest.ErrSignatureCount):
		return bus.Errorf(bus.KindInvalid, "%v", err)
	case errors.Is(err, attest.ErrBadSignature), errors.Is(err, policy.ErrUnknown):
		return bus.Errorf(bus.KindDenied, "%v", err)
	case errors.Is(err, ErrQuota):
		return bus.Errorf(bus.KindDenied, "%v; wait until some are signed or withdraw them", err)
	case errors.Is(err, ErrNotFound):
		return bus.Errorf(bus.KindNotFound, "no such release, or none that may be shown yet")
	case errors.Is(err, ErrTooLate), errors.Is(err, ErrExists):
		return bus.Errorf(bus.KindConflict, "%v", err)
	case errors.Is(err, ErrUnavailable):
		return bus.Errorf(bus.KindUnavailable, "database unavailable; the coordinator is alive, repeat later")
	}
	return bus.Errorf(bus.KindInternal, "internal error at the coordinator; its log tells more")
}
