package rebuilder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
)

// receive takes a receipt or rejection, pushed or asked for. What does not
// verify is ignored: only a coordinator of the newest policy can end the duty
// to send, and only with a word to this rebuilder. A rejection of the same
// bytes under another's name says nothing about them.
func (a *Agent) receive(e *attest.Envelope) error {
	keys := a.Trust.Newest().CoordinatorKey
	receipt, notReceipt := attest.OpenReceipt(e, keys)
	if notReceipt == nil && receipt.Rebuilder == a.Name {
		for _, d := range slices.Concat(receipt.Counted, receipt.Late) {
			ours, err := a.Spool.Acknowledge(d, e)
			if err != nil {
				return err
			}
			if ours { // else of another agent of this rebuilder, or known already
				if err := a.confirmed(d); err != nil {
					return err
				}
				a.metrics.receipts.WithLabelValues("received").Inc()
				a.Log.Info("statement received by the coordinator", slog.Any("statement", d), slog.Bool("late", slices.Contains(receipt.Late, d)))
			}
		}
		return nil
	}
	rejection, notRejection := attest.OpenRejection(e, keys)
	if notRejection == nil && rejection.Rebuilder == a.Name {
		ours, err := a.Spool.Acknowledge(rejection.Statement, e)
		if ours && err == nil {
			a.metrics.receipts.WithLabelValues("rejected").Inc()
			a.Log.Warn("statement rejected by the coordinator", slog.Any("statement", rejection.Statement), slog.Any("code", rejection.Code), slog.String("reason", rejection.Reason))
		}
		return err
	}
	a.metrics.failures.WithLabelValues("receipt").Inc()
	reason := errors.Join(notReceipt, notRejection)
	if notReceipt == nil || notRejection == nil {
		reason = errors.New("it is for another rebuilder")
	}
	a.Log.Warn("message on the receipt subject ignored", slog.Any("reason", reason))
	return nil
}

// chase learns of new policies, asks what became of statements without receipt
// and sends again what the coordinator does not know: at start, and then every
// time that patience ends.
func (a *Agent) chase(ctx context.Context) error {
	quiet := time.Duration(0) // what is owed at the start is owed now
	for {
		// First the policy: it may name a new coordinator, whose receipts count.
		if err := a.refresh(ctx); err != nil && ctx.Err() == nil {
			a.metrics.failures.WithLabelValues("policies").Inc()
			a.Log.WarnContext(ctx, "policies not refreshed, repeating", slog.Any("reason", err))
		}
		if err := a.chaseOnce(ctx, quiet); err != nil && ctx.Err() == nil {
			a.metrics.failures.WithLabelValues("chase").Inc()
			a.Log.WarnContext(ctx, "statements not settled, repeating", slog.Any("reason", err))
		}
		a.metrics.unacknowledged.Set(float64(len(a.Spool.Pending(0))))
		if err := sleep(ctx, a.Patience); err != nil {
			return err
		}
		quiet = a.Patience
	}
}

// chaseOnce is one round over the statements that have waited for at least quiet.
func (a *Agent) chaseOnce(ctx context.Context, quiet time.Duration) error {
	asked := a.Spool.Pending(quiet)
	for statements := range slices.Chunk(slices.Collect(maps.Keys(asked)), attest.MaxReceipt) {
		reply, err := a.Bus.AskReceipts(ctx, a.Name, bus.ReceiptsRequest{Statements: statements})
		if err != nil {
			return fmt.Errorf("asking for receipts: %w", err)
		}
		for _, e := range reply.Envelopes {
			if err := a.receive(e); err != nil {
				return err
			}
		}
	}
	var unsent []error
	for statement, release := range asked {
		if !a.Spool.Waiting(statement) {
			continue
		}
		v, err := a.Spool.Message(release)
		if err == nil {
			err = a.Bus.PublishVote(ctx, a.Name, v)
		}
		if err != nil {
			unsent = append(unsent, fmt.Errorf("sending the statement on release %s again: %w", release, err))
		}
		if bus.KindOf(err) == bus.KindUnavailable {
			break // the others would fare no better
		}
		if err == nil {
			a.metrics.resent.Inc()
		}
	}
	return errors.Join(unsent...)
}
