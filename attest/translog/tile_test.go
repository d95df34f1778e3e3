package translog_test

import (
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

func TestTilePathsAreThoseOfTheSpecification(t *testing.T) {
	for _, c := range []struct {
		level int
		n     int64
		width int
		want  string
	}{
		{0, 0, 256, "tile/0/000"},
		{0, 0, 1, "tile/0/000.p/1"},
		{0, 273, 112, "tile/0/273.p/112"},
		{1, 1, 17, "tile/1/001.p/17"},
		{2, 0, 1, "tile/2/000.p/1"},
		{0, 999, 256, "tile/0/999"},
		{0, 1000, 256, "tile/0/x001/000"},
		{0, 1234067, 256, "tile/0/x001/x234/067"},
		{63, 1234067, 255, "tile/63/x001/x234/067.p/255"},
		{-1, 0, 256, "tile/entries/000"},
		{-1, 1234067, 8, "tile/entries/x001/x234/067.p/8"},
	} {
		if got := translog.TilePath(c.level, c.n, c.width); got != c.want {
			t.Errorf("level %d, tile %d, width %d: %q, want %q", c.level, c.n, c.width, got, c.want)
		}
		got, err := translog.ParseTilePath(c.want)
		if want := (tlog.Tile{H: 8, L: c.level, N: c.n, W: c.width}); err != nil || got != want {
			t.Errorf("%q reads as %v, %v", c.want, got, err)
		}
	}
	if got := translog.EntriesPath(5, 256); got != "tile/entries/005" {
		t.Errorf("entries path %q", got)
	}
}

func TestTilesOfALogHaveTheSpecifiedPaths(t *testing.T) {
	var partials []string
	for _, tile := range tlog.NewTiles(translog.TileHeight, 0, 70000) {
		if tile.W < translog.TileWidth {
			partials = append(partials, translog.TilePath(tile.L, tile.N, tile.W))
		}
	}
	want := []string{"tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"}
	if len(partials) != 3 || partials[0] != want[0] || partials[1] != want[1] || partials[2] != want[2] {
		t.Errorf("partial tiles %q, want %q", partials, want)
	}
}

func TestTilePathRefusesOtherSpellings(t *testing.T) {
	for _, path := range []string{
		"", "tile", "tile/", "tile/0", "tile/0/", "/tile/0/000", "tile/0/000/", "tile//000", "tile/8/0/000",
		"tile/00/000", "tile/-1/000", "tile/+1/000", "tile/64/000", "tile/data/000", "tile/Entries/000",
		"tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/1234", "tile/0/x000/001", "tile/0/x001/x234", "tile/0/001/234",
		"tile/0/x1/234", "tile/0/-01", "tile/0/+01", "tile/0/00x", "tile/0/x001/../000", "tile/0/..", "tile/0/00a",
		"tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/-1", "tile/0/000.p/", "tile/0/000.p",
		"tile/0/000.p/1/2", "tile/0/000.p/1.p/1", "tile/0/000.p/x1", "tile/0/x999/x999/x999/x999/x999/999",
		"tile/0/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/999", "tile/0/000\n", "tile/0/000?x", "tile/0/%30",
	} {
		if tile, err := translog.ParseTilePath(path); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%q reads as %v, %v", path, tile, err)
		}
	}
}

func FuzzTilePathParseEncodeIsIdentityOrRefused(f *testing.F) {
	f.Add("tile/0/x001/x234/067.p/8")
	f.Add("tile/entries/000")
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := translog.ParseTilePath(path)
		if err != nil {
			return
		}
		if again := translog.TilePath(tile.L, tile.N, tile.W); again != path {
			t.Errorf("%q reads back as %q", path, again)
		}
	})
}
