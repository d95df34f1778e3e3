package sequencer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
)

const (
	// batch bounds the leaves of one integration, and so how long the state row is held.
	batch = 1024

	// patience is how long an entry waits at most whose notification got lost
	// with the replica that was about to integrate it.
	patience = 5 * time.Second

	firstPause = 100 * time.Millisecond
	longPause  = 10 * time.Second

	// batches bounds what comes under one checkpoint when witnesses are asked,
	// so that a log under constant load publishes nevertheless.
	batches = 100

	// idleTimeout is how long connections to witnesses are kept for the next checkpoint.
	idleTimeout = 5 * time.Minute
)

// jitter spreads repetitions, so that replicas do not march in step.
func jitter(d time.Duration) time.Duration {
	return rand.N(d + 1) //nolint:gosec // spreads load, guards nothing
}

// Store is what the sequencer needs of the database.
type Store interface {
	coordinator.LogStore
	// Listen tells when entries wait, and once after each (re)connection.
	Listen(ctx context.Context) (<-chan coordinator.Topic, error)
	// Policies returns the policies with a serial above after, oldest first.
	Policies(ctx context.Context, after uint64) ([]*attest.Envelope, error)
}

// Config is what a sequencer needs.
type Config struct {
	Store Store
	// Key is the log's, an Ed25519 key whose name is the log's origin.
	Key attest.SigningKey
	// Trust are the policies, whose newest one names the log's key and its
	// witnesses; nil means that the log is under no policy, and unwitnessed.
	Trust *policy.Chain
	// KeyOf finds the private half of the log key that a newer policy names;
	// nil means that there is none but Key.
	KeyOf func(attest.VerifierKey) (attest.SigningKey, error)
	// Witnesses are where the policy's witnesses can be reached. Those that no
	// policy names are never asked.
	Witnesses []Endpoint
	// Timeout bounds one exchange with a witness; zero means DefaultTimeout.
	Timeout time.Duration
	Log     *slog.Logger // nil discards
}

// Sequencer integrates, signs and proves. Any number may run over one store,
// with the same log key. It is safe for concurrent use.
type Sequencer struct {
	store     Store
	trust     *policy.Chain
	keyOf     func(attest.VerifierKey) (attest.SigningKey, error)
	endpoints map[string]string // URLs of witnesses, by name
	timeout   time.Duration
	http      *http.Client
	log       *slog.Logger
	metrics   *metrics
	asking    sync.WaitGroup // exchanges with witnesses
	proofs    tileCache

	mu        sync.Mutex // held over reading the committed tree, signing and storing
	key       attest.SigningKey
	signed    coordinator.Tree
	loaded    bool                // signed holds the last tree that was signed, by whomever
	checked   bool                // witnesses vouch for the size of the database
	witnesses map[string]*witness // by verifier key
}

// New returns the sequencer of a log under no policy, which nobody witnesses.
func New(store Store, key attest.SigningKey, logger *slog.Logger) (*Sequencer, error) {
	return Open(Config{Store: store, Key: key, Log: logger})
}

// Open returns a sequencer.
func Open(c Config) (*Sequencer, error) {
	if err := checkKey(c.Key); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Sequencer{
		store: c.Store, trust: c.Trust, keyOf: c.KeyOf, endpoints: map[string]string{}, timeout: cmp.Or(c.Timeout, DefaultTimeout),
		log: c.Log, metrics: newMetrics(), key: c.Key, witnesses: map[string]*witness{},
		http: &http.Client{
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: idleTimeout,
				TLSHandshakeTimeout: DefaultTimeout, ForceAttemptHTTP2: true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	for _, e := range c.Witnesses {
		u, err := url.Parse(e.URL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return nil, fmt.Errorf("address of witness %s is not of the form https://host/path", e.Name)
		}
		if _, twice := s.endpoints[e.Name]; twice || e.Name == "" {
			return nil, fmt.Errorf("witness %q has no name, or two addresses", e.Name)
		}
		s.endpoints[e.Name] = strings.TrimSuffix(e.URL, "/")
	}
	return s, nil
}

func checkKey(key attest.SigningKey) error {
	if err := translog.CheckOrigin(key.Name()); err != nil {
		return fmt.Errorf("log key: %w", err)
	}
	if key.Algorithm() != attest.Ed25519 {
		return fmt.Errorf("log key is %v, must be %v", key.Algorithm(), attest.Ed25519)
	}
	return nil
}

// Run integrates and publishes whenever entries wait, until ctx ends. Errors
// are logged and the work is repeated. While the log is forked nothing is
// signed, and from time to time the database is looked at again: somebody may
// have connected the newest copy of it.
func (s *Sequencer) Run(ctx context.Context) error {
	topics, err := s.store.Listen(ctx)
	if err != nil {
		return fmt.Errorf("listening for log entries: %w", err)
	}
	defer s.asking.Wait()
	defer s.http.CloseIdleConnections()
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := firstPause
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case topic, open := <-topics:
			if open && topic != coordinator.TopicOutbox {
				continue
			}
			if !open {
				topics = nil // closed because ctx ends
			}
		case <-timer.C:
		}
		err := s.Drain(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			pause = firstPause
			timer.Reset(patience)
			continue
		}
		s.report(ctx, err, pause)
		timer.Reset(pause/2 + jitter(pause/2))
		pause = min(2*pause, longPause)
	}
}

// report logs why a round ended early.
func (s *Sequencer) report(ctx context.Context, err error, pause time.Duration) {
	var lacks *missing
	switch {
	case errors.Is(err, coordinator.ErrForked):
		s.log.ErrorContext(ctx, "log forked, nothing is signed any more", slog.Any("reason", err))
	case errors.As(err, &lacks):
		s.log.WarnContext(ctx, "checkpoint not published", slog.Duration("pause", pause), slog.Any("reason", err))
	default:
		s.log.WarnContext(ctx, "sequencing interrupted", slog.Duration("pause", pause), slog.Any("reason", err))
	}
}

// Drain integrates all entries that wait and publishes checkpoints over them:
// one a batch, or, if witnesses have to be asked, one for up to a hundred.
func (s *Sequencer) Drain(ctx context.Context) error {
	for {
		n, err := s.integrate(ctx)
		if err == nil {
			err = s.publish(ctx)
		}
		s.metrics.drained(err)
		// What came since there were fewer than a batch is notified.
		if err != nil || n < batch {
			return err
		}
	}
}

// integrate moves one batch into the tree, or, if publishing takes its time,
// as many as there are.
func (s *Sequencer) integrate(ctx context.Context) (int, error) {
	most := 1
	if s.trust != nil && !s.trust.Newest().Witnesses.IsZero() {
		most = batches
	}
	total := 0
	for range most {
		n, err := s.store.Integrate(ctx, batch, grow)
		if err != nil {
			return total, err
		}
		if total += n; n < batch {
			break
		}
	}
	return total, nil
}

// publish signs the committed tree and stores the checkpoint, unless that is done.
func (s *Sequencer) publish(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.publishLocked(ctx)
	var lacks *missing
	switch {
	case err == nil:
		return nil
	case errors.As(err, &lacks):
		return cmp.Or(s.store.Await(ctx, "decided, "+lacks.what), err)
	case errors.Is(err, coordinator.ErrForked):
		err = errors.Join(err, s.store.Await(ctx, "decided, but the log is halted: the database does not continue what was signed"))
	}
	// Whatever answers next may be an older copy of the database.
	s.checked = false
	return err
}

func (s *Sequencer) publishLocked(ctx context.Context) error {
	r, err := s.rule(ctx)
	if err != nil {
		return err
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	tree, published, err := s.store.Committed(ctx)
	if err != nil {
		return err
	}
	if err := s.extends(ctx, tree); err != nil {
		return err
	}
	if published {
		s.signed = tree
		return s.renew(ctx, r, tree)
	}
	if err := s.vouched(ctx, r); err != nil {
		return err
	}
	note, err := translog.Checkpoint{Origin: r.key.Name(), Size: tree.Size, Root: tree.Root}.Sign(r.key)
	if err != nil {
		return err
	}
	if !r.witnessed() {
		err = s.store.Publish(ctx, tree, note)
	} else {
		// From here on somebody else has the signature, published or not.
		s.signed = tree
		var at attest.Time
		if note, at, err = s.cosigned(ctx, r, tree, note); err == nil {
			err = s.store.PublishSeen(ctx, tree, note, coordinator.Seen{At: at, Confirm: s.confirm})
		}
	}
	if err != nil {
		return err
	}
	s.signed = tree
	s.metrics.published(tree)
	s.log.DebugContext(ctx, "checkpoint published", slog.Int64("size", tree.Size))
	return nil
}

// load learns at the start what was signed last.
func (s *Sequencer) load(ctx context.Context) error {
	if s.loaded {
		return nil
	}
	stored, note, err := s.store.Checkpoint(ctx)
	if errors.Is(err, coordinator.ErrNotFound) {
		s.signed, s.loaded = coordinator.Tree{Root: tlog.Hash(attest.SHA256(nil))}, true
		return nil
	}
	if err != nil {
		return err
	}
	c, err := s.openStored(ctx, note)
	if err != nil {
		return err
	}
	if c.Size != stored.Size || c.Root != stored.Root {
		return fmt.Errorf("%w: checkpoint of size %d is stored under size %d", coordinator.ErrForked, c.Size, stored.Size)
	}
	s.signed, s.loaded = stored, true
	return nil
}

// extends checks that tree is a continuation of the last tree that was signed:
// a database that was put back, or changed by hand, must not be signed.
func (s *Sequencer) extends(ctx context.Context, tree coordinator.Tree) error {
	old := s.signed
	switch {
	case tree.Size < old.Size:
		return fmt.Errorf("%w: size %d was signed, the database has %d; %s", coordinator.ErrForked, old.Size, tree.Size, whatToDo)
	case tree.Size == old.Size && tree.Root == old.Root, old.Size == 0:
		return nil
	}
	proof, err := s.consistency(ctx, tree.Size, old.Size)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, tree.Size, tree.Root, old.Size, old.Root); err != nil {
		return fmt.Errorf("%w: size %d does not extend size %d: %w", coordinator.ErrForked, tree.Size, old.Size, err)
	}
	return nil
}
