//go:build bench

package translog_test

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
)

// benchBlock is how many entries are made, read and forgotten at a time.
const benchBlock = 1000

// TestBenchFollowerCatchesUp measures what a fresh follower takes for an entry,
// openings and decisions in turn, at every tenfold size up to BENCH_ENTRIES; and
// what it takes to learn the same from its own cache. Both are processor time.
func TestBenchFollowerCatchesUp(t *testing.T) {
	most, err := strconv.Atoi(cmp.Or(os.Getenv("BENCH_ENTRIES"), "1000000"))
	if err != nil {
		t.Fatal(err)
	}
	w := evidencetest.New(t, evidencetest.Options{})
	fresh, again := newFollower(t, w.Envelope), newFollower(t, w.Envelope)
	before := heap()
	var reading, learning time.Duration
	sum := 0 // entries since the last report
	for size, mark := 0, benchBlock; mark <= most; {
		for i := range benchBlock / 2 {
			source := fmt.Sprintf("source-%d", size/2+i)
			w.Open(t, evidencetest.Suite, source, 1).Decide(t, w, evidencetest.File(t, source+"_1.0_amd64.deb", source))
		}
		block := w.Log.Entries[size:]
		started := processorTime(t)
		facts, err := fresh.Append(block)
		if err != nil {
			t.Fatal(err)
		}
		reading += processorTime(t) - started
		started = processorTime(t)
		for _, f := range facts {
			if f.Problem != "" {
				t.Fatal(f.Problem)
			}
			if err := again.Learn(f); err != nil {
				t.Fatal(err)
			}
		}
		learning += processorTime(t) - started
		for i := range block {
			w.Log.Leaves[size+i], block[i] = nil, translog.Entry{} // a million of them would not fit
		}
		size, sum = size+benchBlock, sum+benchBlock
		if size != mark {
			continue
		}
		confirm(t, fresh, w.Log)
		t.Logf("%7d entries: read at %.0f µs each, learned from the cache at %.2f µs each, since the size before",
			size, float64(reading.Microseconds())/float64(sum), float64(learning.Microseconds())/float64(sum))
		reading, learning, sum = 0, 0, 0
		mark *= 10
	}
	held := heap() - before
	runtime.KeepAlive(fresh)
	runtime.KeepAlive(again)
	t.Logf("%7d entries: two followers and the log's hashes hold %.0f bytes an entry", most, float64(held)/float64(most))
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
