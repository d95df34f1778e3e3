package sequencer

import (
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest/translog"
)

// cachedTiles bounds what a cache holds: 2 MiB of full tiles.
const cachedTiles = 256

// tileCache keeps tiles that were read lately, as most proofs are made of the
// same few. Of a tile only that part is kept which a published tree covers: no
// copy of the database may ever show another. Whoever gets a proof verifies it,
// and the tree that is signed is never taken from here. The zero value is empty.
type tileCache struct {
	mu    sync.Mutex
	tiles map[tileKey][]byte
}

// through returns a reader of the tiles of the published tree of a size. It
// reads those anew that are not kept as wide as they are asked for.
func (c *tileCache) through(size int64, read func([]tlog.Tile) ([][]byte, error)) func([]tlog.Tile) ([][]byte, error) {
	return func(want []tlog.Tile) ([][]byte, error) {
		out := make([][]byte, len(want))
		var missing []tlog.Tile
		var at []int // in want
		c.mu.Lock()
		for i, t := range want {
			if data := c.tiles[tileKey{t.L, t.N}]; len(data) >= t.W*tlog.HashSize {
				out[i] = data
				continue
			}
			missing, at = append(missing, t), append(at, i)
		}
		c.mu.Unlock()
		if len(missing) == 0 {
			return out, nil
		}
		data, err := read(missing)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, t := range missing {
			covered := size>>(translog.TileHeight*t.L) - t.N<<translog.TileHeight // full subtrees alone
			published := data[i][:min(int64(len(data[i])), covered*tlog.HashSize)]
			out[at[i]] = published
			c.keep(tileKey{t.L, t.N}, published)
		}
		return out, nil
	}
}

func (c *tileCache) keep(k tileKey, data []byte) {
	if c.tiles == nil {
		c.tiles = make(map[tileKey][]byte, cachedTiles)
	}
	if len(data) <= len(c.tiles[k]) {
		return // another reader came later and saw more
	}
	if _, known := c.tiles[k]; !known && len(c.tiles) >= cachedTiles {
		for any := range c.tiles { // whichever comes first; the few that matter come back at once
			delete(c.tiles, any)
			break
		}
	}
	c.tiles[k] = data
}
