// Package rebuilder is the agent of an independent operator: it takes tasks,
// builds them where they can hurt nobody, and signs what came out (design §2.3).
//
// The order is fixed and survives a crash at any point:
//
//	task → verified against the agent's own policy → release durable in the spool
//	     → built in a sandbox → every build process dead → outputs hashed
//	     → statement signed → statement durable in the spool → published
//	     → receipt or rejection, signed by the coordinator
//
// Only the last step ends the agent's duty: an acknowledgement of the message
// bus is not a receipt. Until then, and after every restart, it asks what
// became of its statements and sends again what the coordinator does not know.
//
// Beside that, it reads the evidence log and compares every decision with its
// receipts. If one says that a statement is counted and the decision does not
// list it, the agent complains, and does not rest until the log shows that.
//
//	agent, err := rebuilder.New(rebuilder.Config{Name: "alpha", Key: key, Trust: pinned, …})
//	err = agent.Run(ctx)
package rebuilder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/rebuilder/backend"
	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

// Bus is what an agent needs of the message bus.
type Bus interface {
	// Tasks hands out tasks, at most slots at a time, until ctx ends, and
	// returns when the handlers have.
	Tasks(ctx context.Context, rebuilder string, slots int, handle func(context.Context, bus.TaskMessage)) error
	PublishVote(ctx context.Context, rebuilder string, votes ...bus.EncodedVote) error
	// Receipts hands out receipts and rejections until ctx ends.
	Receipts(ctx context.Context, rebuilder string, handle func(*attest.Envelope) error) error
	AskReceipts(ctx context.Context, rebuilder string, r bus.ReceiptsRequest) (bus.ReceiptsReply, error)
	Policies(ctx context.Context, r bus.PolicyRequest) (bus.PolicyReply, error)
	ReadLog(ctx context.Context, q bus.LogRequest) (bus.LogReply, error)
	Complain(ctx context.Context, rebuilder string, q bus.ComplainRequest) (bus.ComplainReply, error)
}

var _ Bus = (*bus.Conn)(nil)

// MaxSlots bounds the builds of one agent at one time.
const MaxSlots = 256

// Config is what an agent needs.
type Config struct {
	// Name is the rebuilder's name in the policy; several agents may share it.
	Name string
	Key  attest.SigningKey
	// Trust begins with the pinned policy. The agent adds those that follow.
	Trust *policy.Chain
	Bus   Bus
	Spool *Spool
	// Sandbox gives the slots, Slots of them at one time, 1 to MaxSlots.
	Sandbox  *sandbox.Sandbox
	Slots    int
	Backends []backend.Backend
	// Timeout bounds one build, besides the release's deadline. Zero means the sandbox's default.
	Timeout time.Duration
	// Drain is how long running builds may go on after the agent was told to
	// stop; what is not done then is reported as infra-error.
	Drain time.Duration
	// Patience is how long the agent waits for a pushed receipt before it
	// asks. Zero means DefaultPatience.
	Patience time.Duration
	Log      *slog.Logger // nil discards
}

// DefaultPatience is long enough for a coordinator to answer unasked.
const DefaultPatience = 30 * time.Second

// Pauses between the agent's own rounds.
const (
	cleanPause  = time.Hour
	firstPause  = time.Second
	longPause   = 30 * time.Second
	extendPause = bus.AckWait / 6
)

// Agent is one process of a rebuilder.
type Agent struct {
	Config

	backends map[string]backend.Backend
	metrics  *metrics

	mu   sync.Mutex
	busy map[attest.Digest]bool // releases in work in this process

	sealing sync.Mutex    // so that one complaint is signed once
	wronged chan struct{} // there is a complaint to deliver
}

// New returns an agent that does nothing until [Agent.Run]. It adds the
// policies that its spool remembers to Trust.
func New(c Config) (*Agent, error) {
	switch {
	case c.Key.Name() != c.Name:
		return nil, fmt.Errorf("attestation key is of %q, agent is of rebuilder %q", c.Key.Name(), c.Name)
	case c.Slots < 1 || c.Slots > MaxSlots:
		return nil, fmt.Errorf("%d slots: an agent has 1 to %d", c.Slots, MaxSlots)
	case c.Timeout < 0 || c.Drain < 0 || c.Patience < 0:
		return nil, errors.New("timeout, drain time and patience cannot be negative")
	case len(c.Backends) == 0:
		return nil, errors.New("no back-end configured: the agent could build nothing")
	}
	if err := c.Spool.Recall(c.Trust); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = sandbox.DefaultTimeout
	}
	if c.Patience == 0 {
		c.Patience = DefaultPatience
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	a := &Agent{Config: c, backends: map[string]backend.Backend{}, metrics: newMetrics(), busy: map[attest.Digest]bool{}, wronged: make(chan struct{}, 1)}
	for _, b := range c.Backends {
		a.backends[b.Name()] = b
	}
	return a, nil
}

// Run works until ctx ends. Then no further task is taken, builds that run on
// after the drain time end as infra-error so that another attempt can be
// opened, and statements without receipt stay in the spool.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.settleInterrupted(); err != nil {
		return err
	}
	for _, release := range a.Spool.Lacking() {
		if err := a.dispute(release); err != nil {
			return err
		}
	}
	builds, stop := a.outlasting(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return a.repeating(ctx, "receipts", func() error { return a.Bus.Receipts(ctx, a.Name, a.receive) })
	})
	group.Go(func() error {
		return a.repeating(ctx, "tasks", func() error {
			return a.Bus.Tasks(ctx, a.Name, a.Slots, func(ctx context.Context, m bus.TaskMessage) { a.handle(ctx, builds, m) })
		})
	})
	group.Go(func() error { return a.chase(ctx) })
	group.Go(func() error {
		return a.repeating(ctx, "log", func() error { return a.watch(ctx) })
	})
	group.Go(func() error { return a.complain(ctx) })
	group.Go(func() error { return a.clean(ctx) })
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// errDrained is why a build was cut off by its own agent.
var errDrained = errors.New("the agent is stopping and its drain time is over")

// outlasting returns a context that ends when ctx has ended and the drain time
// is over, or when stop is called.
func (a *Agent) outlasting(ctx context.Context) (_ context.Context, stop func()) {
	builds, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-ctx.Done():
		case <-builds.Done():
			return
		}
		if sleep(builds, a.Drain) == nil {
			abort(errDrained)
		}
	})
	return builds, func() {
		abort(context.Canceled)
		watch.Wait()
	}
}

// repeating keeps a subscription alive while the bus or the coordinator is away.
func (a *Agent) repeating(ctx context.Context, what string, work func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := work()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.metrics.failures.WithLabelValues(what).Inc()
		a.Log.WarnContext(ctx, "subscription ended, repeating", slog.String("subscription", what), slog.Any("reason", err), slog.Duration("pause", pause))
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// settleInterrupted signs infra-error for every build that a crash cut off.
func (a *Agent) settleInterrupted() error {
	releases, err := a.Spool.Interrupted()
	if err != nil {
		return err
	}
	for _, release := range releases {
		task, err := a.Spool.Task(release)
		if err != nil {
			return err
		}
		a.Log.Warn("build was interrupted, reporting infra-error", slog.Any("release", release))
		if _, err := a.interrupted(release, task); err != nil {
			return err
		}
	}
	return nil
}

func (a *Agent) clean(ctx context.Context) error {
	for {
		if err := a.Spool.Clean(time.Now()); err != nil {
			a.metrics.failures.WithLabelValues("spool").Inc()
			a.Log.WarnContext(ctx, "spool not cleaned completely", slog.Any("reason", err))
		}
		if err := sleep(ctx, cleanPause); err != nil {
			return err
		}
	}
}
