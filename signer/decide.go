package signer

import (
	"context"
	"log/slog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

// Decide evaluates each case and seals a decision for those in which the
// operators agree. One refused case does not touch the others.
func (s *Signer) Decide(ctx context.Context, req bus.DecideRequest) bus.DecideReply {
	reply := bus.DecideReply{Results: make([]bus.DecideResult, len(req.Cases))}
	fail := func(err error) bus.DecideReply {
		for i := range reply.Results {
			reply.Results[i].Error = answer(err)
		}
		return reply
	}
	if len(req.Cases) > MaxCases {
		return fail(refusal(bus.KindInvalid, "%d cases, at most %d allowed", len(req.Cases), MaxCases))
	}
	if err := s.extend(req.Chain); err != nil {
		return fail(err)
	}
	for i, c := range req.Cases {
		if err := ctx.Err(); err != nil {
			reply.Results[i].Error = answer(refusal(bus.KindUnavailable, "signer is stopping"))
			continue
		}
		decision, err := s.decide(c)
		if err != nil {
			reply.Results[i].Error = answer(err)
			s.metrics.refused.WithLabelValues("decide", string(reply.Results[i].Error.Kind)).Inc()
			s.log.WarnContext(ctx, "decision refused", slog.Any("release", caseID(c)), slog.Any("reason", err))
			continue
		}
		reply.Results[i].Decision = decision
		s.metrics.decisions.Inc()
		s.log.InfoContext(ctx, "decided", slog.Any("release", caseID(c)), slog.Any("decision", decision.Digest()))
	}
	return reply
}

func caseID(c bus.DecideCase) string {
	if c.Opening == nil {
		return ""
	}
	return c.Opening.Digest().String()
}

func (s *Signer) decide(c bus.DecideCase) (*attest.Envelope, error) {
	at := attest.At(s.now())
	r, err := s.release(c.Request, c.Opening, at)
	if err != nil {
		return nil, err
	}
	if err := s.mayDecide(r.version, at); err != nil {
		return nil, err
	}
	verdict, err := r.evaluate(c.Claim, c.Votes, at)
	if err != nil {
		return nil, err
	}
	set, err := c.Artifacts.SetDigest()
	if err != nil {
		return nil, err
	}
	if set != verdict.Set {
		return nil, refusal(bus.KindDenied, "artifact list is not the set that the operators agree on")
	}
	if err := r.suite.CheckArtifacts(c.Artifacts); err != nil {
		return nil, err
	}
	return attest.Decision{
		Signer: s.key.Name(), Release: r.id, Request: r.requestDigest,
		Policy: r.version.Digest, PolicySerial: r.version.Serial,
		Decided: at, Ground: attest.GroundQuorum,
		Set: set, Artifacts: attest.AgreedOf(c.Artifacts),
		Threshold: verdict.Threshold, Operators: verdict.Operators, Votes: verdict.Accepted,
		Blind: !r.request.ClaimPublic,
	}.Seal(s.key)
}

// evaluate verifies the votes and applies the policy's rule to them. It
// returns an error unless the operators agree.
func (r *release) evaluate(claim *attest.Claim, envelopes []*attest.Envelope, at attest.Time) (policy.Verdict, error) {
	if !r.request.Claim.IsZero() && (claim == nil || !claim.Matches(r.request.Claim)) {
		return policy.Verdict{}, refusal(bus.KindDenied, "the claim that the request commits to was not disclosed, or is another")
	}
	votes, err := r.openVotes(envelopes)
	if err != nil {
		return policy.Verdict{}, err
	}
	verdict := policy.Evaluate(policy.Case{
		Policy: r.version, Request: r.request, RequestDigest: r.requestDigest,
		Opening: r.opening, Release: r.id, Claim: claim, Votes: votes,
	}, at)
	switch verdict.Outcome {
	case policy.Agreed:
		return verdict, nil
	case policy.Waiting:
		return verdict, refusal(bus.KindNotReady, "%s", verdict.Explanation)
	case policy.Held, policy.Conflict, policy.Expired, policy.Withdrawn:
	}
	return verdict, refusal(bus.KindDenied, "%s: %s", verdict.Outcome, verdict.Explanation)
}

// openVotes verifies every statement. One that does not verify spoils the
// case: a coordinator that stores only verified statements has none to send.
func (r *release) openVotes(envelopes []*attest.Envelope) ([]policy.Vote, error) {
	votes := make([]policy.Vote, 0, len(envelopes))
	seen := make(map[attest.Digest]bool, len(envelopes))
	for _, e := range envelopes {
		rebuild, err := attest.OpenRebuild(e, r.version.RebuilderKey)
		if err != nil {
			return nil, err
		}
		digest := e.Digest()
		if rebuild.Release != r.id {
			return nil, refusal(bus.KindDenied, "vote of %s is for release %s, not %s", rebuild.Rebuilder, rebuild.Release.Short(), r.id.Short())
		}
		if seen[digest] {
			continue
		}
		seen[digest] = true
		votes = append(votes, policy.Vote{Statement: digest, Rebuild: rebuild})
	}
	return votes, nil
}
