package sequencer

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest/translog"
)

func TestTilesThatAreKeptAreNotReadAgain(t *testing.T) {
	const published = 4*translog.TileWidth + 5
	var c tileCache
	var asked []tlog.Tile
	stored := map[int64]int{} // widths
	away := errors.New("database away")
	var fault error
	read := func(size int64, want []tlog.Tile) ([][]byte, error) {
		return c.through(size, func(want []tlog.Tile) ([][]byte, error) {
			asked = append(asked, want...)
			var out [][]byte
			for _, t := range want {
				out = append(out, bytes.Repeat([]byte{byte(t.N)}, cmp.Or(stored[t.N], translog.TileWidth)*tlog.HashSize))
			}
			return out, fault
		})(want)
	}
	tile := func(n int64, w int) tlog.Tile { return tlog.Tile{H: translog.TileHeight, N: n, W: w} }
	stored[4] = 9 // four of them not published yet
	for _, step := range []struct {
		name  string
		size  int64
		want  []tlog.Tile
		reads []tlog.Tile
		fault error
	}{
		{"the first time", published, []tlog.Tile{tile(1, 2), tile(2, 3)}, []tlog.Tile{tile(1, 2), tile(2, 3)}, nil},
		{"again, and wider", published, []tlog.Tile{tile(2, 256), tile(1, 3)}, nil, nil},
		{"one of them new", published, []tlog.Tile{tile(1, 3), tile(3, 1)}, []tlog.Tile{tile(3, 1)}, nil},
		{"at the edge", published, []tlog.Tile{tile(4, 5)}, []tlog.Tile{tile(4, 5)}, nil},
		{"at the edge, again", published, []tlog.Tile{tile(4, 1)}, nil, nil},
		// What was stored behind the published size may have been another copy's.
		{"at the edge, after it moved", published + 1, []tlog.Tile{tile(4, 6)}, []tlog.Tile{tile(4, 6)}, nil},
		{"with the database away", published, []tlog.Tile{tile(0, 1)}, []tlog.Tile{tile(0, 1)}, away},
		{"with the database back", published, []tlog.Tile{tile(0, 1)}, []tlog.Tile{tile(0, 1)}, nil},
	} {
		asked, fault = nil, step.fault
		got, err := read(step.size, step.want)
		if !errors.Is(err, step.fault) || !slices.Equal(asked, step.reads) {
			t.Errorf("%s: read %v, %v; want %v", step.name, asked, err, step.reads)
		}
		if err != nil {
			continue
		}
		for i, w := range step.want {
			if len(got[i]) < w.W*tlog.HashSize || got[i][0] != byte(w.N) {
				t.Errorf("%s: tile %d has %d bytes of %d", step.name, w.N, len(got[i]), got[i][0])
			}
		}
	}
	if kept := len(c.tiles[tileKey{0, 4}]) / tlog.HashSize; kept != 6 {
		t.Errorf("%d hashes of the tile at the edge are kept, 6 are published", kept)
	}
	for n := range int64(3 * cachedTiles) {
		if _, err := read(1<<30, []tlog.Tile{tile(n, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.tiles) != cachedTiles {
		t.Errorf("%d tiles are kept, want %d", len(c.tiles), cachedTiles)
	}
}
