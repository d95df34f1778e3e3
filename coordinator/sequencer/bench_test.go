//go:build bench

package sequencer_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

// benchEntries is the size that the log grows to, in powers of ten from a
// thousand: BENCH_ENTRIES.
func benchEntries(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("BENCH_ENTRIES"), "1000000"))
	if err != nil || n < 1000 {
		t.Fatalf("BENCH_ENTRIES is %q, want at least 1000", os.Getenv("BENCH_ENTRIES"))
	}
	return n
}

// scale is a log that grows, over a database that waits for its disk.
type scale struct {
	t    *testing.T
	conn *pgx.Conn // the owner's
	w    *store.Writer
	r    *store.Reader
	q    *sequencer.Sequencer
	size int
}

func newScale(t *testing.T) *scale {
	postgres := boxtest.Postgres(t)
	must(t, postgres.EnsureDatabase(t.Context(), "bench"))
	dsn := postgres.DSN("bench", "postgres")
	must(t, migrate(dsn))
	s := &scale{t: t, conn: connect(t, dsn), w: openWriter(t, dsn)}
	s.q = newSequencer(t, s.w, logKey(t))
	var err error
	s.r, err = store.OpenReader(t.Context(), dsn)
	must(t, err)
	t.Cleanup(s.r.Close)
	return s
}

// leafBytes is what a leaf of ours has.
const leafBytes = 500

// generate puts n leaves into the outbox, in the database itself.
func (s *scale) generate(n int) {
	s.t.Helper()
	_, err := s.conn.Exec(s.t.Context(), `
		WITH made AS (SELECT convert_to(rpad($1 || ' ' || i, $3, md5(i::text)), 'UTF8') AS leaf FROM generate_series(1, $2) AS i),
		     l AS (INSERT INTO log_leaves (leaf, leaf_hash) SELECT leaf, sha256('\x00'::bytea || leaf) FROM made RETURNING id, leaf_hash)
		INSERT INTO log_pending SELECT id, leaf_hash FROM l`, fmt.Sprintf("generated from %d", s.size), n, leafBytes)
	must(s.t, err)
	s.size += n
}

// processorTime is what this process has used so far, and what its servers
// have: the postmaster, which is its child, and the back-ends.
func processorTime(t *testing.T) (own, servers time.Duration) {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	parents, used := map[int]int{}, map[int]time.Duration{}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		var pid, parent, skip, user, system int
		var flags string
		_, after, _ := strings.Cut(string(text), ") ")
		_, err = fmt.Sscan(string(text), &pid)
		must(t, err)
		_, err = fmt.Sscan(after, &flags, &parent, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &user, &system)
		must(t, err)
		const perSecond = 100 // USER_HZ on Linux
		parents[pid], used[pid] = parent, time.Duration(user+system)*time.Second/perSecond
	}
	for pid, parent := range parents {
		if self := os.Getpid(); parent == self || parents[parent] == self {
			servers += used[pid]
		}
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), servers
}

// timed runs an operation many times and reports how long it took, and what
// processor time of this process and of PostgreSQL together.
func (s *scale) timed(what string, n int, do func(context.Context) error) {
	s.t.Helper()
	all := make([]time.Duration, n)
	own, servers := processorTime(s.t)
	for i := range all {
		started := time.Now()
		must(s.t, do(s.t.Context()))
		all[i] = time.Since(started)
	}
	ownAfter, serversAfter := processorTime(s.t)
	slices.Sort(all)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	s.t.Logf("%7d entries: %-33s p50 %.2f ms, p99 %.2f ms, processor time %.2f ms",
		s.size, what, ms(all[(n-1)/2]), ms(all[(n-1)*99/100]), ms(ownAfter-own+serversAfter-servers)/float64(n))
}

// TestBenchLogAsItGrows measures whatever touches the log at a thousand entries
// and at every tenfold size, so that one sees what stays flat.
func TestBenchLogAsItGrows(t *testing.T) {
	most := benchEntries(t)
	s := newScale(t)
	must(t, s.q.Drain(t.Context()))
	for size := 1000; size <= most; size *= 10 {
		s.generate(size - s.size)
		s.integrate()
		// Autovacuum comes within a minute of such a backlog, and a checkpoint of
		// the database within five: else its dirty pages are measured.
		for _, sql := range []string{`VACUUM ANALYZE log_pending, log_entries, log_tiles, log_leaves`, `CHECKPOINT`} {
			_, err := s.conn.Exec(t.Context(), sql)
			must(t, err)
		}
		s.measure()
	}
	s.weigh()
}

func (s *scale) integrate() {
	s.t.Helper()
	if path := os.Getenv("BENCH_PROFILE"); path != "" {
		f, err := os.Create(fmt.Sprintf("%s.%d", path, s.size))
		must(s.t, err)
		must(s.t, pprof.StartCPUProfile(f))
		defer pprof.StopCPUProfile()
	}
	tree, _, err := s.w.Committed(s.t.Context())
	must(s.t, err)
	n := float64(s.size) - float64(tree.Size)
	started := time.Now()
	own, servers := processorTime(s.t)
	must(s.t, s.q.Drain(s.t.Context()))
	took := time.Since(started)
	ownAfter, serversAfter := processorTime(s.t)
	s.t.Logf("%7d entries: integrated %.0f in %.2f s, %.0f entries/s, processor time each %.1f µs and PostgreSQL's %.1f µs",
		s.size, n, took.Seconds(), n/took.Seconds(), float64((ownAfter-own).Microseconds())/n, float64((serversAfter-servers).Microseconds())/n)
}

// measure leaves the log as large as it was, but for the entries it appends.
func (s *scale) measure() {
	const often = 500
	size, appended := int64(s.size), 0
	s.timed("append (durable)", often, func(ctx context.Context) error {
		appended++
		leaf := fmt.Appendf(nil, "%0*d appended at %d", leafBytes-30, appended, size)
		hash := tlog.RecordHash(leaf)
		_, err := s.conn.Exec(ctx, `
			WITH l AS (INSERT INTO log_leaves (leaf, leaf_hash) VALUES ($1, $2::bytea) RETURNING id, leaf_hash)
			INSERT INTO log_pending SELECT id, leaf_hash FROM l`, leaf, hash[:])
		return err
	})
	must(s.t, s.q.Drain(s.t.Context()))
	s.timed("append and checkpoint, one by one", often/5, func(ctx context.Context) error {
		appended++
		add(s.t, s.conn, fmt.Sprintf("%0*d at %d", leafBytes-30, appended, size), 1)
		return s.q.Drain(ctx)
	})
	s.size += appended
	s.timed("inclusion proof", often, func(ctx context.Context) error {
		_, err := s.q.Prove(ctx, rand.N(size), size)
		return err
	})
	tile := func(level int) func(context.Context) error {
		return func(ctx context.Context) error {
			n := rand.N(size >> translog.TileHeight)
			_, err := s.r.Tile(ctx, tlog.Tile{H: translog.TileHeight, L: level, N: n, W: translog.TileWidth})
			return err
		}
	}
	s.timed("full tile of hashes", often, tile(0))
	s.timed("partial tile at the edge", often, func(ctx context.Context) error {
		_, err := s.r.Tile(ctx, tlog.Tile{H: translog.TileHeight, L: 0, N: size >> translog.TileHeight, W: int(size%translog.TileWidth) + 1})
		return err
	})
	s.timed("full entry bundle", often, tile(translog.EntriesLevel))
	s.timed("1,000 entries for a follower", often/5, func(ctx context.Context) error {
		_, _, err := s.w.LogEntries(ctx, rand.N(size-999), 1000, 1<<20)
		return err
	})
}

// weigh tells what the log's tables take.
func (s *scale) weigh() {
	sum := 0.0
	for _, table := range []string{"log_leaves", "log_entries", "log_tiles", "log_pending", "log_checkpoints"} {
		var heap, total int64
		must(s.t, s.conn.QueryRow(s.t.Context(), `SELECT pg_table_size($1::regclass), pg_total_relation_size($1::regclass)`, table).Scan(&heap, &total))
		each := float64(total) / float64(s.size)
		if table != "log_leaves" {
			sum += each
		}
		s.t.Logf("%7d entries: %-16s %6.1f bytes an entry, of which indexes %5.1f", s.size, table, each, float64(total-heap)/float64(s.size))
	}
	s.t.Logf("%7d entries: overhead beside the leaves %.1f bytes an entry", s.size, sum)
}
