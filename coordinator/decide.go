package coordinator

import (
	"context"
	"fmt"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

// Bounds of the talk with the signer.
const (
	decideBatch = 64
	decideLease = time.Minute
	// decideBytes keeps a request for decisions well below bus.MaxMessage.
	decideBytes = bus.MaxMessage / 4

	policyLag     = 2 * time.Second
	refusedPause  = 15 * time.Second
	notReadyPause = time.Second
)

// decide asks the signer about releases whose vote set is closed, and stores
// what it decided.
func (c *Coordinator) decide(ctx context.Context) error {
	for {
		claimed, err := c.store.ClaimUndecided(ctx, decideBatch, decideLease)
		if err != nil || len(claimed) == 0 {
			return err
		}
		for len(claimed) > 0 {
			n := fitting(claimed)
			if err := c.decideBatch(ctx, claimed[:n]); err != nil {
				return err
			}
			claimed = claimed[n:]
		}
	}
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

// encodedSize estimates a case on the wire: base64 grows payloads by a third,
// an artifact in a list has at most about 500 bytes.
func encodedSize(u Undecided) int {
	const perArtifact, perEnvelope = 500, 400
	size := perArtifact * len(u.Artifacts)
	for _, e := range append([]*attest.Envelope{u.Opening, u.Request}, u.Votes...) {
		size += len(e.Payload)*4/3 + perEnvelope
	}
	return size
}

func (c *Coordinator) decideBatch(ctx context.Context, cases []Undecided) error {
	req := bus.DecideRequest{}
	for _, u := range cases {
		req.Cases = append(req.Cases, bus.DecideCase{
			Opening: u.Opening, Request: u.Request, Claim: u.Claim, Votes: u.Votes, Artifacts: u.Artifacts,
		})
	}
	reply, err := c.bus.Decide(ctx, req)
	if err == nil && asksForChain(reply) {
		if req.Chain, err = c.store.Policies(ctx, 0); err == nil {
			reply, err = c.bus.Decide(ctx, req)
		}
	}
	if err == nil && len(reply.Results) != len(cases) {
		err = fmt.Errorf("signer answered %d of %d cases", len(reply.Results), len(cases))
	}
	now, timeErr := c.store.Now(ctx)
	if timeErr != nil {
		return timeErr
	}
	if err != nil {
		reply.Results = make([]bus.DecideResult, len(cases))
		for i := range reply.Results {
			reply.Results[i].Error = bus.Errorf(bus.KindUnavailable, "signer unreachable: %v", err)
		}
	}
	var decided []Decision
	for i, u := range cases {
		d, err := c.accept(u, reply.Results[i])
		if err != nil {
			if err := c.undecide(ctx, u, err, now); err != nil {
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
	for _, release := range left {
		c.log.Warn("decision not stored: lease lost, or withdrawn meanwhile", "release", release)
	}
	return nil
}

func asksForChain(r bus.DecideReply) bool {
	for _, result := range r.Results {
		if result.Error != nil && result.Error.Kind == bus.KindUnknownPolicy {
			return true
		}
	}
	return false
}

// accept checks the signer's answer: the coordinator stores no decision that
// it could not defend itself.
func (c *Coordinator) accept(u Undecided, r bus.DecideResult) (Decision, error) {
	if r.Error != nil {
		return Decision{}, r.Error
	}
	version, known := c.trust.ByDigest(u.Case.Opening.Policy)
	if !known {
		return Decision{}, bus.Errorf(bus.KindNotReady, "policy of the release is not loaded yet")
	}
	d, err := attest.OpenDecision(r.Decision, version.SignerKey)
	if err != nil {
		return Decision{}, err
	}
	if d.Release != u.Release || d.Policy != version.Digest {
		return Decision{}, fmt.Errorf("signer decided release %s, was asked about %s", d.Release.Short(), u.Release.Short())
	}
	if err := d.Decides(u.Artifacts); err != nil {
		return Decision{}, err
	}
	key, err := version.SignerKey(d.Signer)
	if err != nil {
		return Decision{}, err
	}
	logged, err := entry(r.Decision, key)
	if err != nil {
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

// undecide puts a case back, with the reason shown to everybody who waits, or
// ends it when no decision can come any more.
func (c *Coordinator) undecide(ctx context.Context, u Undecided, why error, now time.Time) error {
	kind := answer(why).Kind
	pause := refusedPause
	if kind == bus.KindNotReady || kind == bus.KindUnavailable {
		pause = notReadyPause
	}
	c.metrics.undecided.WithLabelValues(string(kind)).Inc()
	c.log.Warn("no decision", "release", u.Release, "kind", kind, "reason", why)
	expire := attest.At(now) > u.Case.Opening.Deadline.Add(policy.Grace)
	reason := "the vote set is closed, but the signer has not decided: " + attest.CleanReason(why.Error())
	return c.store.Undecide(ctx, u.Release, u.Fence, reason, now.Add(jitter(2*pause)), expire, expire)
}
