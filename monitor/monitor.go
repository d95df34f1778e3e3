package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
)

// Defaults of the settings.
const (
	DefaultEvery       = time.Minute
	DefaultUnreachable = 15 * time.Minute
	DefaultEvidence    = 15 * time.Minute
	DefaultDevice      = 15 * time.Minute
	DefaultExpiry      = 30 * 24 * time.Hour
)

// Config is what a monitor is made of.
type Config struct {
	// Dir holds the memory of each log, in a directory of its own.
	Dir string
	// Logs are those to follow. Several may be copies of one log.
	Logs []Watched
	// Every is how long to wait between two passes; zero means the default.
	Every time.Duration
	// Patience says what may take how long.
	Patience Patience
	// Webhook is where alarms are posted; empty means nowhere.
	Webhook string
	// Now is the clock; nil means the machine's.
	Now    func() time.Time
	Logger *slog.Logger // nil discards
}

// Watched is one log to follow.
type Watched struct {
	Source Source
	Trust  evidence.Trust
	// MaxSerial is the highest serial that a policy is expected to have; zero
	// expects any. Each new policy is announced all the same.
	MaxSerial uint64
	// Device gives the metrics of the log's signer; nil leaves the count alone.
	Device Source
}

// Patience says how long something may last before it is an alarm. Zero means
// the default.
type Patience struct {
	Unreachable time.Duration // the log does not answer
	Evidence    time.Duration // evidence is not there after a decision or its signatures were seen
	Device      time.Duration // the log does not explain what a device counts
	Expiry      time.Duration // before a policy or a key ends
	// Stale is how old the checkpoint may be: by its witnesses' time, else since it
	// was first seen. Zero means twice what the policy allows its signers if there
	// are witnesses, and for ever if there are none: an idle log is no fault.
	Stale time.Duration
}

func (p Patience) orDefaults() Patience {
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&p.Unreachable, DefaultUnreachable},
		{&p.Evidence, DefaultEvidence},
		{&p.Device, DefaultDevice},
		{&p.Expiry, DefaultExpiry},
	} {
		if *d.value == 0 {
			*d.value = d.or
		}
	}
	return p
}

// Monitor follows logs. Its methods are not safe for concurrent use.
type Monitor struct {
	config  Config
	watches []*watch
	hook    *webhook
	metrics *metrics
}

// New returns a monitor over its memory, which stays locked against other
// processes until Close. It reads no log yet.
func New(c Config) (*Monitor, error) {
	if len(c.Logs) == 0 {
		return nil, errors.New("monitor of no log")
	}
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Patience = c.Patience.orDefaults()
	m := &Monitor{config: c, metrics: newMetrics()}
	if c.Webhook != "" {
		m.hook = &webhook{url: c.Webhook, client: newClient(), pause: firstPause}
	}
	for _, l := range c.Logs {
		w, err := m.open(l)
		if err != nil {
			return nil, errors.Join(err, m.Close())
		}
		m.watches = append(m.watches, w)
	}
	return m, nil
}

func (m *Monitor) open(l Watched) (*watch, error) {
	pinned, _, err := l.Trust.Pinned()
	if err != nil {
		return nil, fmt.Errorf("trust for %s: %w", l.Source, err)
	}
	place := attest.SHA256([]byte(l.Source.String()))
	w := &watch{
		Watched: l, hook: m.hook, log: NewLog(l.Source), origin: pinned.Log.Origin,
		patience: m.config.Patience, now: m.config.Now, logger: m.config.Logger.With(slog.String("log", l.Source.String())), metrics: m.metrics,
	}
	return w, w.open(filepath.Join(m.config.Dir, pinned.Log.Origin+"-"+place.Short()))
}

// Close lets another process have the memory.
func (m *Monitor) Close() error {
	var errs []error
	for _, w := range m.watches {
		errs = append(errs, w.memory.close())
	}
	return errors.Join(errs...)
}

// Pass is what one pass over the logs found.
type Pass struct {
	Raised   []Alarm // for the first time
	Standing []Alarm // raised before, and still so
}

// Alarming reports whether a person has to look: something was raised that is no
// mere announcement, or stands.
func (p Pass) Alarming() bool {
	for _, a := range p.Raised {
		if !a.Kind.Announces() {
			return true
		}
	}
	return len(p.Standing) > 0
}

// Once takes one look at every log, at all of them at once, and tells what it
// found. What is wrong with one log keeps it from none of the others; errors are
// of the monitor's own memory, or of the context.
func (m *Monitor) Once(ctx context.Context) (Pass, error) {
	passes, errs := make([]Pass, len(m.watches)), make([]error, len(m.watches))
	var looks sync.WaitGroup
	for i, w := range m.watches {
		looks.Go(func() { passes[i], errs[i] = m.look(ctx, w) })
	}
	looks.Wait()
	var all Pass
	for _, p := range passes {
		all.Raised, all.Standing = append(all.Raised, p.Raised...), append(all.Standing, p.Standing...)
	}
	return all, errors.Join(errs...)
}

// Run takes one look at each log after another until ctx ends or the memory
// fails. A log that is slow slows none of the others.
func (m *Monitor) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range m.watches {
		group.Go(func() error {
			ticker := time.NewTicker(m.config.Every)
			defer ticker.Stop()
			for {
				if _, err := m.look(ctx, w); err != nil {
					return err
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-ticker.C:
				}
			}
		})
	}
	return group.Wait()
}

// look passes over one log and tells what it raised, also what its webhook has
// not taken before.
func (m *Monitor) look(ctx context.Context, w *watch) (Pass, error) {
	pass, err := w.pass(ctx)
	if err != nil {
		return pass, err
	}
	return pass, w.tell(ctx)
}
