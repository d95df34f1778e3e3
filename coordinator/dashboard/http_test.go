package dashboard_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/dashboard"
)

func TestEveryAnswerIsLockedDown(t *testing.T) {
	h := newHouse(t)
	n := h.signed("1.0", build(t, "x", "hello.deb"), nil)
	for _, path := range []string{"/", "/releases/" + n.ID.String(), "/log", "/nowhere", "/api/v1/releases", "/checkpoint", "/assets/none.css"} {
		header := h.get(path).header
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "no-referrer",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", path, name, got, want)
			}
		}
		if header.Get("Cache-Control") == "" {
			t.Errorf("%s: nothing says how long it may be kept", path)
		}
	}
	page := h.page("/releases/" + n.ID.String())
	refuseText(t, page, "<script", "<style", " style=", " onclick=", "http://", "src=\"//")
}

func TestUnchangedAnswersAreNotSentAgain(t *testing.T) {
	h := newHouse(t)
	n := h.open("hello", "1.0")
	h.publish()
	for _, path := range []string{"/", "/releases/" + n.ID.String(), "/api/v1/releases/" + n.ID.String(), "/log", "/checkpoint"} {
		first := h.get(path)
		tag := first.header.Get("ETag")
		if again := h.get(path, "If-None-Match", tag); tag == "" || again.status != http.StatusNotModified || again.body != "" {
			t.Errorf("%s: status %d with ETag %q, want 304", path, again.status, tag)
		}
	}
	path := "/api/v1/releases/" + n.ID.String()
	tag := h.get(path).header.Get("ETag")
	h.report(n.ID, 0, attest.BuildFailed)
	if a := h.get(path, "If-None-Match", tag); a.status != http.StatusOK {
		t.Errorf("after a change: status %d, want 200", a.status)
	}
}

func TestLogIsServedAsTiles(t *testing.T) {
	h := newHouse(t)
	for i := range 300 {
		h.open("hello", fmt.Sprint(i))
	}
	h.publish()
	note := h.get("/checkpoint")
	if got := note.header.Get("Content-Type") + "; " + note.header.Get("Cache-Control"); got != "text/plain; charset=utf-8; public, max-age=3" {
		t.Errorf("checkpoint: %s", got)
	}
	c, err := translog.OpenCheckpoint([]byte(note.body), h.world.Log.Key.VerifierKey)
	must(t, err)
	if c.Size != 301 {
		t.Fatalf("tree size %d, want 301", c.Size)
	}
	// The root follows from the entries alone, as any client computes it.
	var leaves [][]byte
	for _, path := range []string{translog.EntriesPath(0, 256), translog.EntriesPath(1, 45)} {
		a := h.get("/" + path)
		if a.header.Get("Content-Type") != "application/octet-stream" || !strings.Contains(a.header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: header %v", path, a.header)
		}
		entries, err := translog.ParseEntries([]byte(a.body))
		must(t, err)
		leaves = append(leaves, entries...)
		zipped := h.get("/"+path, "Accept-Encoding", "br, gzip")
		if zipped.header.Get("Content-Encoding") != "gzip" || zipped.header.Get("Vary") != "Accept-Encoding" {
			t.Fatalf("%s with gzip: header %v", path, zipped.header)
		}
		unzip, err := gzip.NewReader(strings.NewReader(zipped.body))
		must(t, err)
		plain, err := io.ReadAll(unzip)
		must(t, err)
		if string(plain) != a.body {
			t.Errorf("%s: the compressed bundle is another", path)
		}
		if refused := h.get("/"+path, "Accept-Encoding", "gzip;q=0, identity"); refused.header.Get("Content-Encoding") != "" {
			t.Errorf("%s was compressed for a client that refuses it", path)
		}
	}
	if root := rootOf(t, leaves); root != c.Root {
		t.Errorf("root of the entries %v, of the checkpoint %v", root, c.Root)
	}
	tile := h.page("/" + translog.TilePath(0, 1, 45))
	for i, leaf := range leaves[256:] {
		if hash := translog.LeafHash(leaf); !bytes.Equal([]byte(tile[i*32:(i+1)*32]), hash[:]) {
			t.Fatalf("hash %d of the partial tile is another", i)
		}
	}
	if len(h.page("/tile/1/000.p/1")) != 32 {
		t.Error("level 1 is not one hash")
	}
	e := decode[dashboard.Entry](h, "/api/v1/log/299")
	if e.Hash != translog.LeafHash(leaves[299]) {
		t.Error("entry 299 has another hash")
	}
	body := h.get("/body/" + e.Statement.String())
	envelope, err := attest.ParseEnvelope([]byte(body.body))
	must(t, err)
	if translog.BodyDigest(envelope) != e.Statement || !strings.Contains(body.header.Get("Cache-Control"), "immutable") {
		t.Error("the body of entry 299 is another, or may not be kept")
	}
	wantText(t, h.page("/log"), "301", c.Root.String(), h.world.Log.Key.VerifierKey.String(), "unwitnessed")
	wantText(t, h.page("/log/299"), e.Statement.String(), "hashedRekordV002")
}

func rootOf(t testing.TB, leaves [][]byte) tlog.Hash {
	t.Helper()
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(i), leaf, read)
		must(t, err)
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(int64(len(leaves)), read)
	must(t, err)
	return root
}

func TestTilesEndWhereTheCheckpointEnds(t *testing.T) {
	h := newHouse(t)
	h.open("hello", "1")
	h.publish() // two entries: the policy and the opening
	h.open("hello", "2")
	for path, want := range map[string]int{
		"/tile/0/000.p/1": 200, "/tile/0/000.p/2": 200, "/tile/0/000.p/3": 404, "/tile/0/000": 404, "/tile/0/001": 404, "/tile/1/000.p/1": 404,
		"/tile/entries/000.p/2": 200, "/tile/entries/000.p/3": 404, "/tile/entries/000": 404, "/tile/63/000": 404,
		"/log/1": 200, "/log/2": 404, "/log/9007199254740991": 400, "/log/01": 400, "/log/-1": 400, "/log/x": 400,
	} {
		if a := h.get(path); a.status != want {
			t.Errorf("%s: status %d, want %d", path, a.status, want)
		}
	}
}

// strict is a reader that nothing may reach.
type strict struct {
	dashboard.Reader
	t testing.TB
}

func (s strict) Tile(context.Context, tlog.Tile) ([]byte, error) {
	s.t.Error("the database was asked for a tile")
	return nil, coordinator.ErrNotFound
}

func (s strict) Body(context.Context, attest.Digest) ([]byte, error) {
	s.t.Error("the database was asked for a body")
	return nil, coordinator.ErrNotFound
}

func TestMalformedPathsNeverReachTheDatabase(t *testing.T) {
	server := serve(t, strict{t: t}, io.Discard)
	for _, path := range []string{
		"/tile/0/0", "/tile/0/0000", "/tile/0/x000/001", "/tile/0/000.p/0", "/tile/0/000.p/256", "/tile/0/000.p/01", "/tile/64/000",
		"/tile/-1/000", "/tile/8/0/000", "/tile/entries/000/", "/tile/entries/%30%30%30", "/tile/data/000", "/tile/0/000.p/1/1", "/tile/",
		"/body/", "/body/xyz", "/body/" + strings.Repeat("A", 64), "/body/" + strings.Repeat("a", 63),
		"/releases/" + strings.Repeat("F", 64), "/api/v1/artifacts/00", "/log/18446744073709551616", "/certificates/x.asc",
	} {
		if a := ask(t, server, http.MethodGet, path); a.status != 404 && a.status != 400 {
			t.Errorf("%s: status %d, want 404 or 400", path, a.status)
		}
	}
}

func TestNothingButReadingIsAnswered(t *testing.T) {
	server := serve(t, strict{t: t}, io.Discard)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		for _, path := range []string{"/", "/api/v1/releases", "/checkpoint"} {
			if a := ask(t, server, method, path); a.status != 405 || a.header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: status %d, Allow %q", method, path, a.status, a.header.Get("Allow"))
			}
		}
	}
}

// broken is a reader whose database says more than anybody should hear.
type broken struct {
	dashboard.Reader
	err error
}

func (b broken) View(context.Context, attest.Digest) (*coordinator.View, error) {
	if b.err == nil {
		panic("index out of range at secret.go:7")
	}
	return nil, b.err
}

func TestErrorsTellClientsNothingOfTheInside(t *testing.T) {
	const inside = "password authentication failed for user reprosign at 10.0.0.7"
	for name, test := range map[string]struct {
		err    error
		status int
	}{
		"fault":      {errors.New(inside), 500},
		"away":       {fmt.Errorf("%w: %s", coordinator.ErrUnavailable, inside), 503},
		"not there":  {fmt.Errorf("%w: %s", coordinator.ErrNotFound, inside), 404},
		"timed out":  {fmt.Errorf("%w: %s", context.DeadlineExceeded, inside), 503},
		"panic":      {nil, 500},
		"bad answer": {fmt.Errorf("%w: %s", attest.ErrMalformed, inside), 500},
	} {
		t.Run(name, func(t *testing.T) {
			logged := &lockedBuffer{}
			server := serve(t, broken{err: test.err}, logged)
			for path, kind := range map[string]string{
				"/releases/":        "text/html; charset=utf-8",
				"/api/v1/releases/": "application/json",
			} {
				a := ask(t, server, http.MethodGet, path+strings.Repeat("0", 64))
				if a.status != test.status || a.header.Get("Content-Type") != kind || a.header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: status %d, type %q, cache %q", path, a.status, a.header.Get("Content-Type"), a.header.Get("Cache-Control"))
				}
				refuseText(t, a.body, "password", "10.0.0.7", "secret.go", "goroutine")
				if (test.status == 503) != (a.header.Get("Retry-After") != "") {
					t.Errorf("%s: Retry-After %q", path, a.header.Get("Retry-After"))
				}
			}
			if test.status == 500 && !strings.Contains(logged.String(), "level=ERROR") {
				t.Errorf("nothing for the operator in the log: %q", logged.String())
			}
		})
	}
}

func TestHeadAnswersLikeGetWithoutABody(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"/", "/nowhere", "/api/v1/releases"} {
		get, head := h.get(path), ask(t, h.server, http.MethodHead, path)
		if get.status != head.status || head.body != "" || get.header.Get("Content-Type") != head.header.Get("Content-Type") {
			t.Errorf("%s: GET %d, HEAD %d with %d bytes", path, get.status, head.status, len(head.body))
		}
	}
}

func TestLogWithoutACheckpointIsNotFound(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"/checkpoint", "/tile/0/000.p/1", "/log", "/log/0"} {
		if a := h.get(path); a.status != 404 {
			t.Errorf("%s: status %d, want 404", path, a.status)
		}
	}
	wantText(t, h.page("/"), "No release was opened yet.")
}
