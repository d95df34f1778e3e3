package store

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/coordinator"
)

// channel is the one notification channel; payloads are topics.
const channel = "reprosign"

// Pauses between attempts to listen again.
const (
	firstReconnect   = 50 * time.Millisecond
	longestReconnect = 5 * time.Second
)

// topics lists all topics, in no order.
var topics = []coordinator.Topic{
	coordinator.TopicTasks, coordinator.TopicEvaluate, coordinator.TopicDecide, coordinator.TopicOutbox,
	coordinator.TopicSign, coordinator.TopicRetry, coordinator.TopicEvents, coordinator.TopicPolicy, coordinator.TopicLog,
	coordinator.TopicUnsigned,
}

// Listen sends topics as they are notified, and every topic once after each
// (re)connection, since nothing is kept for a listener that was away. The
// channel is closed when ctx ends. A topic that waits in the channel's queue
// is not queued again: whoever takes it finds all the work there is.
func (w *Writer) Listen(ctx context.Context) (<-chan coordinator.Topic, error) {
	out := make(chan coordinator.Topic)
	heard := make(chan coordinator.Topic)
	go func() {
		defer close(heard)
		w.listenAlways(ctx, heard)
	}()
	go func() {
		defer close(out)
		merge(heard, out)
	}()
	return out, nil
}

// merge passes topics on in the order they were first heard, each at most once
// until it is taken.
func merge(heard <-chan coordinator.Topic, out chan<- coordinator.Topic) {
	var queue []coordinator.Topic
	queued := map[coordinator.Topic]bool{}
	for {
		var to chan<- coordinator.Topic
		var next coordinator.Topic
		if len(queue) > 0 {
			to, next = out, queue[0]
		}
		select {
		case t, open := <-heard:
			if !open {
				return
			}
			if !queued[t] {
				queued[t] = true
				queue = append(queue, t)
			}
		case to <- next:
			queue = queue[1:]
			delete(queued, next)
		}
	}
}

func (w *Writer) listenAlways(ctx context.Context, heard chan<- coordinator.Topic) {
	pause := firstReconnect
	for {
		err := w.listenOnce(ctx, heard, func() { pause = firstReconnect })
		if ctx.Err() != nil {
			return
		}
		w.log.WarnContext(ctx, "listening to the database interrupted", slog.Duration("pause", pause), slog.Any("reason", err))
		timer := time.NewTimer(pause/2 + rand.N(pause/2)) //nolint:gosec // spreads load, guards nothing
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, longestReconnect)
	}
}

// listenOnce listens on a connection of its own, outside the pool, until it breaks.
func (w *Writer) listenOnce(ctx context.Context, heard chan<- coordinator.Topic, connected func()) error {
	conn, err := pgx.ConnectConfig(ctx, w.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	// A notification may be under way: the context that ends us must not wait for it.
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(ctx, `LISTEN `+channel); err != nil {
		return err
	}
	connected()
	for _, t := range topics {
		heard <- t
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		heard <- coordinator.Topic(n.Payload)
	}
}
