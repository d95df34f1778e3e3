package monitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// ErrDamaged says that files of a log do not fit its signed checkpoint, or are
// not there: nothing can be said of the log's entries until they do.
var ErrDamaged = errors.New("files do not fit the signed checkpoint")

const (
	// parallel is how many requests a reader has under way at most.
	parallel = 8
	// tileCache is how many tiles of hashes are kept: those along the right edge
	// and above the entries that are read, several times over.
	tileCache = 256

	tileBytes      = translog.TileWidth * tlog.HashSize
	maxEntryBundle = translog.TileWidth * (2 + translog.MaxLeaf)
)

// Log reads a log and believes nothing that does not fit its signed checkpoint.
// It is safe for concurrent use.
type Log struct {
	source Source

	mu    sync.Mutex
	tiles map[tlog.Tile][]byte // that fitted a signed checkpoint
}

// NewLog returns a reader of the log at a source.
func NewLog(s Source) *Log { return &Log{source: s, tiles: map[tlog.Tile][]byte{}} }

// Checkpoint returns the log's newest checkpoint as it is served.
func (l *Log) Checkpoint(ctx context.Context) (signed []byte, err error) {
	return l.source.Get(ctx, "checkpoint", translog.MaxCheckpoint)
}

// Body returns the envelope that is served under a digest. Whether it is the
// right one is for whoever asked to see.
func (l *Log) Body(ctx context.Context, digest attest.Digest) (*attest.Envelope, error) {
	data, err := l.source.Get(ctx, "body/"+digest.String(), attest.MaxEnvelope)
	if err != nil {
		return nil, err
	}
	return attest.ParseEnvelope(data)
}

// Evidence returns the evidence bundle of a release, unverified.
func (l *Log) Evidence(ctx context.Context, release attest.Digest) (*evidence.Bundle, error) {
	data, err := l.source.Get(ctx, "api/v1/releases/"+release.String()+"/evidence", evidence.MaxBundle)
	if err != nil {
		return nil, err
	}
	return evidence.Parse(data)
}

// Chain begins the chain of policies with the pinned one, preceded by as many
// older ones as the log serves: entries from before it are read with their keys.
func (l *Log) Chain(ctx context.Context, pinned *attest.Envelope) (*policy.Chain, error) {
	chain, err := policy.Pin(pinned)
	if err != nil {
		return nil, err
	}
	for !chain.Oldest().Previous.IsZero() {
		e, err := l.Body(ctx, chain.Oldest().Previous)
		if errors.Is(err, ErrMissing) {
			return chain, nil
		}
		if err != nil {
			return nil, err
		}
		if err := chain.Precede(e); err != nil {
			return nil, err
		}
	}
	return chain, nil
}

// Tree is a log as one checkpoint fixes it.
type Tree struct {
	log *Log
	at  translog.Checkpoint
}

// Tree returns the log under a checkpoint whose signature was verified.
func (l *Log) Tree(c translog.Checkpoint) Tree { return Tree{l, c} }

// Root returns the root that the tree had when it was of a size: it continues
// an older checkpoint if that is the older one's root. Errors wrap [ErrDamaged],
// [ErrMissing] or [ErrUnreachable].
func (t Tree) Root(ctx context.Context, size int64) (tlog.Hash, error) {
	switch {
	case size < 0 || size > t.at.Size:
		return tlog.Hash{}, fmt.Errorf("root of %d entries in a tree of %d", size, t.at.Size)
	case size == t.at.Size:
		return t.at.Root, nil
	case size == 0:
		return (&translog.Range{}).Root(), nil
	}
	root, err := tlog.TreeHash(size, t.hashes(ctx))
	if err != nil {
		return tlog.Hash{}, t.damaged(fmt.Errorf("tree of %d entries: %w", size, err))
	}
	return root, nil
}

// Width returns how many entries the n-th bundle holds in this tree.
func (t Tree) Width(n int64) int {
	return int(max(0, min(translog.TileWidth, t.at.Size-n*translog.TileWidth)))
}

// Leaves returns the leaves of the n-th entry bundle, each of which is at its
// place in the tree. Errors wrap [ErrDamaged], [ErrMissing] or [ErrUnreachable].
func (t Tree) Leaves(ctx context.Context, n int64) ([][]byte, error) {
	width := t.Width(n)
	leaves, err := t.log.bundle(ctx, n, width)
	if err != nil {
		return nil, err
	}
	indexes := make([]int64, width)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, n*translog.TileWidth+int64(i))
	}
	hashes, err := t.hashes(ctx).ReadHashes(indexes)
	if err != nil {
		return nil, t.damaged(fmt.Errorf("hashes of entry bundle %d: %w", n, err))
	}
	for i, leaf := range leaves {
		if translog.LeafHash(leaf) != hashes[i] {
			return nil, fmt.Errorf("%w: log entry %d is another one than the tree holds", ErrDamaged, n*translog.TileWidth+int64(i))
		}
	}
	return leaves, nil
}

// bundle returns the n-th entry bundle, cut to width leaves. A partial one may
// be gone once the full one is there.
func (l *Log) bundle(ctx context.Context, n int64, width int) ([][]byte, error) {
	path := translog.EntriesPath(n, width)
	data, err := l.source.Get(ctx, path, maxEntryBundle)
	if errors.Is(err, ErrMissing) && width < translog.TileWidth {
		data, err = l.source.Get(ctx, translog.EntriesPath(n, translog.TileWidth), maxEntryBundle)
	}
	if err != nil {
		return nil, err
	}
	leaves, err := translog.ParseEntries(data)
	if err != nil || len(leaves) < width {
		return nil, fmt.Errorf("%w: %s holds %d whole entries, want %d: %w", ErrDamaged, path, len(leaves), width, err)
	}
	return leaves[:width], nil
}

// damaged classes an error of a tile reader: what is neither missing nor out of
// reach does not fit.
func (t Tree) damaged(err error) error {
	if errors.Is(err, ErrMissing) || errors.Is(err, ErrUnreachable) {
		return err
	}
	return fmt.Errorf("%w of %d entries: %w", ErrDamaged, t.at.Size, err)
}

// hashes reads hashes that are proven to be in the tree.
func (t Tree) hashes(ctx context.Context) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: t.at.Size, Hash: t.at.Root}, tileReader{ctx, t.log})
}

// tileReader is a tlog.TileReader during one call: its methods take no context.
type tileReader struct {
	ctx context.Context
	log *Log
}

var _ tlog.TileReader = tileReader{}

// Height implements tlog.TileReader.
func (tileReader) Height() int { return translog.TileHeight }

// ReadTiles implements tlog.TileReader.
func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		var err error
		if data[i], err = r.log.tile(r.ctx, t); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// SaveTiles implements tlog.TileReader: what fitted a signed root is kept.
func (r tileReader) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if len(r.log.tiles)+len(tiles) > tileCache {
		clear(r.log.tiles)
	}
	for i, t := range tiles {
		r.log.tiles[t] = data[i]
	}
}

// tile returns a tile of hashes, cut to its width. It is not verified.
func (l *Log) tile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	l.mu.Lock()
	data, known := l.tiles[t]
	l.mu.Unlock()
	if known {
		return slices.Clone(data), nil
	}
	path, want := translog.TilePath(t.L, t.N, t.W), t.W*tlog.HashSize
	data, err := l.source.Get(ctx, path, tileBytes)
	if errors.Is(err, ErrMissing) && t.W < translog.TileWidth {
		if data, err = l.source.Get(ctx, translog.TilePath(t.L, t.N, translog.TileWidth), tileBytes); err == nil && len(data) > want {
			data = data[:want]
		}
	}
	if err != nil {
		return nil, err
	}
	if len(data) != want {
		return nil, fmt.Errorf("%w: %s has %d bytes, want %d", ErrDamaged, path, len(data), want)
	}
	return data, nil
}
