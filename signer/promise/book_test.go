package promise_test

import (
	"bytes"
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/signer/promise"
)

const certificate = "d8e8fca2dc0f896fd7cb4cb0031ba249aaaaaaaa"

func open(tb testing.TB, dir string) (*promise.Book, error) {
	tb.Helper()
	b, err := promise.Open(promise.Config{Directory: dir, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		tb.Cleanup(func() { _ = b.Close() })
	}
	return b, err
}

func mustOpen(tb testing.TB, dir string) *promise.Book {
	tb.Helper()
	b, err := open(tb, dir)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func decision(n int) promise.Decision {
	return promise.Decision{
		Release: attest.SHA256(fmt.Appendf(nil, "release %d", n)), Statement: attest.SHA256(fmt.Appendf(nil, "decision %d", n)),
	}
}

// about promises that the signatures over some bytes name one decision.
func about(d promise.Decision, contents ...string) []promise.Promise {
	var out []promise.Promise
	for _, c := range contents {
		out = append(out, promise.Promise{SHA512: sha512.Sum512([]byte(c)), Decision: d})
	}
	return out
}

func give(tb testing.TB, b *promise.Book, promises []promise.Promise) {
	tb.Helper()
	if err := b.Give(certificate, promises); err != nil {
		tb.Fatal(err)
	}
}

func wantGiven(tb testing.TB, b *promise.Book, content string, want promise.Decision) {
	tb.Helper()
	if got, given := b.Given(certificate, sha512.Sum512([]byte(content))); !given || got != want {
		tb.Errorf("promised for %q: %v, %v; want %v", content, got, given, want)
	}
}

func wantNothing(tb testing.TB, b *promise.Book, certificate, content string) {
	tb.Helper()
	if got, given := b.Given(certificate, sha512.Sum512([]byte(content))); given {
		tb.Errorf("promised for %q: %v; want nothing", content, got)
	}
}

// shown is the metric.
func shown(tb testing.TB, b *promise.Book) float64 {
	tb.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(b.Collectors()...)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		tb.Fatalf("metrics %v, %v", families, err)
	}
	return families[0].GetMetric()[0].GetGauge().GetValue()
}

func fileOf(dir string) string { return filepath.Join(dir, "promises.jsonl") }

func read(tb testing.TB, dir string) []byte {
	tb.Helper()
	data, err := os.ReadFile(fileOf(dir))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// holding returns a directory with a file of some content.
func holding(tb testing.TB, data []byte) string {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.WriteFile(fileOf(dir), data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// three returns a file of three lines.
func three(tb testing.TB) []byte {
	tb.Helper()
	dir := tb.TempDir()
	b := mustOpen(tb, dir)
	give(tb, b, about(decision(1), "a", "b"))
	give(tb, b, append(about(decision(1), "c"), about(decision(2), "d")...))
	give(tb, b, about(decision(3), "e"))
	return read(tb, dir)
}

func TestAPromiseIsKeptForEver(t *testing.T) {
	dir := t.TempDir()
	b := mustOpen(t, dir)
	give(t, b, append(about(decision(1), "a", "b"), about(decision(2), "c")...))
	for range 2 {
		written := read(t, dir)
		give(t, b, about(decision(1), "a"))
		if err := b.Give(certificate, append(about(decision(3), "new"), about(decision(2), "b")...)); !errors.Is(err, promise.ErrOther) {
			t.Errorf("another promise about the same bytes: %v", err)
		}
		wantGiven(t, b, "a", decision(1))
		wantGiven(t, b, "b", decision(1))
		wantGiven(t, b, "c", decision(2))
		wantNothing(t, b, certificate, "new") // all or nothing
		wantNothing(t, b, "another", "a")
		if !bytes.Equal(read(t, dir), written) {
			t.Error("what was promised already was written once more")
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = mustOpen(t, dir)
		if n := shown(t, b); n != 3 {
			t.Errorf("%v promises are shown, want 3", n)
		}
	}
	if err := b.Give("another", about(decision(9), "a")); err != nil {
		t.Errorf("the same bytes by another certificate: %v", err)
	}
}

func TestWhatIsPromisedIsInTheFile(t *testing.T) {
	dir := t.TempDir()
	b := mustOpen(t, dir)
	give(t, b, about(decision(1), "a"))
	// As after a crash: nobody has closed anything.
	wantGiven(t, mustOpen(t, holding(t, read(t, dir))), "a", decision(1))
}

func TestATornLastLineIsCutOff(t *testing.T) {
	whole := three(t)
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	var files [][]byte
	for end := last; end < len(whole); end += 9 {
		files = append(files, whole[:end])
	}
	zeros := slices.Clone(whole)
	clear(zeros[last+20 : last+60]) // a page that did not reach the disk, in front of one that did
	files = append(files, zeros, whole[:len(whole)-1], append(bytes.Clone(whole[:last]), make([]byte, 4096)...))
	for _, data := range files {
		dir := holding(t, data)
		b := mustOpen(t, dir)
		wantGiven(t, b, "a", decision(1))
		wantGiven(t, b, "d", decision(2))
		wantNothing(t, b, certificate, "e")
		if got := read(t, dir); !bytes.Equal(got, whole[:last]) {
			t.Fatalf("after %d of %d bytes the file has %d, want %d", len(data), len(whole), len(got), last)
		}
		give(t, b, about(decision(3), "e"))
		if !bytes.Equal(read(t, dir), whole) {
			t.Errorf("after %d bytes: the line that was torn was written again otherwise", len(data))
		}
	}
}

func TestAnyOtherDamageIsRefused(t *testing.T) {
	whole := three(t)
	lines := bytes.SplitAfter(whole, []byte{'\n'})[:3]
	refused := func(what string, data []byte) {
		t.Helper()
		dir := holding(t, data)
		_, err := open(t, dir)
		if err == nil || !strings.Contains(err.Error(), fileOf(dir)) || !strings.Contains(err.Error(), "docs/operations.md") {
			t.Errorf("%s: %v", what, err)
		}
		if !bytes.Equal(read(t, dir), data) {
			t.Errorf("%s: the file was changed", what)
		}
	}
	for at := 0; at < len(whole)-1; at += 9 { // without the last end, the line would be torn
		data := bytes.Clone(whole)
		data[at] ^= 1
		refused(fmt.Sprintf("byte %d changed", at), data)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	refused("a line is missing", join(lines[0], lines[2]))
	refused("the first is missing", join(lines[1], lines[2]))
	refused("two changed places", join(lines[1], lines[0], lines[2]))
	refused("a line is there twice", join(lines[0], lines[0], lines[1]))
	refused("a line is torn in the middle", join(lines[0], lines[1][:80], lines[2]))
	zeros := bytes.Clone(lines[1])
	clear(zeros[20:60])
	refused("zeros in the middle", join(lines[0], zeros, lines[2]))
	refused("a line without end before the last", join(lines[0], bytes.TrimSuffix(lines[1], []byte{'\n'}), lines[2]))
	refused("an empty line", join(lines[0], []byte{'\n'}))
	refused("a line longer than any", join(lines[0], bytes.Repeat([]byte{'x'}, 5<<20)))
}

func TestAUsedSignersFileThatIsGoneIsNotMadeAnew(t *testing.T) {
	dir := t.TempDir()
	config := promise.Config{Directory: dir, Used: true, Log: slog.New(slog.DiscardHandler)}
	for range 2 {
		if _, err := promise.Open(config); err == nil || !strings.Contains(err.Error(), "is gone") || !strings.Contains(err.Error(), fileOf(dir)) {
			t.Errorf("opened: %v", err)
		}
	}
	// A person has decided to begin anew.
	if err := os.WriteFile(fileOf(dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := promise.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	give(t, b, about(decision(1), "a"))
}

func TestOnlyOneProcessUsesTheFile(t *testing.T) {
	dir := t.TempDir()
	b := mustOpen(t, dir)
	if _, err := open(t, dir); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second one: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir)
}

// Of those who promise different things about the same bytes at one time, one has
// its way, on disk too.
func TestOfContradictoryPromisesAtOneTimeOneIsGiven(t *testing.T) {
	const askers, contents = 8, 40
	dir := t.TempDir()
	b := mustOpen(t, dir)
	var all sync.WaitGroup
	var mu sync.Mutex
	said := map[string]promise.Decision{}
	for n := range askers {
		all.Go(func() {
			for i := range contents {
				content := fmt.Sprint(i)
				err := b.Give(certificate, about(decision(n), content))
				mu.Lock()
				before, known := said[content]
				switch {
				case err == nil && !known:
					said[content] = decision(n)
				case err == nil && before != decision(n):
					t.Errorf("two decisions were promised for %s", content)
				case err != nil && !errors.Is(err, promise.ErrOther):
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	b = mustOpen(t, holding(t, read(t, dir)))
	for i := range contents {
		wantGiven(t, b, fmt.Sprint(i), said[fmt.Sprint(i)])
	}
}

func TestNothingIsPromisedOnceTheFileCannotBeWritten(t *testing.T) {
	b := mustOpen(t, t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := b.Watch(ctx); err != nil {
		t.Errorf("while all is well: %v", err)
	}
	give(t, b, about(decision(1), "a"))
	if err := b.Close(); err != nil { // the disk is away
		t.Fatal(err)
	}
	for _, content := range []string{"b", "b", "a"} {
		if err := b.Give(certificate, about(decision(1), content)); content != "a" && !errors.Is(err, promise.ErrBroken) {
			t.Errorf("promised %q: %v", content, err)
		}
	}
	if err := b.Watch(t.Context()); !errors.Is(err, promise.ErrBroken) {
		t.Errorf("watched: %v", err)
	}
}

func TestPromisesWithoutBoundAreRefused(t *testing.T) {
	b := mustOpen(t, t.TempDir())
	for name, err := range map[string]error{
		"too many":               b.Give(certificate, make([]promise.Promise, promise.MaxBatch+1)),
		"no certificate":         b.Give("", about(decision(1), "a")),
		"an endless certificate": b.Give(strings.Repeat("f", 65), about(decision(1), "a")),
	} {
		if err == nil {
			t.Errorf("%s: promised", name)
		}
	}
	// The largest batch, each promise about another decision, and more at its side.
	var all sync.WaitGroup
	for part := range 3 {
		all.Go(func() {
			var promises []promise.Promise
			for i := range promise.MaxBatch {
				promises = append(promises, about(decision(i), fmt.Sprint(part, i))...)
			}
			if err := b.Give(strings.Repeat("f", 64), promises); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
