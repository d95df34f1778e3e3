package monitor

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Consistency proves that the tree continues the one that it was when it had
// size entries, whose root [Tree.Root] returns (RFC 6962; no hashes for the empty
// tree and for the tree itself). Errors wrap [ErrDamaged], [ErrMissing] or [ErrUnreachable].
func (t Tree) Consistency(ctx context.Context, size int64) ([]tlog.Hash, error) {
	switch {
	case size < 0 || size > t.at.Size:
		return nil, fmt.Errorf("proof that a tree of %d entries continues one of %d", t.at.Size, size)
	case size == 0 || size == t.at.Size:
		return nil, nil
	}
	proof, err := tlog.ProveTree(t.at.Size, size, t.hashes(ctx))
	if err != nil {
		return nil, t.damaged(fmt.Errorf("proof that it continues %d entries: %w", size, err))
	}
	return proof, nil
}
