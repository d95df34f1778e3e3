package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// Bus is what the coordinator needs of the message bus.
type Bus interface {
	// Votes hands over batches of messages until ctx ends. A batch is
	// acknowledged once handle returns nil and given again after an error.
	Votes(ctx context.Context, batch int, handle func(context.Context, []bus.Message) error) error
	PublishTask(ctx context.Context, suite string, tasks ...bus.Task) error
	PublishReceipt(ctx context.Context, rebuilder string, envelopes ...*attest.Envelope) error
	PublishEvent(ctx context.Context, events ...bus.Event) error
	// EnsureRebuilder makes the consumers that a rebuilder reads with.
	EnsureRebuilder(ctx context.Context, name string) error
	Decide(ctx context.Context, r bus.DecideRequest) (bus.DecideReply, error)
	Sign(ctx context.Context, r bus.SignRequest) (bus.SignReply, error)
}

// Prover proves entries of the evidence log.
type Prover interface {
	// Proof proves the entry at index under the first published checkpoint over
	// it that those who trust a policy accept. ErrNotFound if there is none yet.
	Proof(ctx context.Context, index int64, under *policy.Version) (translog.Proof, error)
}

// Config is what a coordinator needs.
type Config struct {
	Store  Store
	Reader Reader
	Bus    Bus
	Prover Prover
	// Trust is the pinned policy; newer ones come out of the store.
	Trust *policy.Chain
	// Key is the opening key, which the policy must list.
	Key attest.SigningKey
	// Batch bounds the votes that one transaction commits; zero means 1000. One
	// is row by row, which costs several times as much.
	Batch int
	// OnPolicy, if not nil, is called with every policy newer than Trust's newest
	// before the bus is prepared for its rebuilders: the single box's own
	// NATS server must know them first. It is repeated until it succeeds.
	OnPolicy func(ctx context.Context, v *policy.Version) error
	// UnsignedAfter is for tests; zero means [UnsignedAfter].
	UnsignedAfter time.Duration
	Log           *slog.Logger
}

// Coordinator moves releases through their states. Any number may run over one store.
type Coordinator struct {
	store   Store
	reader  Reader
	bus     Bus
	prover  Prover
	trust   *policy.Chain
	key     attest.SigningKey
	log     *slog.Logger
	metrics *metrics
	events  *broadcast
	grown   *broadcast // the log has a newer checkpoint
	batch   int
	// unsignedAfter is how long a decision in the log waits for its signatures
	// before its evidence is shown without.
	unsignedAfter time.Duration
	closed        *handoff
	jobs          jobs
	reading       *semaphore.Weighted // answers about the log
	tail          tail
	parties       parties
}

// New returns a coordinator. [Coordinator.Prepare] comes next, then
// [Coordinator.Run] and, beside it, the request API.
func New(c Config) (*Coordinator, error) {
	if c.Key.Algorithm() != attest.ECDSAP256 {
		return nil, fmt.Errorf("opening key is %v, must be %v", c.Key.Algorithm(), attest.ECDSAP256)
	}
	if _, err := c.Trust.Newest().CoordinatorKey(c.Key.Name()); err != nil {
		return nil, fmt.Errorf("opening key in the pinned policy: %w", err)
	}
	return &Coordinator{
		store: c.Store, reader: c.Reader, bus: c.Bus, prover: c.Prover, trust: c.Trust, key: c.Key, log: c.Log,
		metrics: newMetrics(), events: newBroadcast(), grown: newBroadcast(), batch: cmp.Or(c.Batch, ingestBatch),
		unsignedAfter: cmp.Or(c.UnsignedAfter, UnsignedAfter),
		closed:        newHandoff(),
		jobs:          jobs{room: semaphore.NewWeighted(signAtOnce)},
		reading:       semaphore.NewWeighted(readsAtOnce),
		parties:       parties{onPolicy: c.OnPolicy, first: c.Trust.Newest().Serial},
	}, nil
}

// Prepare stores the pinned policy if the store does not know it and loads the
// newer ones. It comes before everything else: an opening names a stored policy.
func (c *Coordinator) Prepare(ctx context.Context) error {
	if err := c.retrying(ctx, "policies", c.storePinned); err != nil {
		return err
	}
	return c.retrying(ctx, "policies", c.loadPolicies)
}

// Run works until ctx ends or a fault that no repetition can mend.
func (c *Coordinator) Run(ctx context.Context) error {
	defer c.jobs.running.Wait()
	group, ctx := errgroup.WithContext(ctx)
	topics, err := c.store.Listen(ctx)
	if err != nil {
		return fmt.Errorf("listening for notifications: %w", err)
	}
	loops := map[Topic]*loop{
		TopicPolicy:   {work: c.loadPolicies},
		TopicTasks:    {work: c.publishTasks},
		TopicRetry:    {work: c.openNext, due: true},
		TopicEvaluate: {work: c.evaluate, due: true},
		TopicDecide:   {work: c.decide, due: true},
		TopicSign:     {work: c.sign, due: true},
		TopicEvents:   {work: c.publishEvents},
		TopicUnsigned: {work: c.showUnsigned, due: true}, // time alone makes a decision due
	}
	for topic, l := range loops {
		l.topic, l.wake = topic, make(chan struct{}, 1)
		group.Go(func() error { return c.run(ctx, l) })
	}
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case topic, ok := <-topics:
				if !ok {
					return ctx.Err()
				}
				switch topic {
				case TopicEvents:
					c.events.tell()
				case TopicLog:
					c.grown.tell()
				default:
				}
				if l := loops[topic]; l != nil {
					l.poke()
				}
			}
		}
	})
	for range deciders {
		group.Go(func() error { return c.decideClosed(ctx) })
	}
	group.Go(func() error { return c.bus.Votes(ctx, c.batch, c.ingest) })
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// loop does all work of one topic whenever it is woken, or when something
// falls due that no notification announces.
type loop struct {
	topic Topic
	wake  chan struct{}
	due   bool
	work  func(context.Context) error
}

func (l *loop) poke() {
	select {
	case l.wake <- struct{}{}:
	default: // a wake-up is waiting already, and it will see this work too
	}
}

const (
	// firstPause and longPause bound the pauses after a failed piece of work.
	firstPause = 100 * time.Millisecond
	longPause  = 10 * time.Second
	// longestSleep bounds how late something is noticed that fell due unannounced:
	// a deadline set, or a lease taken and left behind, by another replica
	// since this one looked.
	longestSleep = 2 * time.Second
)

func (c *Coordinator) run(ctx context.Context, l *loop) error {
	pause := firstPause
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.wake:
		case <-timer.C:
		}
		next, err := c.once(ctx, l)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			c.metrics.failures.WithLabelValues(string(l.topic)).Inc()
			c.log.WarnContext(ctx, "work failed, repeating", slog.Any("topic", l.topic), slog.Any("reason", err), slog.Any("pause", pause))
			timer.Reset(jitter(pause))
			pause = min(2*pause, longPause)
		default:
			pause = firstPause
			if next > 0 {
				timer.Reset(next)
			} else {
				timer.Stop()
			}
		}
	}
}

// once works a topic off and returns how long until the next of it falls due.
func (c *Coordinator) once(ctx context.Context, l *loop) (time.Duration, error) {
	if err := l.work(ctx); err != nil {
		return 0, err
	}
	if !l.due {
		return 0, nil
	}
	due, err := c.store.NextDue(ctx, l.topic)
	if err != nil || due.IsZero() {
		return longestSleep, err
	}
	now, err := c.store.Now(ctx)
	if err != nil {
		return 0, err
	}
	const pause = 10 * time.Millisecond // what is overdue is in another replica's hands
	return min(max(due.Sub(now), pause), longestSleep), nil
}

// retrying repeats work until it succeeds: at start the database and the bus
// may be later than we are.
func (c *Coordinator) retrying(ctx context.Context, what string, work func(context.Context) error) error {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := work(ctx)
		if err == nil || answer(err).Kind != bus.KindUnavailable {
			return err
		}
		c.log.WarnContext(ctx, "waiting for the database or the bus", slog.Any("for", what), slog.Any("reason", err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(jitter(pause)):
		}
	}
}

// jitter spreads repetitions, so that replicas do not march in step.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // spreads load, guards nothing
}
