package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// AckWait is how long a message may be worked on before JetStream delivers
	// it again; whoever needs longer extends it well before.
	AckWait = 30 * time.Second

	// maxPending bounds the votes that are delivered and not yet acknowledged,
	// over all coordinators.
	maxPending = 20_000

	// maxReceipts bounds the receipts that are kept for one rebuilder; whoever
	// missed older ones asks for them. A flood of bad votes is answered with as
	// many rejections.
	maxReceipts = 16_384

	// maxEvents bounds the events that are kept, in memory: they are hints, and
	// whoever missed one asks for the status.
	maxEvents = 100_000

	// noLimit is JetStream's own sign for it.
	noLimit = -1
)

// StreamOptions are the parts of the streams that an operator chooses.
type StreamOptions struct {
	// Replicas is the number of servers that keep each message: 1, or 3 in a cluster.
	Replicas int
	// MaxAge is how long tasks, votes and receipts are kept; longer than the
	// longest deadline of a suite. Zero means DefaultMaxAge.
	MaxAge time.Duration
	// MaxUnread bounds the votes of one rebuilder that wait for a coordinator:
	// JetStream refuses further ones with an error that the publisher sees, of
	// KindUnavailable, and takes others' all the same. With MaxVote it bounds
	// what one rebuilder can take of the disk. Zero means DefaultMaxUnread.
	MaxUnread int
}

// DefaultMaxAge is the MaxAge of streams when none is chosen.
const DefaultMaxAge = 14 * 24 * time.Hour

// DefaultMaxUnread is the MaxUnread when none is chosen: at most 2 GiB of each rebuilder.
const DefaultMaxUnread = 2048

// EnsureStreams makes the streams and the coordinators' consumer, or brings
// them to these options. Coordinators call it when they start.
//
// Messages age out; they are not kept until everybody has read them. A
// rebuilder that is enrolled late then still finds the open tasks, and one that
// has died does not fill the disk. Votes are also removed soon after they were
// stored (Votes), so that what is there is what MaxUnread counts. They are not
// de-duplicated by a message id: ids are stream-wide, so that one rebuilder
// could silence another by using its id first.
func (c *Conn) EnsureStreams(ctx context.Context, o StreamOptions) error {
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.MaxUnread == 0 {
		o.MaxUnread = DefaultMaxUnread
	}
	file := jetstream.StreamConfig{
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		MaxAge: o.MaxAge, Replicas: o.Replicas, MaxMsgSize: MaxMessage,
		DenyDelete: true, DenyPurge: true,
	}
	tasks, votes, receipts, events := file, file, file, file
	tasks.Name, tasks.Subjects = StreamTasks, []string{"task.*.*"}
	votes.Name, votes.Subjects = StreamVotes, []string{"vote.*"}
	votes.MaxMsgSize = MaxVote
	votes.DenyPurge = false
	votes.Discard, votes.DiscardNewPerSubject, votes.MaxMsgsPerSubject = jetstream.DiscardNew, true, int64(o.MaxUnread)
	receipts.Name, receipts.Subjects = StreamReceipts, []string{"receipt.*"}
	receipts.MaxMsgsPerSubject = maxReceipts
	events.Name, events.Subjects = StreamEvents, []string{"event.*.*"}
	events.Storage, events.MaxMsgs = jetstream.MemoryStorage, maxEvents
	for _, s := range []jetstream.StreamConfig{tasks, votes, receipts, events} {
		guarded, done := c.guard(ctx, publishing, c.id.api())
		_, err := c.js.CreateOrUpdateStream(guarded, s)
		err = c.explain(guarded, err, "making stream %s", s.Name)
		done()
		if err != nil {
			return err
		}
	}
	return c.ensureConsumer(ctx, StreamVotes, jetstream.ConsumerConfig{Durable: votesConsumer, MaxAckPending: maxPending})
}

// EnsureRebuilder makes the consumers through which a rebuilder's agents get
// tasks and receipts. Coordinators call it for every rebuilder of the policy.
func (c *Conn) EnsureRebuilder(ctx context.Context, name string) error {
	if err := (Identity{RoleRebuilder, name}).Check(); err != nil {
		return err
	}
	err := c.ensureConsumer(ctx, StreamTasks, jetstream.ConsumerConfig{
		Durable: tasksConsumer(name), FilterSubjects: []string{taskSubject(everyone, "*"), taskSubject(name, "*")},
	})
	if err != nil {
		return err
	}
	return c.ensureConsumer(ctx, StreamReceipts, jetstream.ConsumerConfig{
		Durable: receiptsConsumer(name), FilterSubjects: []string{receiptSubject(name)},
	})
}

func (c *Conn) ensureConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) error {
	cfg.AckPolicy = jetstream.AckExplicitPolicy
	cfg.DeliverPolicy = jetstream.DeliverAllPolicy
	cfg.AckWait = AckWait
	cfg.MaxDeliver = noLimit
	guarded, done := c.guard(ctx, publishing, c.id.api())
	defer done()
	_, err := c.js.CreateOrUpdateConsumer(guarded, stream, cfg)
	return c.explain(guarded, err, "making consumer %s of stream %s", cfg.Durable, stream)
}
