package signer

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/signer/ledger"
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
	// One look at the log for all cases.
	log := make([]*recollection, len(req.Cases))
	err := s.recall(ctx, func(v ledger.View) bool { return allOpened(v, req.Cases) }, func(v ledger.View) {
		for i, c := range req.Cases {
			log[i] = recollect(v, c.Opening, c.Artifacts)
		}
	})
	if err != nil {
		return fail(err)
	}
	// Few goroutines for all cases: the stack of a new one has to grow first.
	var group sync.WaitGroup
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(req.Cases)) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(req.Cases)); i = next.Add(1) - 1 {
				reply.Results[i] = s.answerCase(ctx, req.Cases[i], log[i])
			}
		})
	}
	group.Wait()
	return reply
}

func (s *Signer) answerCase(ctx context.Context, c bus.DecideCase, log *recollection) bus.DecideResult {
	if ctx.Err() != nil {
		return bus.DecideResult{Error: answer(refusal(bus.KindUnavailable, "signer is stopping"))}
	}
	var decision *attest.Envelope
	err := s.guard(ctx, func() (err error) {
		decision, err = s.decide(c, log)
		return err
	})
	if err != nil {
		e := answer(err)
		s.metrics.refused.WithLabelValues("decide", string(e.Kind)).Inc()
		s.log.WarnContext(ctx, "decision refused", slog.Any("release", caseID(c)), slog.Any("reason", err))
		return bus.DecideResult{Error: e}
	}
	s.metrics.decisions.Inc()
	s.log.InfoContext(ctx, "decided", slog.Any("release", caseID(c)), slog.Any("decision", decision.Digest()))
	return bus.DecideResult{Decision: decision}
}

func caseID(c bus.DecideCase) string {
	if c.Opening == nil {
		return ""
	}
	return c.Opening.Digest().String()
}

// allOpened reports whether the log holds the openings of all cases.
func allOpened(v ledger.View, cases []bus.DecideCase) bool {
	return !slices.ContainsFunc(cases, func(c bus.DecideCase) bool {
		if c.Opening == nil {
			return false
		}
		_, opened := v.Release(c.Opening.Digest())
		return !opened
	})
}

func (s *Signer) decide(c bus.DecideCase, log *recollection) (*attest.Envelope, error) {
	at := attest.At(s.now())
	r, err := newRelease(log, c.Request, c.Opening, at)
	if err != nil {
		return nil, err
	}
	if err := r.mayDecide(s.key); err != nil {
		return nil, err
	}
	verdict, _, err := r.evaluate(c.Claim, c.Votes, at)
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
	if log.names != nil {
		return nil, refusal(bus.KindDenied, "%w", log.names)
	}
	if err := s.pending.claim(r, c.Artifacts, at); err != nil {
		return nil, err
	}
	decision, err := attest.Decision{
		Signer: s.key.Name(), Release: r.id, Request: r.requestDigest,
		Policy: r.version.Digest, PolicySerial: r.version.Serial,
		Decided: at, Ground: attest.GroundQuorum,
		Set: set, Artifacts: attest.AgreedOf(c.Artifacts),
		Threshold: verdict.Threshold, Operators: verdict.Operators, Votes: verdict.Accepted,
		Blind: !r.request.ClaimPublic,
	}.Seal(s.key)
	if err != nil {
		return nil, err
	}
	s.ledger.Own(translog.OwnLeaf(decision, s.key.VerifierKey))
	return decision, nil
}

// evaluate verifies the votes and applies the policy's rule to them and to what
// the log has against them. It returns an error unless the operators agree.
func (r *release) evaluate(claim *attest.Claim, envelopes []*attest.Envelope, at attest.Time) (policy.Verdict, []policy.Vote, error) {
	if !r.request.Claim.IsZero() && (claim == nil || !claim.Matches(r.request.Claim)) {
		return policy.Verdict{}, nil, refusal(bus.KindDenied, "the claim that the request commits to was not disclosed, or is another")
	}
	votes, err := r.openVotes(envelopes)
	if err != nil {
		return policy.Verdict{}, nil, err
	}
	verdict := policy.Evaluate(r.caseOf(claim, votes), at)
	switch verdict.Outcome {
	case policy.Agreed:
		return verdict, votes, nil
	case policy.Waiting:
		return verdict, votes, refusal(bus.KindNotReady, "%s", verdict.Explanation)
	case policy.Held, policy.Conflict, policy.Expired, policy.Withdrawn:
	}
	return verdict, votes, refusal(bus.KindDenied, "%s: %s", verdict.Outcome, verdict.Explanation)
}

// openVotes verifies every statement. One that does not verify spoils the
// case: a coordinator that stores only verified statements has none to send.
func (r *release) openVotes(envelopes []*attest.Envelope) ([]policy.Vote, error) {
	votes := make([]policy.Vote, 0, len(envelopes))
	seen := make(map[attest.Digest]bool, len(envelopes))
	const together = 32 // bounds what is verified although one before it spoils the case
	for some := range slices.Chunk(envelopes, together) {
		rebuilds, errs := attest.OpenRebuilds(some, r.version.RebuilderKey)
		for i, rebuild := range rebuilds {
			if errs[i] != nil {
				return nil, errs[i]
			}
			digest := some[i].Digest()
			if rebuild.Release != r.id {
				return nil, refusal(bus.KindDenied, "vote of %s is for release %s, not %s", rebuild.Rebuilder, rebuild.Release.Short(), r.id.Short())
			}
			if seen[digest] {
				continue
			}
			seen[digest] = true
			votes = append(votes, policy.Vote{Statement: digest, Rebuild: rebuild})
		}
	}
	return votes, nil
}
