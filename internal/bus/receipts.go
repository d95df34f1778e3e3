package bus

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reprosign/reprosign/attest"
)

// receiptsAhead is how many receipts are fetched ahead.
const receiptsAhead = 64

// Receipts hands sealed receipts and rejections to handle, one after the other,
// until ctx ends. Nobody has verified them. An error of handle means that it
// cannot be noted now: the same one is handed over again after a growing pause.
//
// The agents of one rebuilder share the receipts, so an agent also sees those
// for statements of the others, and asks for its own with [Conn.AskReceipts].
func (c *Conn) Receipts(ctx context.Context, rebuilder string, handle func(*attest.Envelope) error) error {
	return c.consume(ctx, StreamReceipts, receiptsConsumer(rebuilder), func(ctx context.Context, consumer jetstream.Consumer) error {
		receipts, err := consumer.Messages(jetstream.PullMaxMessages(receiptsAhead))
		if err != nil {
			return err
		}
		defer receipts.Stop()
		for {
			m, err := receipts.Next(jetstream.NextContext(ctx))
			if err != nil {
				return err
			}
			c.handleReceipt(ctx, m, handle)
		}
	})
}

func (c *Conn) handleReceipt(ctx context.Context, m jetstream.Msg, handle func(*attest.Envelope) error) {
	c.note(m)
	e := new(attest.Envelope)
	if err := decode(m.Data(), attest.MaxEnvelope, e); err != nil {
		c.log.ErrorContext(ctx, "nats receipt dropped", slog.String("subject", m.Subject()), slog.Any("error", err))
		c.settle(m, m.Term())
		return
	}
	var wait backoff
	for {
		err := handle(e)
		if err == nil {
			c.settle(m, m.Ack())
			return
		}
		c.log.WarnContext(ctx, "receipt not noted, trying again", slog.Any("error", err))
		if wait.pause(ctx) != nil {
			return
		}
		c.settle(m, m.InProgress())
	}
}

// Events hands events to handle as they come, until ctx ends. Events are hints:
// those sent while there was no connection are not sent again, so whoever waits
// for a release asks for its status when this begins, and after a reconnection.
func (c *Conn) Events(ctx context.Context, handle func(Event)) error {
	const all = "event.>"
	ctx, done := c.guard(ctx, subscribing, all)
	defer done()
	events := make(chan *nats.Msg, receiptsAhead)
	sub, err := c.nc.ChanSubscribe(all, events)
	if err != nil {
		return c.explain(ctx, err, "listening to events")
	}
	defer c.unsubscribe(sub)
	for {
		select {
		case m := <-events:
			c.metrics.count(received, m.Subject, len(m.Data))
			var e Event
			if err := decode(m.Data, MaxMessage, &e); err != nil {
				c.log.WarnContext(ctx, "nats event dropped", slog.String("subject", m.Subject), slog.Any("error", err))
				continue
			}
			handle(e)
		case <-ctx.Done():
			if KindOf(context.Cause(ctx)) == KindDenied {
				return c.explain(ctx, ctx.Err(), "listening to events")
			}
			return nil
		}
	}
}

func (c *Conn) unsubscribe(sub *nats.Subscription) {
	if err := sub.Unsubscribe(); err != nil && !c.nc.IsClosed() {
		c.log.Warn("nats subscription not ended", slog.String("subject", sub.Subject), slog.Any("error", err))
	}
}
