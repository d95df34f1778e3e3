package coordinator

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
)

// Status answers what may be known of a release, waiting for a state if asked to.
func (c *Coordinator) Status(ctx context.Context, r bus.StatusRequest) bus.StatusReply {
	if r.WaitFor != "" && !slices.Contains([]State{Agreed, Logged, Signed}, State(r.WaitFor)) {
		return bus.StatusReply{Error: bus.Errorf(bus.KindInvalid, "one can wait for agreed, logged or signed")}
	}
	deadline := time.Now().Add(time.Duration(min(max(r.WaitSeconds, 0), bus.MaxWait)) * time.Second)
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for {
		changed := c.events.wait() // before reading, so that no change falls between
		view, err := c.find(ctx, r)
		if err != nil {
			return bus.StatusReply{Error: answer(err)}
		}
		if r.WaitFor == "" || view.Final || reached(view.State, State(r.WaitFor)) || !time.Now().Before(deadline) {
			return c.reply(ctx, view, r.Evidence)
		}
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			return bus.StatusReply{Error: bus.Errorf(bus.KindUnavailable, "coordinator is stopping; ask again")}
		}
	}
}

// reached reports whether a release in state is at least at want on the way
// from agreed to signed.
func reached(state, want State) bool {
	way := []State{Agreed, Logged, Signed}
	return slices.Index(way, state) >= slices.Index(way, want)
}

// find looks a release up by what was given. An artifact is looked up among
// decided releases only, and by a request's digest one sees its newest attempt.
func (c *Coordinator) find(ctx context.Context, r bus.StatusRequest) (*View, error) {
	id := r.Release
	var err error
	switch {
	case !r.Release.IsZero():
	case !r.Request.IsZero():
		id, err = c.reader.NewestOf(ctx, r.Request)
	case !r.Artifact.IsZero():
		id, err = c.reader.ByArtifact(ctx, r.Artifact)
	default:
		err = bus.Errorf(bus.KindInvalid, "a release id, a request's digest or an artifact's SHA-256 is wanted")
	}
	if err != nil {
		return nil, err
	}
	return c.reader.View(ctx, id)
}

func (c *Coordinator) reply(ctx context.Context, v *View, withEvidence bool) bus.StatusReply {
	out := bus.StatusReply{Release: status(v)}
	if !withEvidence || !v.HasEvidence {
		return out
	}
	bundle, err := c.reader.Evidence(ctx, v.Release)
	if err != nil {
		return bus.StatusReply{Error: answer(err)}
	}
	out.Evidence = bundle
	return out
}

func status(v *View) *bus.ReleaseStatus {
	s := &bus.ReleaseStatus{
		Release: v.Release, Request: v.Request, Attempt: v.Attempt, Newest: v.Newest, Suite: v.Suite, Source: v.Source,
		Version: v.Version, Architecture: v.Architecture, State: string(v.State), Final: v.Final, Reason: v.Reason,
		PolicySerial: v.PolicySerial, Policy: v.Policy, Threshold: v.Threshold, Operators: v.Operators,
		Opened: v.Opened, Deadline: v.Deadline, TreeSize: v.TreeSize, Votes: []bus.VoteStatus{},
	}
	if v.LogIndex >= 0 {
		s.LogIndex = &v.LogIndex
		s.Ground = string(attest.GroundQuorum)
	}
	for _, vote := range v.Votes {
		s.Votes = append(s.Votes, bus.VoteStatus{
			Rebuilder: vote.Rebuilder, Operator: vote.Operator, View: string(vote.View), Set: vote.Set,
		})
	}
	for _, a := range v.Artifacts {
		artifact := bus.ArtifactStatus{Artifact: a.Artifact, Signatures: []bus.SignatureStatus{}}
		for _, g := range a.Signatures {
			artifact.Signatures = append(artifact.Signatures, bus.SignatureStatus{
				Certificate: g.Certificate, Kind: string(g.Kind), Signature: g.Signature,
			})
		}
		s.Artifacts = append(s.Artifacts, artifact)
	}
	return s
}

// policyBytes keeps an answer with policies well below bus.MaxMessage.
const policyBytes = bus.MaxMessage / 2

// Policies answers with the signed policies after a serial, as many as fit.
func (c *Coordinator) Policies(ctx context.Context, r bus.PolicyRequest) bus.PolicyReply {
	policies, err := c.store.Policies(ctx, r.After)
	fit := fittingPolicies(policies)
	return bus.PolicyReply{Policies: policies[:fit], More: fit < len(policies), Error: answer(err)}
}

// fittingPolicies returns how many of the first policies fit into one answer; the
// first always does.
func fittingPolicies(policies []*attest.Envelope) int {
	bytes := 0
	for i, e := range policies {
		bytes += encodedEnvelope(e)
		if i > 0 && bytes > policyBytes {
			return i
		}
	}
	return len(policies)
}

// Receipts tells a rebuilder what became of its statements, in fresh receipts
// and the rejections that were sealed then.
func (c *Coordinator) Receipts(ctx context.Context, rebuilder string, r bus.ReceiptsRequest) bus.ReceiptsReply {
	if len(r.Statements) == 0 || len(r.Statements) > attest.MaxReceipt {
		return bus.ReceiptsReply{Error: bus.Errorf(bus.KindInvalid, "%d statements, 1 to %d allowed", len(r.Statements), attest.MaxReceipt)}
	}
	dispositions, rejections, err := c.store.Statements(ctx, rebuilder, r.Statements)
	if err != nil {
		return bus.ReceiptsReply{Error: answer(err)}
	}
	reply := bus.ReceiptsReply{Envelopes: rejections}
	receipt := attest.Receipt{Coordinator: c.key.Name(), Rebuilder: rebuilder}
	for _, d := range r.Statements {
		if at := dispositions[d]; at == Counted {
			receipt.Counted = append(receipt.Counted, d)
		} else if at == Late || at == Contradicts {
			receipt.Late = append(receipt.Late, d)
		}
	}
	if len(receipt.Counted)+len(receipt.Late) == 0 {
		return reply
	}
	now, err := c.store.Now(ctx)
	if err != nil {
		return bus.ReceiptsReply{Error: answer(err)}
	}
	receipt.Issued = attest.At(now)
	sealed, err := receipt.Seal(c.key)
	if err != nil {
		return bus.ReceiptsReply{Error: answer(err)}
	}
	reply.Envelopes = append(reply.Envelopes, sealed)
	return reply
}

// Withdraw stops a release on the word of one admin or of its own publisher.
func (c *Coordinator) Withdraw(ctx context.Context, r bus.WithdrawRequest) bus.WithdrawReply {
	release, err := c.withdraw(ctx, r.Withdrawal)
	if err != nil {
		c.log.WarnContext(ctx, "withdrawal refused", slog.Any("reason", err))
		return bus.WithdrawReply{Error: answer(err)}
	}
	return bus.WithdrawReply{Release: release}
}

func (c *Coordinator) withdraw(ctx context.Context, e *attest.Envelope) (attest.Digest, error) {
	w, err := attest.OpenWithdrawal(e, c.trust.Newest().AuthorKey)
	if err != nil {
		return attest.Digest{}, err
	}
	release, err := c.store.Release(ctx, w.Release)
	if err != nil {
		return attest.Digest{}, err
	}
	if w.Role == attest.RolePublisher {
		request, err := attest.ParseRequest(release.Body.Payload)
		if err != nil {
			return attest.Digest{}, err
		}
		if request.Publisher != w.By {
			return attest.Digest{}, bus.Errorf(bus.KindDenied, "release was requested by another publisher than %q", w.By)
		}
	}
	if release.State == Withdrawn {
		return w.Release, nil // it cannot be stopped more, and the log need not grow
	}
	logged, err := c.record(attest.RecordWithdrawal, e)
	if err != nil {
		return attest.Digest{}, err
	}
	if err := c.store.Withdraw(ctx, e.Digest(), w, e, logged); err != nil && !errors.Is(err, ErrExists) {
		return attest.Digest{}, err
	}
	c.metrics.withdrawn.Inc()
	c.log.WarnContext(ctx, "release withdrawn", slog.Any("release", w.Release), slog.Any("role", w.Role), slog.Any("by", w.By), slog.Any("reason", w.Reason))
	return w.Release, nil
}
