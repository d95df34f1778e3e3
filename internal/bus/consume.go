package bus

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// lookupTimeout bounds one question for a consumer.
	lookupTimeout = 10 * time.Second
	// retryLeast and retryMost bound the pause before something is tried again.
	// It doubles in between and stays well below AckWait.
	retryLeast = 100 * time.Millisecond
	retryMost  = 5 * time.Second
)

// backoff gives growing pauses.
type backoff struct{ next time.Duration }

func (b *backoff) pause(ctx context.Context) error {
	d := max(b.next, retryLeast)
	b.next = min(2*d, retryMost)
	return pause(ctx, d)
}

func (b *backoff) reset() { b.next = 0 }

// consume runs read on a durable consumer until ctx ends, and finds the
// consumer anew whenever read returns. It waits for a consumer that does not
// exist yet: an agent may be there before its enrolment. A refusal by the
// server is the only error it returns.
func (c *Conn) consume(ctx context.Context, stream, name string, read func(context.Context, jetstream.Consumer) error) error {
	ctx, done := c.guard(ctx, publishing, c.id.api()+".CONSUMER.")
	defer done()
	var wait backoff
	for {
		consumer, err := c.lookup(ctx, stream, name)
		if err == nil {
			wait.reset()
			err = read(ctx, consumer)
		}
		if ctx.Err() != nil {
			break
		}
		if c.nc.IsClosed() {
			return failed(err, KindUnavailable, "reading consumer %s of stream %s: connection closed", name, stream)
		}
		c.log.WarnContext(ctx, "nats consumer not readable, trying again",
			slog.String("stream", stream), slog.String("consumer", name), slog.Any("error", err))
		if wait.pause(ctx) != nil {
			break
		}
	}
	if err := context.Cause(ctx); KindOf(err) == KindDenied {
		return c.explain(ctx, err, "reading consumer %s of stream %s", name, stream)
	}
	return nil
}

// lookup finds a consumer without asking for its stream, which a party outside
// the house may not.
func (c *Conn) lookup(ctx context.Context, stream, name string) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return c.js.Consumer(ctx, stream, name)
}

// note counts a delivered message and returns how often it was delivered.
func (c *Conn) note(m jetstream.Msg) uint64 {
	c.metrics.count(received, m.Subject(), len(m.Data()))
	meta, err := m.Metadata()
	if err != nil {
		return 1
	}
	if meta.NumDelivered > 1 {
		c.metrics.redeliveries.WithLabelValues(topic(m.Subject())).Inc()
	}
	return meta.NumDelivered
}

// settle acknowledges or defers a message. If that gets lost the message comes
// again, which every reader must bear anyway.
func (c *Conn) settle(m jetstream.Msg, err error) {
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		c.log.Warn("nats acknowledgement lost", slog.String("subject", m.Subject()), slog.Any("error", err))
	}
}
