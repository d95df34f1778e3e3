package dashboard_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

func TestEveryPublishedSizeStaysServedInFull(t *testing.T) {
	h := newHouse(t)
	var published []translog.Checkpoint
	for _, size := range []int{2, 3, 255, 256, 257, 300} {
		for n := h.size(); n < size; n++ {
			h.open("hello", fmt.Sprint(n))
		}
		h.publish()
		c, err := translog.OpenCheckpoint([]byte(h.page("/checkpoint")), h.world.Log.Key.VerifierKey)
		must(t, err)
		if c.Size != int64(size) {
			t.Fatalf("size %d, want %d", c.Size, size)
		}
		published = append(published, c)
	}
	for _, c := range published {
		var leaves [][]byte
		for n := int64(0); n*translog.TileWidth < c.Size; n++ {
			width := int(min(translog.TileWidth, c.Size-n*translog.TileWidth))
			bundle, err := translog.ParseEntries([]byte(h.page("/" + translog.EntriesPath(n, width))))
			must(t, err)
			leaves = append(leaves, bundle...)
		}
		if root := rootOf(t, leaves); root != c.Root {
			t.Errorf("size %d: root of the entries %v, signed %v", c.Size, root, c.Root)
		}
		for _, tile := range tlog.NewTiles(translog.TileHeight, 0, c.Size) {
			path := "/" + translog.TilePath(tile.L, tile.N, tile.W)
			if a := h.get(path); a.status != 200 || len(a.body) != tile.W*tlog.HashSize || a.header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
				t.Errorf("size %d: %s: status %d, %d bytes, header %v", c.Size, path, a.status, len(a.body), a.header)
			}
		}
	}
}

// size returns how many entries the published log has; the policy is there at first.
func (h *house) size() int {
	h.t.Helper()
	a := h.get("/checkpoint")
	if a.status == http.StatusNotFound {
		return 1
	}
	c, err := translog.OpenCheckpoint([]byte(a.body), h.world.Log.Key.VerifierKey)
	must(h.t, err)
	return int(c.Size)
}

func TestWhatCompressesIsCompressedForWhoeverAccepts(t *testing.T) {
	h := newHouse(t)
	n := h.signed("1.0", build(t, "x", "hello.deb"), nil)
	for path, compresses := range map[string]bool{
		"/" + translog.EntriesPath(0, 2):                     true,
		"/body/" + translog.BodyDigest(n.Envelope).String():  true,
		"/api/v1/releases/" + n.ID.String() + "/evidence":    true,
		"/" + translog.TilePath(0, 0, 2):                     false,
		"/checkpoint":                                        false,
		"/tile/entries/000.p/255":                            false, // an error
		"/body/" + attest.SHA256([]byte("nothing")).String(): false,
	} {
		plain, packed := h.get(path), h.get(path, "Accept-Encoding", "gzip")
		if plain.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: compressed without being asked", path)
		}
		if got := packed.header.Get("Content-Encoding") == "gzip"; got != compresses {
			t.Errorf("%s: compressed %v, want %v", path, got, compresses)
			continue
		}
		if !compresses {
			continue
		}
		if plain.header.Get("Vary") != "Accept-Encoding" || packed.header.Get("Vary") != "Accept-Encoding" || plain.header.Get("Etag") == packed.header.Get("Etag") {
			t.Errorf("%s: caches would mix the two up: %v, %v", path, plain.header, packed.header)
		}
		r, err := gzip.NewReader(strings.NewReader(packed.body))
		must(t, err)
		if unpacked, err := io.ReadAll(r); err != nil || string(unpacked) != plain.body {
			t.Errorf("%s: the compressed one is another: %v", path, err)
		}
	}
}

func TestTheLogAnswersHeadAndSaysWhatItHasNot(t *testing.T) {
	h := newHouse(t)
	n := h.open("hello", "1")
	h.publish()
	for _, path := range []string{
		"/checkpoint", "/tile/0/000.p/2", "/tile/0/000.p/3", "/tile/0/0", "/tile/entries/000.p/1", "/body/" + translog.BodyDigest(n.Envelope).String(), "/body/x",
	} {
		get, head := h.get(path), ask(t, h.server, http.MethodHead, path)
		if get.status != head.status || head.body != "" || get.header.Get("Content-Type") != head.header.Get("Content-Type") ||
			get.status == 200 && get.header.Get("Content-Length") != head.header.Get("Content-Length") || get.header.Get("Cache-Control") != head.header.Get("Cache-Control") {
			t.Errorf("%s: GET %d %v, HEAD %d %v", path, get.status, get.header, head.status, head.header)
		}
	}
	for path, text := range map[string]string{
		"/tile/0/000.p/3":      "The published log does not fill this tile",
		"/tile/5/000":          "The published log does not fill this tile",
		"/tile/entries/001":    "The published log does not fill this tile",
		"/tile/0/0":            "as C2SP tlog-tiles spells them",
		"/tile/64/000":         "as C2SP tlog-tiles spells them",
		"/tile/entries/000.p/": "as C2SP tlog-tiles spells them",
	} {
		if a := h.get(path); a.status != 404 || !strings.Contains(a.body, text) || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q, %v", path, a.status, a.body, a.header)
		}
	}
}

func TestBodiesInTheLogStayWhenTheirRequestIsOpenedAnew(t *testing.T) {
	h := newHouse(t)
	n := h.open("hello", "1.0")
	h.vote(n.ID, 0, build(t, "x", "planted.deb"))
	h.vote(n.ID, 0, build(t, "y", "planted.deb"))
	for i := 1; i < rebuilders-1; i++ { // as many statements as rebuilders: the house's rule of a conflict
		h.report(n.ID, i, attest.BuildFailed)
	}
	h.evaluate()
	proofs, err := h.writer.UnloggedEquivocations(t.Context(), 10)
	must(t, err)
	if len(proofs) != 1 {
		t.Fatalf("%d proofs, want one", len(proofs))
	}
	p := proofs[0]
	r, err := attest.NewRecord(h.world.Coordinator.Name(), attest.RecordEquivocation, p.First, p.Second)
	must(t, err)
	sealed, err := r.Seal(h.world.Coordinator)
	must(t, err)
	entry := h.entry(sealed, h.world.Coordinator)
	for _, e := range []*attest.Envelope{p.First, p.Second} {
		entry.Bodies[e.Digest()], err = e.Encode()
		must(t, err)
	}
	must(t, h.writer.LogEquivocation(t.Context(), p, entry))
	path := "/body/" + p.First.Digest().String()
	if a := h.get(path); a.status != 404 {
		t.Errorf("before a checkpoint covers it: status %d", a.status)
	}
	h.publish()
	before := h.page(path)
	h.attempt(h.requestOf(n.ID), 2)
	h.publish()
	if h.page(path) != before {
		t.Error("the body is another")
	}
}
