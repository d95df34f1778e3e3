package coordinator

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
)

const eventBatch = 500

// publishEvents tells the bus about state changes, at least once each, and
// brings equivocations into the log.
func (c *Coordinator) publishEvents(ctx context.Context) error {
	if err := c.logEquivocations(ctx); err != nil {
		return err
	}
	for {
		events, err := c.store.UnpublishedEvents(ctx, eventBatch)
		if err != nil || len(events) == 0 {
			return err
		}
		batch := make([]bus.Event, len(events))
		published := make([]int64, len(events))
		for i, e := range events {
			published[i] = e.Sequence
			batch[i] = bus.Event{Release: e.Release, Suite: e.Suite, State: string(e.State), At: e.At}
		}
		if err := c.bus.PublishEvent(ctx, batch...); err != nil {
			return err
		}
		if err := c.store.EventsPublished(ctx, published); err != nil {
			return err
		}
		if len(events) < eventBatch {
			return nil // what came since is notified
		}
	}
}

func (c *Coordinator) logEquivocations(ctx context.Context) error {
	for {
		proofs, err := c.store.UnloggedEquivocations(ctx, eventBatch)
		if err != nil || len(proofs) == 0 {
			return err
		}
		for _, p := range proofs {
			logged, err := c.record(attest.RecordEquivocation, p.First, p.Second)
			if err != nil {
				return err
			}
			if err := c.store.LogEquivocation(ctx, p, logged); err != nil && !errors.Is(err, ErrExists) {
				return err
			}
			c.metrics.equivocations.Inc()
			c.log.WarnContext(ctx, "equivocation logged", slog.Any("operator", p.Operator), slog.Any("release", p.Release))
		}
	}
}

// broadcast lets any number of waiters wait for the next notification.
type broadcast struct {
	mu   sync.Mutex
	next chan struct{}
}

func newBroadcast() *broadcast { return &broadcast{next: make(chan struct{})} }

// wait returns a channel that is closed at the next tell.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next
}

func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.next)
	b.next = make(chan struct{})
}
