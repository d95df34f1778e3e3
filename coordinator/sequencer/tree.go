package sequencer

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
)

// grow appends leaves to a tree (coordinator.Grow): it computes every hash that
// they complete and every tile that these hashes are in. Tiles that do not add
// up to the old root are not built upon.
func grow(old coordinator.Tree, leaves []tlog.Hash, read func([]tlog.Tile) ([][]byte, error)) (coordinator.Tree, []coordinator.Tile, error) {
	hashes := newTileHashes(read)
	root, err := tlog.TreeHash(old.Size, hashes)
	if err != nil {
		return coordinator.Tree{}, nil, err
	}
	if root != old.Root {
		return coordinator.Tree{}, nil, fmt.Errorf("%w: the stored tiles of size %d do not have the stored root", coordinator.ErrForked, old.Size)
	}
	for i, leaf := range leaves {
		n := old.Size + int64(i)
		stored, err := tlog.StoredHashesForRecordHash(n, leaf, hashes)
		if err != nil {
			return coordinator.Tree{}, nil, err
		}
		first := tlog.StoredHashIndex(0, n)
		for k, h := range stored {
			hashes.fresh[first+int64(k)] = h
		}
	}
	tree := coordinator.Tree{Size: old.Size + int64(len(leaves))}
	if tree.Root, err = tlog.TreeHash(tree.Size, hashes); err != nil {
		return coordinator.Tree{}, nil, err
	}
	var tiles []coordinator.Tile
	for _, t := range tlog.NewTiles(translog.TileHeight, old.Size, tree.Size) {
		data, err := tlog.ReadTileData(t, hashes)
		if err != nil {
			return coordinator.Tree{}, nil, err
		}
		tiles = append(tiles, coordinator.Tile{Level: t.L, N: t.N, Data: data})
	}
	return tree, tiles, nil
}

// tileHashes gives the hashes of a tree by their stored-hash index: fresh ones
// first, the others from tiles, each of which it reads once.
type tileHashes struct {
	fresh map[int64]tlog.Hash
	tiles map[tileKey][]byte
	read  func([]tlog.Tile) ([][]byte, error)
}

type tileKey struct {
	level int
	n     int64
}

func newTileHashes(read func([]tlog.Tile) ([][]byte, error)) *tileHashes {
	return &tileHashes{fresh: map[int64]tlog.Hash{}, tiles: map[tileKey][]byte{}, read: read}
}

// ReadHashes implements tlog.HashReader.
func (r *tileHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	if err := r.fetch(indexes); err != nil {
		return nil, err
	}
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if h, ok := r.fresh[index]; ok {
			out[i] = h
			continue
		}
		t := tlog.TileForIndex(translog.TileHeight, index)
		data := r.tiles[tileKey{t.L, t.N}]
		t.W = len(data) / tlog.HashSize // TileForIndex gives the least width that holds the hash
		var err error
		if out[i], err = tlog.HashFromTile(t, data, index); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fetch reads the tiles that are missing for indexes.
func (r *tileHashes) fetch(indexes []int64) error {
	missing := map[tileKey]tlog.Tile{}
	for _, index := range indexes {
		if _, ok := r.fresh[index]; ok {
			continue
		}
		t := tlog.TileForIndex(translog.TileHeight, index)
		k := tileKey{t.L, t.N}
		if len(r.tiles[k]) < t.W*tlog.HashSize && missing[k].W < t.W {
			missing[k] = t
		}
	}
	if len(missing) == 0 {
		return nil
	}
	want := make([]tlog.Tile, 0, len(missing))
	for _, t := range missing {
		want = append(want, t)
	}
	data, err := r.read(want)
	if err != nil {
		return err
	}
	for i, t := range want {
		r.tiles[tileKey{t.L, t.N}] = data[i]
	}
	return nil
}
