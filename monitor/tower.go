package monitor

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest/translog"
)

// tower builds the tiles of a tree from its leaves, level upon level, and
// compares each with the one that the log serves. It holds one tile of each level.
type tower struct {
	log    *Log
	edge   translog.Range
	levels [][]byte // of each level the hashes of the tile that is not full yet
	full   []int64  // of each level the tiles that were
	tiles  int      // that fitted
}

// add appends the leaves of the next full or last entry bundle.
func (w *tower) add(ctx context.Context, leaves [][]byte) error {
	for _, leaf := range leaves {
		h := translog.LeafHash(leaf)
		if err := w.edge.Append(h); err != nil {
			return err
		}
		if err := w.push(ctx, 0, h); err != nil {
			return err
		}
	}
	return nil
}

// push adds a hash to a level, and the root of the level's tile to the one above
// when that makes it full.
func (w *tower) push(ctx context.Context, level int, h tlog.Hash) error {
	if level == len(w.levels) {
		w.levels, w.full = append(w.levels, nil), append(w.full, 0)
	}
	w.levels[level] = append(w.levels[level], h[:]...)
	if len(w.levels[level]) < tileBytes {
		return nil
	}
	if err := w.compare(ctx, level, translog.TileWidth); err != nil {
		return err
	}
	var subtree translog.Range
	for i := 0; i < tileBytes; i += tlog.HashSize {
		if err := subtree.Append(tlog.Hash(w.levels[level][i:])); err != nil {
			return err
		}
	}
	w.levels[level], w.full[level] = nil, w.full[level]+1
	return w.push(ctx, level+1, subtree.Root())
}

// finish compares the partial tiles along the right edge.
func (w *tower) finish(ctx context.Context) error {
	for level, hashes := range w.levels {
		if len(hashes) == 0 {
			continue
		}
		if err := w.compare(ctx, level, len(hashes)/tlog.HashSize); err != nil {
			return err
		}
	}
	return nil
}

// compare reads a tile as it is served.
func (w *tower) compare(ctx context.Context, level, width int) error {
	n := w.full[level]
	served, err := w.log.tile(ctx, tlog.Tile{H: translog.TileHeight, L: level, N: n, W: width})
	if err != nil {
		return err
	}
	want := w.levels[level]
	if bytes.Equal(served, want) {
		w.tiles++
		return nil
	}
	i := 0
	for served[i] == want[i] {
		i++
	}
	i /= tlog.HashSize
	if level == 0 {
		return fmt.Errorf("%w: log entry %d is not the one in %s", ErrDamaged, n*translog.TileWidth+int64(i), translog.TilePath(level, n, width))
	}
	return fmt.Errorf("%w: hash %d of %s is not that of the tile below it", ErrDamaged, i, translog.TilePath(level, n, width))
}
