package anchor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/coordinator"
)

const (
	// inFlight bounds the requests at a time. Each waits for the server's next
	// checkpoint, so this many are anchored per checkpoint.
	inFlight = 64

	// lease is longer than a decision may take.
	lease = 2 * requestTime

	// patience is how long a decision waits at most whose notification got lost.
	patience = time.Minute

	// While the server fails, one decision at a time is tried, after these pauses.
	firstPause = time.Second
	longPause  = 10 * time.Minute

	// A decision that itself met with a refusal is set aside for longer each time.
	firstAside = time.Minute
	longAside  = 6 * time.Hour
)

// Store is what anchoring needs of the database.
type Store interface {
	coordinator.AnchorStore
	// Listen tells when decisions become logged, and once after each (re)connection.
	Listen(ctx context.Context) (<-chan coordinator.Topic, error)
}

// Config is what an [Anchorer] is made of.
type Config struct {
	Store Store
	// URL is the Rekor v2 server's: entries go to <URL>/api/v2/log/entries.
	URL string
	// Tiles is the URL below which its checkpoint and tiles are; empty means
	// <URL>/api/v2. They are read only after an answer was lost.
	Tiles string
	// Key is the Ed25519 key of its checkpoints, under its origin as the name.
	Key attest.VerifierKey
	Log *slog.Logger // nil discards
}

// Anchorer brings decisions into another log. Any number may run over one store.
type Anchorer struct {
	store   Store
	server  *server
	log     *slog.Logger
	metrics *metrics
}

// New returns an anchorer. It asks nothing of the server yet.
func New(c Config) (*Anchorer, error) {
	s, err := newServer(c.URL, c.Tiles, c.Key)
	if err != nil {
		return nil, fmt.Errorf("configuring the anchor: %w", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Anchorer{c.Store, s, c.Log.With(slog.String("anchor", c.Key.Name())), newMetrics()}, nil
}

// Collectors returns the metrics of anchoring.
func (a *Anchorer) Collectors() []prometheus.Collector { return a.metrics.collectors() }

// Run anchors decisions as they become logged, until ctx ends. Whatever fails
// is logged and tried again.
func (a *Anchorer) Run(ctx context.Context) error {
	defer a.server.http.CloseIdleConnections()
	topics, err := a.store.Listen(ctx)
	if err != nil {
		return fmt.Errorf("listening for decisions to anchor: %w", err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := time.Duration(0) // before the next try; zero while all is well
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case topic, open := <-topics:
			if !open {
				topics = nil // closed because ctx ends
			}
			// Signing jobs open when decisions become logged. While the server
			// fails, more decisions are no reason to ask it sooner.
			if !open || topic != coordinator.TopicSign || pause > 0 {
				continue
			}
		case <-timer.C:
		}
		limit := inFlight
		if pause > 0 {
			limit = 1
		}
		switch err := a.drain(ctx, limit); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			pause = min(max(2*pause, firstPause), longPause)
			a.log.WarnContext(ctx, "anchoring interrupted", slog.Duration("pause", pause), slog.Any("reason", err))
			timer.Reset(pause/2 + rand.N(pause/2)) //nolint:gosec // spreads load, guards nothing
		default:
			pause = 0
			timer.Reset(patience)
		}
	}
}

// drain anchors all decisions that wait, at first limit at a time. It ends at
// the first round in which one failed.
func (a *Anchorer) drain(ctx context.Context, limit int) error {
	defer a.count(ctx)
	for {
		batch, err := a.store.ClaimAnchors(ctx, limit, lease)
		if err != nil || len(batch) == 0 {
			return err
		}
		errs := make([]error, len(batch))
		var round sync.WaitGroup
		for i, u := range batch {
			round.Go(func() { errs[i] = a.anchor(ctx, u) })
		}
		round.Wait()
		for _, err := range errs {
			if err != nil {
				return err // one of many that are alike
			}
		}
		limit = inFlight
	}
}

// anchor brings one decision into the log, or puts it back with the reason.
func (a *Anchorer) anchor(ctx context.Context, u coordinator.Unanchored) error {
	made, err := a.prove(ctx, u)
	if err == nil {
		err = a.store.Anchored(ctx, made)
	}
	if err == nil {
		a.metrics.anchored.Inc()
		a.log.InfoContext(ctx, "decision anchored", slog.Any("release", u.Release), slog.Int64("index", made.Index))
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err() // the lease ends by itself
	}
	err = fmt.Errorf("anchoring the decision on release %s: %w", u.Release.Short(), err)
	// An outage is not the decision's fault: it goes first when that is over.
	var aside time.Duration
	switch {
	case errors.Is(err, errUntrusted):
		aside = asideFor(u.Attempts)
		a.metrics.failures.WithLabelValues("untrusted").Inc()
		a.log.ErrorContext(ctx, "answer of the anchor's server proves nothing", slog.Any("release", u.Release), slog.Any("reason", err))
	case errors.Is(err, errUnavailable), errors.Is(err, coordinator.ErrUnavailable):
		a.metrics.failures.WithLabelValues("unavailable").Inc()
	default:
		aside = asideFor(u.Attempts)
		a.metrics.failures.WithLabelValues("refused").Inc()
	}
	return errors.Join(err, a.store.RetryAnchor(ctx, u.Release, err.Error(), aside))
}

func asideFor(attempts int) time.Duration {
	aside := firstAside
	for range attempts - 1 {
		if aside *= 2; aside >= longAside {
			return longAside
		}
	}
	return aside
}

// prove returns a decision's anchor, verified.
func (a *Anchorer) prove(ctx context.Context, u coordinator.Unanchored) (coordinator.Anchor, error) {
	statement, err := statementKey(u.Decision, u.Leaf)
	if err != nil {
		return coordinator.Anchor{}, err
	}
	proof, err := a.server.prove(ctx, u.Decision, statement, u.Leaf)
	if err != nil {
		return coordinator.Anchor{}, err
	}
	bundle, err := evidence.NewSigstore(u.Decision, statement, a.server.key, proof)
	if err != nil {
		return coordinator.Anchor{}, err
	}
	encoded, err := bundle.Encode()
	if err != nil {
		return coordinator.Anchor{}, err
	}
	return coordinator.Anchor{Release: u.Release, Log: a.server.key.Name(), Index: proof.Index, Bundle: encoded}, nil
}

func (a *Anchorer) count(ctx context.Context) {
	n, err := a.store.AnchorsWaiting(ctx)
	if err == nil {
		a.metrics.waiting.Set(float64(n))
	}
}
