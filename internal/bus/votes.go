package bus

import (
	"context"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"
)

// maxBatchBytes bounds the votes in hand, and once more those on their way: a
// batch of full votes would be half a gigabyte.
const maxBatchBytes = 8 << 20

// Message is a vote as it came. The NATS server has checked that Rebuilder
// sent it; nobody has checked anything else.
type Message struct {
	Subject   string
	Rebuilder string // the last token of Subject
	Data      []byte // for DecodeVote
	Delivered int    // 1 the first time
}

// Votes hands votes to handle in batches until ctx ends, and acknowledges a
// batch when handle returns nil. Batches are greedy: the first vote is waited
// for, then come those that are there already, up to batch. So a lone vote is
// not delayed, and a flood fills the batches. All coordinators share the votes.
//
// An error of handle means that nothing can be stored now: the same batch is
// handed over again, in order, after a growing pause, until it is stored.
// Deferring each vote instead would have all of them go round in the server as
// long as the database is away. A bad vote is no error: handle must record it
// and go on.
func (c *Conn) Votes(ctx context.Context, batch int, handle func(context.Context, []Message) error) error {
	return c.consume(ctx, StreamVotes, votesConsumer, func(ctx context.Context, consumer jetstream.Consumer) error {
		votes, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(2*batch, maxBatchBytes))
		if err != nil {
			return err
		}
		queue := make(chan jetstream.Msg, batch)
		room := semaphore.NewWeighted(maxBatchBytes)
		broken := make(chan error, 1)
		ctx, stop := context.WithCancel(ctx)
		tidy := newBroom()
		var sweeping sync.WaitGroup
		sweeping.Go(func() { tidy.sweep(ctx, c, consumer) })
		defer sweeping.Wait()
		defer stop()
		go func() {
			defer close(queue)
			broken <- pump(ctx, votes, queue, room)
		}()
		for first := range queue {
			votes := collect(first, queue, batch)
			c.storeVotes(ctx, votes, handle)
			tidy.note(len(votes))
			for _, m := range votes {
				room.Release(weight(m))
			}
		}
		stop()
		votes.Stop()
		return <-broken
	})
}

// pump moves messages into the queue, where they can be taken without waiting,
// as long as there is room for their bytes.
func pump(ctx context.Context, from jetstream.MessagesContext, queue chan<- jetstream.Msg, room *semaphore.Weighted) error {
	for {
		m, err := from.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if err := room.Acquire(ctx, weight(m)); err != nil {
			return err
		}
		select {
		case queue <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// weight is the room that a message takes; more than all of it can never be had.
func weight(m jetstream.Msg) int64 { return int64(min(len(m.Data()), maxBatchBytes)) }

// collect adds to the first message those that are there already.
func collect(first jetstream.Msg, queue <-chan jetstream.Msg, most int) []jetstream.Msg {
	all := []jetstream.Msg{first}
	for len(all) < most {
		select {
		case m, open := <-queue:
			if !open {
				return all
			}
			all = append(all, m)
		default:
			return all
		}
	}
	return all
}

// storeVotes has a batch handled, as often as it takes, and acknowledges it.
func (c *Conn) storeVotes(ctx context.Context, votes []jetstream.Msg, handle func(context.Context, []Message) error) {
	messages := make([]Message, len(votes))
	for i, m := range votes {
		messages[i] = Message{m.Subject(), lastToken(m.Subject()), m.Data(), int(c.note(m))}
	}
	var wait backoff
	for {
		err := handle(ctx, messages)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return // not acknowledged: they come again after AckWait
		}
		c.log.WarnContext(ctx, "votes not stored, trying again", slog.Int("votes", len(votes)), slog.Any("error", err))
		if wait.pause(ctx) != nil {
			return
		}
		for _, m := range votes {
			c.settle(m, m.InProgress())
		}
	}
	for _, m := range votes {
		c.settle(m, m.Ack())
	}
}
