package rebuilder

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
)

// receive takes a receipt or rejection, pushed or asked for. What does not
// verify is ignored: only a coordinator of the policy can end the duty to send.
func (a *Agent) receive(e *attest.Envelope) error {
	keys := a.Trust.Newest().CoordinatorKey
	if receipt, err := attest.OpenReceipt(e, keys); err == nil {
		for _, d := range append(slices.Clone(receipt.Counted), receipt.Late...) {
			if err := a.acknowledge(d, e, "received"); err != nil {
				return err
			}
		}
		return nil
	}
	rejection, err := attest.OpenRejection(e, keys)
	if err != nil {
		a.metrics.failures.WithLabelValues("receipt").Inc()
		a.Log.Warn("message on the receipt subject is neither receipt nor rejection", "reason", err)
		return nil
	}
	a.Log.Warn("statement rejected", "statement", rejection.Statement, "code", rejection.Code, "reason", rejection.Reason)
	return a.acknowledge(rejection.Statement, e, "rejected")
}

func (a *Agent) acknowledge(statement attest.Digest, receipt *attest.Envelope, what string) error {
	ours, err := a.Spool.Acknowledge(statement, receipt)
	if err != nil {
		return err
	}
	if ours {
		a.metrics.receipts.WithLabelValues(what).Inc()
		a.Log.Info("statement acknowledged", "statement", statement, "as", what)
	}
	return nil
}

// chase asks what became of statements without receipt and sends again what
// the coordinator does not know, at start and then every receiptPatience.
func (a *Agent) chase(ctx context.Context) error {
	for {
		if err := a.chaseOnce(ctx); err != nil && ctx.Err() == nil {
			a.Log.Warn("asking for receipts failed, repeating", "reason", err)
		}
		a.metrics.unacknowledged.Set(float64(len(a.Spool.Pending())))
		if err := sleep(ctx, receiptPatience); err != nil {
			return err
		}
	}
}

func (a *Agent) chaseOnce(ctx context.Context) error {
	pending := a.Spool.Pending()
	for statements := range slices.Chunk(slices.Collect(maps.Keys(pending)), attest.MaxReceipt) {
		reply, err := a.Bus.AskReceipts(ctx, a.Name, bus.ReceiptsRequest{Statements: statements})
		if err == nil && reply.Error != nil {
			err = reply.Error
		}
		if err != nil {
			return err
		}
		for _, e := range reply.Envelopes {
			if err := a.receive(e); err != nil {
				return err
			}
		}
	}
	for statement, release := range a.Spool.Pending() {
		if _, asked := pending[statement]; !asked {
			continue // put there meanwhile; its first publication is on the way
		}
		v, err := a.Spool.Vote(release)
		if err != nil {
			return err
		}
		if err := a.Bus.PublishVote(ctx, a.Name, v); err != nil {
			return fmt.Errorf("sending statement on release %s again: %w", release.Short(), err)
		}
		a.metrics.resent.Inc()
	}
	return nil
}
