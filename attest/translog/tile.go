package translog

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Tiles of C2SP tlog-tiles. Package tlog's own paths are those of the Go
// checksum database and differ.
const (
	// TileHeight is the height of every tile.
	TileHeight = 8
	// TileWidth is the number of hashes or entries in a full tile.
	TileWidth = 1 << TileHeight
	// EntriesLevel is the level of the tiles that hold entries instead of hashes.
	EntriesLevel = -1

	maxTileLevel  = 63
	maxTileNumber = MaxTreeSize >> TileHeight
	// maxTilePath is longer than every path that a number can make.
	maxTilePath = 64

	tilePrefix   = "tile/"
	entriesLevel = "entries"
	partial      = ".p/"
)

// TilePath returns the path of the n-th tile of a level, relative to the log's
// URL. A width below [TileWidth] makes it the path of a partial tile.
func TilePath(level int, n int64, width int) string {
	l := entriesLevel
	if level != EntriesLevel {
		l = strconv.Itoa(level)
	}
	path := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	path = tilePrefix + l + "/" + path
	if width != TileWidth {
		path += partial + strconv.Itoa(width)
	}
	return path
}

// EntriesPath returns the path of the n-th entry bundle.
func EntriesPath(n int64, width int) string { return TilePath(EntriesLevel, n, width) }

// ParseTilePath reads a path that [TilePath] can write; every other spelling
// is an error. The tile's height is [TileHeight].
func ParseTilePath(path string) (tlog.Tile, error) {
	bad := malformed("tile path %.80q", path)
	rest, ok := strings.CutPrefix(path, tilePrefix)
	level, rest, found := strings.Cut(rest, "/")
	if !ok || !found || len(path) > maxTilePath {
		return tlog.Tile{}, bad
	}
	t := tlog.Tile{H: TileHeight, L: EntriesLevel, W: TileWidth}
	var err error
	if level != entriesLevel {
		if t.L, err = strconv.Atoi(level); err != nil || t.L < 0 || t.L > maxTileLevel {
			return tlog.Tile{}, bad
		}
	}
	number, width, isPartial := strings.Cut(rest, partial)
	if isPartial {
		if t.W, err = strconv.Atoi(width); err != nil || t.W < 1 || t.W >= TileWidth {
			return tlog.Tile{}, bad
		}
	}
	digits := strings.NewReplacer("/", "", "x", "").Replace(number)
	if t.N, err = strconv.ParseInt(digits, 10, 64); err != nil || t.N < 0 || t.N > maxTileNumber {
		return tlog.Tile{}, bad
	}
	// Writing the path again settles leading zeros, signs and the grouping.
	if TilePath(t.L, t.N, t.W) != path {
		return tlog.Tile{}, bad
	}
	return t, nil
}
