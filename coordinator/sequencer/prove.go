package sequencer

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
)

// Proof proves the entry at index for those who trust a policy, under the
// smallest published checkpoint that they accept: signed by its log's key and
// cosigned by its witnesses. It has the earliest time. An entry from before
// the policy's log key or witnesses is proven under the newest checkpoint. A
// policy of nil accepts any checkpoint. The error wraps coordinator.ErrNotFound
// if no checkpoint covers the entry yet.
func (s *Sequencer) Proof(ctx context.Context, index int64, under *policy.Version) (translog.Proof, error) {
	tree, note, err := s.covering(ctx, index, under)
	if err != nil {
		return translog.Proof{}, err
	}
	hashes, err := s.Prove(ctx, index, tree.Size)
	if err != nil {
		return translog.Proof{}, err
	}
	return translog.Proof{Index: index, Hashes: hashes, Checkpoint: note}, nil
}

func (s *Sequencer) covering(ctx context.Context, index int64, under *policy.Version) (coordinator.Tree, []byte, error) {
	seen := under != nil && !under.Witnesses.IsZero()
	tree, note, err := s.store.Covering(ctx, index, seen)
	if under == nil || err == nil && accepted(note, under) {
		return tree, note, err
	}
	if err != nil && !errors.Is(err, coordinator.ErrNotFound) {
		return coordinator.Tree{}, nil, err
	}
	if tree, note, err = s.store.Checkpoint(ctx); err != nil {
		return coordinator.Tree{}, nil, err
	}
	if index >= tree.Size || !accepted(note, under) {
		return coordinator.Tree{}, nil, fmt.Errorf("no checkpoint over entry %d that policy %d accepts: %w", index, under.Serial, coordinator.ErrNotFound)
	}
	return tree, note, nil
}

// accepted reports whether those who trust a policy accept a checkpoint.
func accepted(note []byte, under *policy.Version) bool {
	if _, err := translog.OpenCheckpoint(note, under.Log.Key); err != nil {
		return false
	}
	if under.Witnesses.IsZero() {
		return true
	}
	_, _, err := translog.WitnessesOf(under.Witnesses).Time(note)
	return err == nil
}

// Prove returns the inclusion proof of the entry at index in the tree of a
// size that was published, the sibling hashes from leaf to root.
func (s *Sequencer) Prove(ctx context.Context, index, size int64) ([]tlog.Hash, error) {
	if index < 0 || index >= size {
		return nil, fmt.Errorf("entry %d in the log of size %d: %w", index, size, coordinator.ErrNotFound)
	}
	hashes, err := tlog.ProveRecord(size, index, newTileHashes(s.proofs.through(size, s.tiles(ctx))))
	if err != nil {
		return nil, fmt.Errorf("proving entry %d in the log of size %d: %w", index, size, err)
	}
	return hashes, nil
}

// consistency proves that the tree of a size continues the tree of an older size.
func (s *Sequencer) consistency(ctx context.Context, size, old int64) ([]tlog.Hash, error) {
	if old == 0 || old == size {
		return nil, nil
	}
	proof, err := tlog.ProveTree(size, old, s.hashes(ctx))
	if err != nil {
		return nil, fmt.Errorf("proving that size %d extends size %d: %w", size, old, err)
	}
	return proof, nil
}

func (s *Sequencer) hashes(ctx context.Context) *tileHashes { return newTileHashes(s.tiles(ctx)) }

// tiles reads stored tiles.
func (s *Sequencer) tiles(ctx context.Context) func([]tlog.Tile) ([][]byte, error) {
	return func(tiles []tlog.Tile) ([][]byte, error) { return s.store.Tiles(ctx, tiles) }
}
