package sequencer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
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
)

// Store is what the sequencer needs of the database.
type Store interface {
	coordinator.LogStore
	// Listen tells when entries wait, and once after each (re)connection.
	Listen(ctx context.Context) (<-chan coordinator.Topic, error)
}

// Sequencer integrates, signs and proves. Any number may run over one store,
// with the same log key. It is safe for concurrent use.
type Sequencer struct {
	store Store
	key   attest.SigningKey
	log   *slog.Logger

	mu     sync.Mutex // held over reading the committed tree, signing and storing
	signed coordinator.Tree
	loaded bool // signed holds the last tree that was signed, by whomever
}

// New returns a sequencer that signs with the log's key, an Ed25519 key whose
// name is the log's origin. A logger of nil discards.
func New(store Store, key attest.SigningKey, logger *slog.Logger) (*Sequencer, error) {
	if err := translog.CheckOrigin(key.Name()); err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	if key.Algorithm() != attest.Ed25519 {
		return nil, fmt.Errorf("log key is %v, must be %v", key.Algorithm(), attest.Ed25519)
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Sequencer{store: store, key: key, log: logger}, nil
}

// Run integrates and publishes whenever entries wait, until ctx ends or the
// log is found forked. Other errors are logged and the work is repeated.
func (s *Sequencer) Run(ctx context.Context) error {
	topics, err := s.store.Listen(ctx)
	if err != nil {
		return fmt.Errorf("listening for log entries: %w", err)
	}
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
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, coordinator.ErrForked):
			s.log.ErrorContext(ctx, "log forked, nothing is signed any more", slog.Any("reason", err))
			return err
		case err != nil:
			s.log.WarnContext(ctx, "sequencing interrupted", slog.Duration("pause", pause), slog.Any("reason", err))
			timer.Reset(pause/2 + rand.N(pause/2)) //nolint:gosec // spreads load, guards nothing
			pause = min(2*pause, longPause)
		default:
			pause = firstPause
			timer.Reset(patience)
		}
	}
}

// Drain integrates all entries that wait and publishes a checkpoint over them.
func (s *Sequencer) Drain(ctx context.Context) error {
	for {
		n, err := s.store.Integrate(ctx, batch, grow)
		if err != nil {
			return err
		}
		if err := s.publish(ctx); err != nil || n == 0 {
			return err
		}
	}
}

// publish signs the committed tree and stores the checkpoint, unless that is done.
func (s *Sequencer) publish(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
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
		return nil
	}
	note, err := translog.Checkpoint{Origin: s.key.Name(), Size: tree.Size, Root: tree.Root}.Sign(s.key)
	if err != nil {
		return err
	}
	if err := s.store.Publish(ctx, tree, note); err != nil {
		return err
	}
	s.signed = tree
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
	c, err := translog.OpenCheckpoint(note, s.key.VerifierKey)
	if err != nil {
		return fmt.Errorf("%w: newest checkpoint: %w", coordinator.ErrForked, err)
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
		return fmt.Errorf("%w: size %d was signed, the database has %d; was it restored from a backup?", coordinator.ErrForked, old.Size, tree.Size)
	case tree.Size == old.Size && tree.Root == old.Root, old.Size == 0:
		return nil
	}
	proof, err := tlog.ProveTree(tree.Size, old.Size, s.hashes(ctx))
	if err != nil {
		return fmt.Errorf("proving that size %d extends size %d: %w", tree.Size, old.Size, err)
	}
	if err := tlog.CheckTree(proof, tree.Size, tree.Root, old.Size, old.Root); err != nil {
		return fmt.Errorf("%w: size %d does not extend size %d: %w", coordinator.ErrForked, tree.Size, old.Size, err)
	}
	return nil
}

// Proof proves the entry at index under the newest checkpoint. The error wraps
// coordinator.ErrNotFound if no checkpoint covers it yet.
func (s *Sequencer) Proof(ctx context.Context, index int64) (translog.Proof, error) {
	tree, note, err := s.store.Checkpoint(ctx)
	if err != nil {
		return translog.Proof{}, err
	}
	hashes, err := s.Prove(ctx, index, tree.Size)
	if err != nil {
		return translog.Proof{}, err
	}
	return translog.Proof{Index: index, Hashes: hashes, Checkpoint: note}, nil
}

// Prove returns the inclusion proof of the entry at index in the tree of a
// size, the sibling hashes from leaf to root. It reads each tile it needs once.
func (s *Sequencer) Prove(ctx context.Context, index, size int64) ([]tlog.Hash, error) {
	if index < 0 || index >= size {
		return nil, fmt.Errorf("entry %d in the log of size %d: %w", index, size, coordinator.ErrNotFound)
	}
	hashes, err := tlog.ProveRecord(size, index, s.hashes(ctx))
	if err != nil {
		return nil, fmt.Errorf("proving entry %d in the log of size %d: %w", index, size, err)
	}
	return hashes, nil
}

func (s *Sequencer) hashes(ctx context.Context) *tileHashes {
	return newTileHashes(func(tiles []tlog.Tile) ([][]byte, error) { return s.store.Tiles(ctx, tiles) })
}
