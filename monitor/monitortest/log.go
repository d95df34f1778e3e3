// Package monitortest makes whole logs for tests, lawful ones and forged ones:
// the files that a log serves, from the parties of package evidencetest.
//
//	l := monitortest.New(tb, evidencetest.New(tb, evidencetest.Options{}))
//	l.Release(tb, 1)
//	l.Publish(tb)
//	url := l.Serve(tb)
//
// Every file can be changed or taken away afterwards.
package monitortest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
)

// Log is the log of a world, as files.
type Log struct {
	*evidencetest.World

	published int // entries

	mu    sync.Mutex
	files map[string][]byte
	away  string // prefix of the paths that a fault hides
}

// New returns the log of a world, which serves nothing before Publish.
func New(_ testing.TB, w *evidencetest.World) *Log {
	return &Log{World: w, files: map[string][]byte{}}
}

// File returns a file; nil if there is none.
func (l *Log) File(path string) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.files[path]
}

// Set puts a file into the place of another, if there is one; nil takes it away.
func (l *Log) Set(path string, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if data == nil {
		delete(l.files, path)
		return
	}
	l.files[path] = data
}

// Files returns all files by their paths.
func (l *Log) Files() map[string][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.files)
}

// Away lets a fault of the server hide the paths with a prefix; the empty prefix ends it.
func (l *Log) Away(prefix string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = prefix
}

// Swap replaces all files and returns those that were there.
func (l *Log) Swap(files map[string][]byte) map[string][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.files
	l.files = files
	return before
}

// body serves an envelope under a digest.
func (l *Log) body(tb testing.TB, digest attest.Digest, e *attest.Envelope) {
	tb.Helper()
	data, err := e.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	l.Set("body/"+digest.String(), data)
}

// Append appends a statement to the log, with the envelopes that it names.
func (l *Log) Append(tb testing.TB, key attest.SigningKey, statement *attest.Envelope, named ...*attest.Envelope) int64 {
	tb.Helper()
	return l.World.Log.Append(tb, statement, key.VerifierKey, named...)
}

// Record brings envelopes into the log.
func (l *Log) Record(tb testing.TB, kind attest.RecordKind, envelopes ...*attest.Envelope) int64 {
	tb.Helper()
	return l.World.Log.Record(tb, kind, l.Coordinator, envelopes...)
}

// Release takes the world's request through the whole cycle, and serves what a
// coordinator would.
func (l *Log) Release(tb testing.TB, attempt int) *evidencetest.Release {
	tb.Helper()
	r := l.Decide(tb, attempt)
	l.Sign(tb, r)
	return r
}

// Decide takes it as far as the decision, and serves the evidence for that.
func (l *Log) Decide(tb testing.TB, attempt int) *evidencetest.Release {
	tb.Helper()
	r := l.World.Release(tb, attempt)
	l.Show(tb, r, r.UnsignedBundle(tb))
	return r
}

// Show serves a bundle as the evidence of a release.
func (l *Log) Show(tb testing.TB, r *evidencetest.Release, b *evidence.Bundle) {
	tb.Helper()
	data, err := b.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	l.Set(EvidencePath(r.ID), data)
}

// Sign logs the release's signatures and serves its evidence.
func (l *Log) Sign(tb testing.TB, r *evidencetest.Release) {
	tb.Helper()
	l.Show(tb, r, r.Bundle(tb))
	l.Made(tb, attest.SignaturesMade{Release: r.ID, Decision: r.Decision.Digest(), LogIndex: r.DecisionIndex}, r)
}

// EvidencePath is where a release's evidence is served.
func EvidencePath(release attest.Digest) string {
	return "api/v1/releases/" + release.String() + "/evidence"
}

// Made logs a signatures-made statement over the signatures of a release. What
// is there of the statement says on which decision.
func (l *Log) Made(tb testing.TB, m attest.SignaturesMade, r *evidencetest.Release) int64 {
	tb.Helper()
	m.Signer, m.Certificate, m.Kind = l.Signer.Name(), l.Certificate.Fingerprint(), attest.DetachedBinary
	for i, a := range r.Artifacts {
		m.Signatures = append(m.Signatures, attest.ArtifactSignature{Artifact: a.Name, SHA512: a.SHA512, Signature: attest.SHA256(r.Signatures[i])})
	}
	statement, err := m.Seal(l.Signer)
	if err != nil {
		tb.Fatal(err)
	}
	return l.Append(tb, l.Signer, statement)
}

// Publish signs a checkpoint over what was logged, and serves it with the tiles,
// entry bundles and bodies that it covers. Those of earlier sizes stay.
func (l *Log) Publish(tb testing.TB) {
	tb.Helper()
	for _, e := range l.World.Log.Entries[l.published:] {
		if e.Envelope != nil {
			l.body(tb, translog.BodyDigest(e.Envelope), e.Envelope)
		}
		for _, b := range e.Bodies {
			l.body(tb, b.Digest(), b)
		}
	}
	l.published = len(l.World.Log.Entries)
	l.Set("checkpoint", l.World.Log.Checkpoint(tb))
	for path, data := range Tiles(tb, l.World.Log.Leaves) {
		l.Set(path, data)
	}
}

// Tiles returns the tiles and entry bundles of a tree by their paths.
func Tiles(tb testing.TB, leaves [][]byte) map[string][]byte {
	tb.Helper()
	files := map[string][]byte{}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = stored[x]
		}
		return out, nil
	})
	var bundle []byte
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(i), leaf, reader)
		if err == nil {
			stored = append(stored, hashes...)
			bundle, err = translog.AppendEntry(bundle, leaf)
		}
		if err != nil {
			tb.Fatal(err)
		}
		if n := i + 1; n%translog.TileWidth == 0 || n == len(leaves) {
			files[translog.EntriesPath(int64(i/translog.TileWidth), (n-1)%translog.TileWidth+1)] = bundle
			bundle = nil
		}
	}
	for _, t := range tlog.NewTiles(translog.TileHeight, 0, int64(len(leaves))) {
		data, err := tlog.ReadTileData(t, reader)
		if err != nil {
			tb.Fatal(err)
		}
		files[translog.TilePath(t.L, t.N, t.W)] = data
	}
	return files
}

// ServeHTTP implements http.Handler.
func (l *Log) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	data := l.File(path)
	l.mu.Lock()
	away := l.away != "" && strings.HasPrefix(path, l.away)
	l.mu.Unlock()
	if away {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if data == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(data)
}

// Serve serves the log until the test ends, and returns its URL.
func (l *Log) Serve(tb testing.TB) string {
	tb.Helper()
	s := httptest.NewServer(l)
	tb.Cleanup(s.Close)
	return s.URL
}

// Write writes the log into a directory.
func (l *Log) Write(tb testing.TB, dir string) {
	tb.Helper()
	for path, data := range l.Files() {
		name := filepath.Join(dir, filepath.FromSlash(path))
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		if err == nil {
			err = os.WriteFile(name, data, 0o600)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}
