package promise_test

import (
	"crypto/sha512"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/reprosign/reprosign/signer/promise"
)

// BenchmarkGive promises for a release of two artifacts at a time: the one sync
// that a signature waits for.
func BenchmarkGive(b *testing.B) {
	book := mustOpen(b, b.TempDir())
	for n := 0; b.Loop(); n++ {
		give(b, book, about(decision(n), fmt.Sprint(n, "a"), fmt.Sprint(n, "b")))
	}
}

// BenchmarkMillionPromises tells what a million promises, two for each decision,
// cost in memory and on disk, and how long a start reads them.
func BenchmarkMillionPromises(b *testing.B) {
	const releases, artifacts, batch = 500_000, 2, 4000
	dir := b.TempDir()
	book := mustOpen(b, dir)
	for n := 0; n < releases; n += batch {
		var promises []promise.Promise
		for i := range batch {
			for a := range artifacts {
				promises = append(promises, promise.Promise{SHA512: sha512.Sum512(fmt.Append(nil, n+i, a)), Decision: decision(n + i)})
			}
		}
		give(b, book, promises)
	}
	if err := book.Close(); err != nil {
		b.Fatal(err)
	}
	book = nil
	size := len(read(b, dir))
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := heap()
	for b.Loop() {
		began := time.Now()
		book, err := promise.Open(promise.Config{Directory: dir, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/start")
		b.ReportMetric((heap()-before)/(releases*artifacts), "heap-B/promise")
		if err := book.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)/(releases*artifacts), "file-B/promise")
}
