package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

// Bounds of the talk with the signer.
const (
	decideBatch = 256
	// deciders is how many batches of closed releases are in hand at a time: while
	// the signer decides one, the decisions of another are stored.
	deciders = 2
	// decideLease is how long a crash of the coordinator delays a decision.
	decideLease = 30 * time.Second
	// decidePatience is for one message; it ends before the lease does.
	decidePatience = 20 * time.Second
	// decideBytes keeps a request for decisions well below bus.MaxMessage.
	decideBytes = bus.MaxMessage / 2

	policyLag     = 2 * time.Second
	refusedPause  = 15 * time.Second
	notReadyPause = time.Second
)

// decideClosed asks the signer about releases as they close.
func (c *Coordinator) decideClosed(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case closed := <-c.closed.batches:
			err := c.decideClaimed(ctx, closed)
			<-c.closed.room
			if err != nil && ctx.Err() == nil {
				c.metrics.failures.WithLabelValues(string(TopicDecide)).Inc()
				c.log.WarnContext(ctx, "decisions interrupted, repeating when their leases end", slog.Any("reason", err))
			}
		}
	}
}

// decide asks the signer again about releases whose vote set is closed and
// whose lease ended without a decision.
func (c *Coordinator) decide(ctx context.Context) error {
	if err := c.refresh(ctx); err != nil {
		return err
	}
	for {
		claimed, err := c.store.ClaimUndecided(ctx, decideBatch, decideLease)
		if err != nil || len(claimed) == 0 {
			return err
		}
		if err := c.decideClaimed(ctx, claimed); err != nil {
			return err
		}
	}
}

func (c *Coordinator) decideClaimed(ctx context.Context, claimed []Undecided) error {
	claimed, err := c.dropSuperseded(ctx, claimed)
	if err != nil {
		return err
	}
	for len(claimed) > 0 {
		n := fitting(claimed)
		results, err := c.askDecisions(ctx, claimed[:n])
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			// The other batches would only wait as long, one after the other.
			return c.undecideAll(ctx, claimed, err)
		}
		if err := c.conclude(ctx, claimed[:n], results); err != nil {
			return err
		}
		claimed = claimed[n:]
	}
	return nil
}

// dropSuperseded ends cases of older policies and returns the others. A policy
// that is not known here is newer: another replica stored it.
func (c *Coordinator) dropSuperseded(ctx context.Context, cases []Undecided) ([]Undecided, error) {
	newest := c.trust.Newest()
	var left []Undecided
	for _, u := range cases {
		version, known := c.trust.ByDigest(u.Terms.Policy)
		if !known || version.Digest == newest.Digest {
			left = append(left, u)
			continue
		}
		if err := c.unlessFenced(c.store.Undecide(ctx, u.Release, u.Fence, superseded(version, newest), time.Time{}, true, true)); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// fitting returns how many cases fit into one message, at least one.
func fitting(cases []Undecided) int {
	bytes := 0
	for i, u := range cases {
		bytes += encodedSize(u)
		if i > 0 && bytes > decideBytes {
			return i
		}
	}
	return len(cases)
}

// encodedSize estimates a case on the wire: an artifact in a list has at most
// about 500 bytes.
func encodedSize(u Undecided) int {
	const perArtifact = 500
	size := perArtifact * len(u.Artifacts)
	for _, e := range append([]*attest.Envelope{u.Opening, u.Request}, u.Votes...) {
		size += encodedEnvelope(e)
	}
	return size
}

// encodedEnvelope estimates an envelope on the wire: base64 grows the payload by a
// third, and around it and each signature there is no more than as many bytes.
func encodedEnvelope(e *attest.Envelope) int {
	const around, perSignature = 200, 200
	return len(e.Payload)*4/3 + around + perSignature*len(e.Signatures)
}

// askDecisions returns the signer's answer to each case. The error is about
// the signer, not about a case.
func (c *Coordinator) askDecisions(ctx context.Context, cases []Undecided) ([]bus.DecideResult, error) {
	ctx, cancel := context.WithTimeout(ctx, decidePatience)
	defer cancel()
	req := bus.DecideRequest{Cases: make([]bus.DecideCase, len(cases))}
	for i, u := range cases {
		req.Cases[i] = bus.DecideCase{
			Opening: u.Opening, Request: u.Request, Claim: u.Claim, Votes: u.Votes, Artifacts: u.Artifacts,
		}
	}
	reply, err := c.bus.Decide(ctx, req)
	if err == nil && len(reply.Results) != len(cases) {
		err = fmt.Errorf("signer answered %d of %d cases", len(reply.Results), len(cases))
	}
	return reply.Results, err
}

// conclude stores the decisions among the answers and puts the other cases back.
func (c *Coordinator) conclude(ctx context.Context, cases []Undecided, results []bus.DecideResult) error {
	decided := make([]Decision, 0, len(cases))
	for i, u := range cases {
		d, err := c.accept(u, results[i])
		if err != nil {
			if err := c.undecideAll(ctx, cases[i:i+1], err); err != nil {
				return err
			}
			continue
		}
		decided = append(decided, d)
	}
	if len(decided) == 0 {
		return nil
	}
	left, err := c.store.Decide(ctx, decided)
	if err != nil {
		return err
	}
	c.metrics.decided.Add(float64(len(decided) - len(left)))
	for _, d := range decided {
		if !slices.Contains(left, d.Release) {
			c.tail.add(d.Entry, d.Envelope)
		}
	}
	for _, release := range left {
		c.log.WarnContext(ctx, "decision not stored: lease lost, or withdrawn meanwhile", slog.Any("release", release))
	}
	return nil
}

// accept checks the signer's answer: the coordinator stores no decision that
// it could not defend itself.
func (c *Coordinator) accept(u Undecided, r bus.DecideResult) (Decision, error) {
	if r.Error != nil {
		return Decision{}, r.Error
	}
	version, known := c.trust.ByDigest(u.Terms.Policy)
	if !known {
		return Decision{}, bus.Errorf(bus.KindNotReady, "policy of the release is not loaded yet")
	}
	if r.Decision == nil {
		return Decision{}, errors.New("signer answered without a decision")
	}
	d, err := attest.ParseDecision(r.Decision.Payload)
	if err != nil {
		return Decision{}, err
	}
	key, err := version.SignerKey(d.Signer)
	if err != nil {
		return Decision{}, err
	}
	logged, err := entry(r.Decision, key) // verifies the signature
	if err != nil {
		return Decision{}, err
	}
	if d.Release != u.Release || d.Policy != version.Digest {
		return Decision{}, fmt.Errorf("signer decided release %s, was asked about %s", d.Release.Short(), u.Release.Short())
	}
	if err := d.Decides(u.Artifacts); err != nil {
		return Decision{}, err
	}
	if err := leavesOut(u, version, d); err != nil {
		return Decision{}, err
	}
	suite, err := version.Suite(u.Suite)
	if err != nil {
		return Decision{}, err
	}
	out := Decision{Release: u.Release, Fence: u.Fence, Envelope: r.Decision, Decision: d, Entry: logged}
	for _, cert := range suite.Certificates {
		if cert.Use == policy.UseArtifacts {
			out.Certificates = append(out.Certificates, cert.Fingerprint)
		}
	}
	return out, nil
}

// leavesOut reports a statement that the signer was sent and did not list, though
// it counts at the decision's own time. Those that count for nothing are few: only
// for them the case is judged again.
func leavesOut(u Undecided, version *policy.Version, d attest.Decision) error {
	unlisted := func(e *attest.Envelope) bool { return !slices.Contains(d.Votes, e.Digest()) }
	if !slices.ContainsFunc(u.Votes, unlisted) {
		return nil
	}
	k := policy.Case{
		Policy: version, RequestDigest: u.RequestDigest, Opening: u.Terms, Release: u.Release, Claim: u.Claim,
	}
	var err error
	if k.Request, err = attest.ParseRequest(u.Request.Payload); err != nil {
		return err
	}
	for _, e := range u.Votes {
		r, err := attest.ParseRebuild(e.Payload)
		if err != nil {
			return err
		}
		k.Votes = append(k.Votes, policy.Vote{Rebuild: r, Statement: e.Digest()})
	}
	accepted := policy.Evaluate(k, d.Decided).Accepted
	for i, e := range u.Votes {
		if unlisted(e) && slices.Contains(accepted, k.Votes[i].Statement) {
			return fmt.Errorf("signer's decision leaves out a statement of %s that it was sent and that counts; find out whether the signer is at fault",
				k.Votes[i].Rebuilder)
		}
	}
	return nil
}

// undecideAll puts cases back, with the reason shown to everybody who waits,
// or ends them when no decision can come any more.
func (c *Coordinator) undecideAll(ctx context.Context, cases []Undecided, why error) error {
	now, err := c.store.Now(ctx)
	if err != nil {
		return err
	}
	kind := answer(why).Kind
	pause := refusedPause
	if kind == bus.KindNotReady || kind == bus.KindUnavailable {
		pause = notReadyPause
	}
	for _, u := range cases {
		c.metrics.undecided.WithLabelValues(string(kind)).Inc()
		c.log.WarnContext(ctx, "no decision", slog.Any("release", u.Release), slog.Any("kind", kind), slog.Any("reason", why))
		expire := attest.At(now) > u.Terms.Deadline.Add(policy.Grace)
		reason := "the vote set is closed, but the signer has not decided"
		if expire {
			reason = fmt.Sprintf("the deadline of %v passed before the signer decided", u.Terms.Deadline)
		}
		reason += ": " + withoutDigests(attest.CleanReason(why.Error()))
		if err := c.unlessFenced(c.store.Undecide(ctx, u.Release, u.Fence, reason, now.Add(jitter(2*pause)), expire, expire)); err != nil {
			return err
		}
	}
	return nil
}

// unlessFenced passes on an error that is not about a lost lease: whoever has
// the lease now does what is left to do.
func (c *Coordinator) unlessFenced(err error) error {
	if errors.Is(err, ErrFenced) {
		c.log.Info("lease lost to another worker", slog.Any("reason", err))
		return nil
	}
	return err
}

// hexRun is what a digest looks like, shortened ones included.
var hexRun = regexp.MustCompile(`[0-9a-fA-F]{12,}`)

// withoutDigests keeps the embargo in a sentence of another process.
func withoutDigests(s string) string { return hexRun.ReplaceAllString(s, "…") }
