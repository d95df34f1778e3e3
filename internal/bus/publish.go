package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reprosign/reprosign/attest"
)

// PublishTask sends tasks of a suite to all rebuilders and returns when the bus
// has them. A task sent twice within two minutes is there once; later, agents
// recognise it by its release.
func (c *Conn) PublishTask(ctx context.Context, suite string, tasks ...Task) error {
	messages := make([]*nats.Msg, len(tasks))
	for i, t := range tasks {
		if t.Opening == nil || t.Request == nil {
			return Errorf(KindInvalid, "task holds no opening or no request")
		}
		m, err := message(taskSubject(everyone, suite), t, MaxMessage)
		if err != nil {
			return fmt.Errorf("publishing a task of suite %s: %w", suite, err)
		}
		// Safe here, unlike for votes: coordinators alone publish tasks.
		m.Header = nats.Header{jetstream.MsgIDHeader: {t.Opening.Digest().String()}}
		messages[i] = m
	}
	return c.publish(ctx, "task.", messages)
}

// PublishVote sends a rebuilder's statements and returns when the bus has them.
// Only a receipt says that the coordinator has them too.
func (c *Conn) PublishVote(ctx context.Context, rebuilder string, votes ...EncodedVote) error {
	messages := make([]*nats.Msg, len(votes))
	for i, v := range votes {
		if v.data == nil {
			return Errorf(KindInvalid, "vote was not encoded")
		}
		messages[i] = &nats.Msg{Subject: voteSubject(rebuilder), Data: v.data}
	}
	return c.publish(ctx, voteSubject(rebuilder), messages)
}

// PublishReceipt sends sealed receipts or rejections to a rebuilder.
func (c *Conn) PublishReceipt(ctx context.Context, rebuilder string, envelopes ...*attest.Envelope) error {
	messages := make([]*nats.Msg, len(envelopes))
	for i, e := range envelopes {
		m, err := message(receiptSubject(rebuilder), e, attest.MaxEnvelope)
		if err != nil {
			return fmt.Errorf("publishing a receipt for %s: %w", rebuilder, err)
		}
		messages[i] = m
	}
	return c.publish(ctx, receiptSubject(rebuilder), messages)
}

// PublishEvent sends events to whoever listens.
func (c *Conn) PublishEvent(ctx context.Context, events ...Event) error {
	messages := make([]*nats.Msg, len(events))
	for i, e := range events {
		m, err := message(eventSubject(e.Suite, e.State), e, MaxMessage)
		if err != nil {
			return fmt.Errorf("publishing an event of suite %s: %w", e.Suite, err)
		}
		messages[i] = m
	}
	return c.publish(ctx, "event.", messages)
}

func message(subject string, v any, limit int) (*nats.Msg, error) {
	data, err := encode(v, limit)
	if err != nil {
		return nil, err
	}
	return &nats.Msg{Subject: subject, Data: data}, nil
}

// publish sends messages without waiting in between and returns when JetStream
// has acknowledged all of them. After an error any of them may have arrived:
// the caller sends them again.
func (c *Conn) publish(ctx context.Context, prefix string, messages []*nats.Msg) error {
	ctx, done := c.guard(ctx, publishing, prefix)
	defer done()
	for len(messages) > 0 {
		n := min(len(messages), maxAsync)
		if err := c.publishSome(ctx, messages[:n]); err != nil {
			return err
		}
		messages = messages[n:]
	}
	return nil
}

func (c *Conn) publishSome(ctx context.Context, messages []*nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	futures := make([]jetstream.PubAckFuture, 0, len(messages))
	for _, m := range messages {
		f, err := c.js.PublishMsgAsync(m, jetstream.WithStallWait(publishTimeout))
		if err != nil {
			return c.explain(ctx, err, "publishing to %s", m.Subject)
		}
		futures = append(futures, f)
	}
	for i, f := range futures {
		var err error
		select {
		case <-f.Ok():
			c.metrics.count(sent, messages[i].Subject, len(messages[i].Data))
		case err = <-f.Err():
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return c.explain(ctx, err, "publishing to %s", messages[i].Subject)
		}
	}
	return nil
}
