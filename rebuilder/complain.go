package rebuilder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// decided looks at a logged decision. If it is about a release that the spool
// has a statement on, and does not list that, it is kept and disputed.
func (a *Agent) decided(ctx context.Context, e *attest.Envelope) error {
	claimed, err := attest.ParseDecision(e.Payload)
	if err != nil {
		return nil //nolint:nilerr // no decision, whatever it says
	}
	said, err := a.Spool.has(claimed.Release, voteFile)
	if err != nil || !said {
		return err
	}
	v, err := a.Spool.Vote(claimed.Release)
	if err != nil {
		return err
	}
	version, known := a.Trust.ByDigest(claimed.Policy)
	if !known {
		if err := a.refresh(ctx); err != nil {
			return err
		}
		version, known = a.Trust.ByDigest(claimed.Policy)
	}
	if !known {
		return a.suspect(ctx, "decision about release %s under policy %d, which does not follow from the pinned one, or is older", claimed.Release, claimed.PolicySerial)
	}
	decision, err := attest.OpenDecision(e, version.SignerKey)
	if err != nil {
		return a.suspect(ctx, "decision about release %s: %w", claimed.Release, err)
	}
	if slices.Contains(decision.Votes, v.Envelope.Digest()) {
		return nil
	}
	if kept, err := a.Spool.has(decision.Release, decisionFile); kept || err != nil {
		return err // there is one decision, read again after a restart
	}
	if err := a.Spool.PutDecision(decision.Release, v.Envelope.Digest(), e); err != nil {
		return err
	}
	return a.dispute(decision.Release)
}

// confirmed disputes a decision that was there before the receipt of a statement.
func (a *Agent) confirmed(statement attest.Digest) error {
	if release, lacks := a.Spool.Lacking()[statement]; lacks {
		return a.dispute(release)
	}
	return nil
}

// dispute signs a complaint about a decision that was kept, if a receipt says
// that the statement is counted and nothing excuses the decision. The complaint
// is signed once and durable before anybody hears of it.
func (a *Agent) dispute(release attest.Digest) error {
	a.sealing.Lock()
	defer a.sealing.Unlock()
	if made, err := a.Spool.has(release, complaintFile); made || err != nil {
		return err
	}
	receipt, err := a.Spool.Receipt(release)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it may still come
	}
	if err != nil {
		return err
	}
	decision, err := a.Spool.Decision(release)
	if err != nil {
		return err
	}
	v, err := a.Spool.Vote(release)
	if err != nil {
		return err
	}
	c := attest.Complaint{
		Rebuilder: a.Name, Release: release, Decision: decision.Digest(), Statement: v.Envelope.Digest(),
		Receipt: receipt.Digest(), Issued: attest.At(time.Now()),
	}
	q := bus.ComplainRequest{Receipt: receipt, Statement: v.Envelope}
	if q.Complaint, err = c.Seal(a.Key); err != nil {
		return err
	}
	if err := a.justified(release, decision, q); errors.Is(err, policy.ErrUnjustified) {
		a.Log.Info("decision without our statement is in order", slog.Any("release", release), slog.Any("reason", err))
		return a.Spool.DropDecision(release)
	} else if err != nil {
		return err
	}
	if err := a.Spool.PutComplaint(release, q); err != nil {
		return err
	}
	a.metrics.complaints.Inc()
	a.Log.Error("the decision lacks our statement, which was counted; complaining in public",
		slog.Any("release", release), slog.Any("decision", c.Decision), slog.Any("statement", c.Statement),
		slog.Any("complaint", q.Complaint.Digest()), slog.String("file", a.Spool.path(release, complaintFile)))
	select {
	case a.wronged <- struct{}{}:
	default: // a delivery is about to begin, and will see this one too
	}
	return nil
}

// justified judges an own complaint as everybody else will.
func (a *Agent) justified(release attest.Digest, decision *attest.Envelope, q bus.ComplainRequest) error {
	task, err := a.Spool.Task(release)
	if err != nil {
		return err
	}
	opening, err := attest.ParseOpening(task.Opening.Payload)
	if err != nil {
		return err
	}
	version, _ := a.Trust.ByDigest(opening.Policy)
	_, err = policy.Dispute{
		Policy: version, Newest: a.Trust.Newest(), Opening: task.Opening, Request: task.Request, Decision: decision,
		Complaint: q.Complaint, Receipt: q.Receipt, Statement: q.Statement,
	}.Judge()
	return err
}

// complain delivers complaints, at once and then every time that patience ends,
// until the log shows them.
func (a *Agent) complain(ctx context.Context) error {
	for {
		if err := a.deliver(ctx); err != nil && ctx.Err() == nil {
			a.metrics.failures.WithLabelValues("complaint").Inc()
			a.Log.WarnContext(ctx, "complaints not delivered, repeating; if this lasts, publish the files yourself (docs/operations.md)", slog.Any("reason", err))
		}
		a.metrics.unheard.Set(float64(len(a.Spool.Unheard())))
		timer := time.NewTimer(a.Patience)
		select {
		case <-ctx.Done():
		case <-a.wronged:
		case <-timer.C:
		}
		timer.Stop()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (a *Agent) deliver(ctx context.Context) error {
	var undelivered []error
	for _, release := range a.Spool.Unheard() {
		q, err := a.Spool.Complaint(release)
		if err == nil {
			_, err = a.Bus.Complain(ctx, a.Name, q)
		}
		if err != nil {
			undelivered = append(undelivered, fmt.Errorf("complaint %s: %w", a.Spool.path(release, complaintFile), err))
		}
		if bus.KindOf(err) == bus.KindUnavailable {
			break // the others would fare no better
		}
	}
	return errors.Join(undelivered...)
}

// recorded looks whether a record brings a complaint of ours into the log, with
// all that shows that it is justified.
func (a *Agent) recorded(e translog.Entry) error {
	unheard := a.Spool.Unheard()
	if len(unheard) == 0 {
		return nil
	}
	record, err := attest.OpenRecord(e.Envelope, a.Trust.Newest().CoordinatorKey)
	if err != nil || record.Kind != attest.RecordComplaint {
		return nil //nolint:nilerr // nobody takes it for a complaint
	}
	for _, release := range unheard {
		ours, err := a.Spool.Complaint(release)
		if err != nil {
			return err
		}
		if !record.Brings(0, ours.Complaint) || !record.Brings(1, ours.Receipt) || !record.Brings(2, ours.Statement) {
			continue
		}
		for i, d := range record.Bodies {
			if !slices.ContainsFunc(e.Bodies, func(b *attest.Envelope) bool { return record.Brings(i, b) }) {
				return alarm("body %s of our complaint is missing", d.Short())
			}
		}
		if err := a.Spool.Heard(release, ours.Complaint.Digest(), e.Index); err != nil {
			return err
		}
		a.metrics.unheard.Set(float64(len(unheard) - 1))
		a.Log.Warn("the log shows our complaint", slog.Any("release", release), slog.Int64("entry", e.Index))
		return nil
	}
	return nil
}
