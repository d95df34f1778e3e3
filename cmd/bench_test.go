//go:build bench

package cmd_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box"
	"github.com/reprosign/reprosign/internal/box/boxtest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/signer"
	"github.com/reprosign/reprosign/signer/ledger"
	"github.com/reprosign/reprosign/signer/promise"
)

// The load of a distribution's mass rebuild: BENCH_RELEASES × 7 votes.
const (
	benchRebuilders = 7
	benchThreshold  = 5
	benchInFlight   = 256 // votes of one rebuilder that wait for the bus
)

func benchReleases(t *testing.T, otherwise int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("BENCH_RELEASES"), strconv.Itoa(otherwise)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// benchHouse is a house whose database, bus, coordinator and signer are
// processes of their own, so that each one's CPU can be told.
type benchHouse struct {
	*house

	postgres  *box.Postgres
	processes map[string]*exec.Cmd
}

// TestBenchProcess is not a test: the benchmarks run this binary again as one
// of their processes, named by BENCH_ROLE, until its standard input ends.
func TestBenchProcess(t *testing.T) {
	role := os.Getenv("BENCH_ROLE")
	if role == "" {
		return
	}
	dir := os.Getenv("BENCH_DIR")
	if profiles := os.Getenv("BENCH_PROFILES"); profiles != "" {
		f, err := os.Create(filepath.Join(profiles, role+".pprof"))
		if err != nil {
			t.Fatal(err)
		}
		begin := make(chan os.Signal, 1)
		signal.Notify(begin, syscall.SIGUSR1)
		go func() {
			<-begin
			if err := pprof.StartCPUProfile(f); err != nil {
				t.Error(err)
			}
		}()
		defer pprof.StopCPUProfile()
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); cancel() }()
	switch role {
	case "nats":
		benchNATS(ctx, t, dir)
	case "hsm":
		benchHSM(ctx, t, dir)
	case "signer":
		benchSigner(ctx, t, dir)
	case "coordinator":
		benchCoordinator(ctx, t, dir)
	case "log":
		benchFront(ctx, t, dir)
	}
}

func benchNATS(ctx context.Context, t *testing.T, dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := box.StartNATS(ctx, string(text), box.NATSOptions{Dir: filepath.Join(dir, "nats"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	benchReady(t, dir, "nats", n.ClientURL())
	<-ctx.Done()
	n.Shutdown()
}

func benchReady(t *testing.T, dir, role, text string) {
	path := filepath.Join(dir, role+".ready")
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func benchConnect(ctx context.Context, t *testing.T, dir string, id bus.Identity) *bus.Conn {
	url, err := os.ReadFile(filepath.Join(dir, "nats.ready"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := bus.Connect(ctx, bus.Config{
		URL: string(url), SeedFile: filepath.Join(dir, string(id.Role)+"-"+id.Name+".seed"), Identity: id, Logger: benchLog(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func benchLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func benchTrust(t *testing.T, dir string) *policy.Chain {
	data, err := os.ReadFile(filepath.Join(dir, "policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := attest.ParseEnvelope(data)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := policy.Pin(e)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// idle answers decisions as the signer does and leaves signatures waiting when
// BENCH_SIGN is not set: the throughput is measured up to the logged decision.
type idle struct{ *signer.Signer }

func (s idle) Sign(ctx context.Context, q bus.SignRequest) bus.SignReply {
	if os.Getenv("BENCH_SIGN") != "" {
		return s.Signer.Sign(ctx, q)
	}
	<-ctx.Done()
	return bus.SignReply{Error: bus.Errorf(bus.KindUnavailable, "device is idle in this measurement")}
}

func benchSigner(ctx context.Context, t *testing.T, dir string) {
	device, certificate := benchDevice(ctx, t, dir)
	conn := benchConnect(ctx, t, dir, bus.Identity{Role: bus.RoleSigner, Name: "signer"})
	defer conn.Close()
	trust := benchTrust(t, dir)
	memory, err := ledger.Open(ledger.Config{Directory: t.TempDir(), Trust: trust, Reader: ledger.OverBus(conn), Log: benchLog()})
	if err != nil {
		t.Fatal(err)
	}
	book, err := promise.Open(promise.Config{Directory: t.TempDir(), Log: benchLog()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := signer.New(signer.Config{
		Trust: trust, Ledger: memory, Promises: book, Key: evidencetest.P256Key(t, "signer", "signer"), Now: time.Now, Log: benchLog(),
		Certificates: []signer.Certificate{{Certificate: certificate, Key: device}},
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, memory.Run)
	benchReady(t, dir, "signer", "")
	if err := conn.ServeSigner(ctx, idle{s}); err != nil {
		t.Error(err)
	}
}

func benchCoordinator(ctx context.Context, t *testing.T, dir string) {
	dsn, err := os.ReadFile(filepath.Join(dir, "dsn"))
	if err != nil {
		t.Fatal(err)
	}
	batch, err := strconv.Atoi(os.Getenv("BENCH_BATCH"))
	if err != nil {
		t.Fatal(err)
	}
	writer, err := store.OpenWriter(ctx, string(dsn), benchLog())
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	reader, err := store.OpenReader(ctx, string(dsn))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	conn := benchConnect(ctx, t, dir, bus.Identity{Role: bus.RoleCoordinator, Name: "coordinator"})
	defer conn.Close()
	// Agents that meet the quota send again later; here everything is sent once.
	if err := conn.EnsureStreams(ctx, bus.StreamOptions{Replicas: 1, MaxUnread: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	seq, err := sequencer.New(writer, evidencetest.Ed25519Key(t, "log", evidencetest.Origin), benchLog())
	if err != nil {
		t.Fatal(err)
	}
	c, err := coordinator.New(coordinator.Config{
		Store: writer, Reader: reader, Bus: conn, Prover: seq, Trust: benchTrust(t, dir),
		Key: evidencetest.P256Key(t, "coordinator", "coordinator"), Log: benchLog(), Batch: batch,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return seq.Run(ctx) })
	group.Go(func() error { return c.Run(ctx) })
	group.Go(func() error { return conn.ServeAPI(ctx, c) })
	group.Go(func() error { return conn.ServeLog(ctx, c) })
	benchReady(t, dir, "coordinator", "")
	_ = group.Wait() // ends with the context
}

// start runs this binary again in a role and waits until it is ready.
func (h *benchHouse) start(t *testing.T, dir, role string, env ...string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBenchProcess$", "-test.timeout=0") //nolint:gosec // this very program, ended by its standard input
	cmd.Env = append(os.Environ(), append(env, "BENCH_ROLE="+role, "BENCH_DIR="+dir)...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = cmd.Wait()
	})
	h.processes[role] = cmd
	for range 2000 {
		if _, err := os.Stat(filepath.Join(dir, role+".ready")); err == nil {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("process %s is not ready", role)
}

// unitEnvironment is what a unit under deploy/ sets, and why is said there: the
// processes are measured as operators run them.
func unitEnvironment(t *testing.T, unit string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", unit))
	if err != nil {
		t.Fatal(err)
	}
	var env []string
	for line := range strings.Lines(string(text)) {
		if setting, ok := strings.CutPrefix(strings.TrimSpace(line), "Environment="); ok {
			env = append(env, setting)
		}
	}
	return env
}

func newBenchHouse(t *testing.T, batch int, env ...string) *benchHouse {
	t.Helper()
	dir := t.TempDir()
	h := &benchHouse{house: &house{seeds: map[bus.Identity]string{}, agents: map[string]*bus.Conn{}}, processes: map[string]*exec.Cmd{}}
	certificate := benchCertificate(t, dir)
	h.World = benchWorld(t, dir, certificate)
	h.Certificate = certificate
	encoded, err := h.Envelope.Encode()
	if err != nil {
		t.Fatal(err)
	}
	text, err := bus.ServerConfig(&h.Policy, bus.ServerOptions{SyncInterval: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	h.postgres = boxtest.Postgres(t)
	if err := h.postgres.EnsureDatabase(t.Context(), "bench"); err != nil {
		t.Fatal(err)
	}
	h.dsn = h.postgres.DSN("bench", "postgres")
	if err := store.Migrate(t.Context(), h.dsn); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"policy.json": encoded, "nats.conf": []byte(text), "dsn": []byte(h.dsn)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.start(t, dir, "nats", unitEnvironment(t, "nats/nats-server.service")...)
	h.start(t, dir, "hsm")
	h.start(t, dir, "signer", slices.Concat(env, unitEnvironment(t, "systemd/reprosign-signer.service"))...)
	h.start(t, dir, "coordinator", slices.Concat(env, unitEnvironment(t, "systemd/reprosign-coordinator.service"),
		[]string{fmt.Sprintf("BENCH_BATCH=%d", batch)})...)
	if h.reader, err = store.OpenReader(t.Context(), h.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.reader.Close)
	h.publisher = benchConnect(t.Context(), t, dir, bus.Identity{Role: bus.RolePublisher, Name: "publisher"})
	t.Cleanup(h.publisher.Close)
	for _, key := range h.Rebuilders {
		conn := benchConnect(t.Context(), t, dir, bus.Identity{Role: bus.RoleRebuilder, Name: key.Name()})
		t.Cleanup(conn.Close)
		h.agents[key.Name()] = conn
	}
	return h
}

// profile begins the CPU profiles, so that they show what is measured alone.
func (h *benchHouse) profile(t *testing.T) {
	t.Helper()
	if os.Getenv("BENCH_PROFILES") == "" {
		return
	}
	for role, cmd := range h.processes {
		if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Fatalf("process %s: %v", role, err)
		}
	}
}

// cpu returns the processor time of each process so far.
func (h *benchHouse) cpu(t *testing.T) map[string]time.Duration {
	t.Helper()
	out := map[string]time.Duration{}
	for role, cmd := range h.processes {
		out[role] = processTime(t, cmd.Process.Pid)
	}
	out["generator"] = processTime(t, os.Getpid())
	for _, pid := range postgresProcesses(t) {
		out["postgresql"] += processTime(t, pid)
	}
	return out
}

// processTime reads user and system time, with that of children waited for.
func processTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0 // a back-end that has ended is counted with its postmaster
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	ticks := 0
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	const perSecond = 100 // USER_HZ on Linux
	return time.Duration(ticks) * time.Second / perSecond
}

// postgresProcesses finds the cluster of this test: the postmaster, which is
// our child, and its back-ends.
func postgresProcesses(t *testing.T) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	parents := map[int]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || !bytes.Contains(data, []byte("(postgres")) {
			continue
		}
		parent, err := strconv.Atoi(strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))[1])
		if err != nil {
			t.Fatal(err)
		}
		parents[pid] = parent
	}
	var all []int
	for pid, parent := range parents {
		if parent == os.Getpid() || parents[parent] == os.Getpid() {
			all = append(all, pid)
		}
	}
	return all
}

// peakRSS returns the peak resident memory of a process in MiB.
func peakRSS(t *testing.T, pid int) float64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// openAll submits releases, eight at a time, and waits until their openings are logged.
func (h *benchHouse) openAll(t *testing.T, n int) []attest.Digest {
	t.Helper()
	releases := make([]attest.Digest, n)
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(8)
	for i := range n {
		group.Go(func() error {
			reply, err := h.publisher.Submit(ctx, "publisher", h.request(t, fmt.Sprintf("1.%d", i), nil))
			releases[i] = reply.Release
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	h.awaitCount(t, "SELECT count(*) FROM reprosign.log_pending", 0)
	return releases
}

// awaitCount asks the database itself, which costs the processes nothing else,
// and seldom: counting a table is work that nobody does in earnest.
func (h *benchHouse) awaitCount(t *testing.T, query string, want int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Minute)
	for time.Now().Before(deadline) {
		out, err := h.postgres.Query(t.Context(), "bench", query)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := strconv.Atoi(strings.TrimSpace(out)); err == nil && n == want {
			return
		}
		<-time.After(500 * time.Millisecond)
	}
	t.Fatalf("%s never became %d", query, want)
}

// votesOf signs every rebuilder's votes and encodes them beforehand, as agents do
// for their spools.
func (h *benchHouse) votesOf(t *testing.T, releases []attest.Digest) map[string][]bus.EncodedVote {
	t.Helper()
	votes := map[string][]bus.EncodedVote{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, key := range h.Rebuilders {
		all.Go(func() {
			mine := make([]bus.EncodedVote, len(releases))
			for i, release := range releases {
				mine[i] = encoded(t, h.statement(t, release, key, build(t, fmt.Sprintf("1.%d", i), "", fmt.Sprintf("hello_1.%d_amd64.deb", i))))
			}
			mu.Lock()
			defer mu.Unlock()
			votes[key.Name()] = mine
		})
	}
	all.Wait()
	return votes
}

func (h *benchHouse) publishAll(t *testing.T, votes map[string][]bus.EncodedVote) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	for name, mine := range votes {
		group.Go(func() error {
			for some := range slices.Chunk(mine, benchInFlight) {
				if err := h.agents[name].PublishVote(ctx, name, some...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// awaitLog waits until the newest checkpoint is of a size, and knows it soon: to
// read one row is little beside what is measured, to count rows would be much.
func (h *benchHouse) awaitLog(t *testing.T, size int64) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Minute)
	for time.Now().Before(deadline) {
		note, err := h.reader.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		newest, err := translog.ReadForeign(note)
		if err != nil {
			t.Fatal(err)
		}
		if newest.Size == size {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatalf("the log never became %d entries long", size)
}

// awaitReceipts returns a function that waits until the rebuilders have n
// statements receipted. It listens from now on.
func (h *benchHouse) awaitReceipts(t *testing.T, n int) func() {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	receipted := make(chan int, len(h.agents))
	group := errgroup.Group{}
	for name, conn := range h.agents {
		group.Go(func() error {
			return conn.Receipts(ctx, name, func(e *attest.Envelope) error {
				receipt, err := attest.ParseReceipt(e.Payload)
				if err != nil {
					return err
				}
				receipted <- len(receipt.Counted) + len(receipt.Late)
				return nil
			})
		})
	}
	return func() {
		defer stop()
		for n > 0 {
			select {
			case some := <-receipted:
				n -= some
			case <-ctx.Done():
				t.Fatalf("%d receipts missing", n)
			}
		}
		stop()
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// cost measures one run and returns the CPU microseconds per vote of
// coordinator, PostgreSQL and NATS together.
func (h *benchHouse) cost(t *testing.T, what string, n int) float64 {
	t.Helper()
	releases := h.openAll(t, n)
	votes := h.votesOf(t, releases)
	received := h.awaitReceipts(t, n*benchRebuilders)
	h.profile(t)
	before, start := h.cpu(t), time.Now()
	h.publishAll(t, votes)
	received()
	committed, ingested := time.Since(start), h.cpu(t)
	h.awaitLog(t, int64(1+2*n)) // the policy, openings, decisions
	total, after := time.Since(start), h.cpu(t)
	count := float64(n * benchRebuilders)
	per := func(to map[string]time.Duration, role string) float64 {
		return float64((to[role] - before[role]).Microseconds()) / count
	}
	sum := 0.0
	for _, role := range []string{"coordinator", "postgresql", "nats"} {
		sum += per(ingested, role)
	}
	t.Logf("%s: %d releases × %d rebuilders", what, n, benchRebuilders)
	t.Logf("%s: votes committed after %.1f s (%.0f votes/s), last decision logged after %.1f s (%.0f votes/s)",
		what, committed.Seconds(), count/committed.Seconds(), total.Seconds(), count/total.Seconds())
	for _, role := range slices.Sorted(func(yield func(string) bool) {
		for role := range after {
			if !yield(role) {
				return
			}
		}
	}) {
		t.Logf("%s: CPU µs per vote: %-12s %6.1f up to the committed receipt, %6.1f up to the logged decision",
			what, role, per(ingested, role), per(after, role))
	}
	t.Logf("%s: peak RSS of the coordinator %.0f MiB, of NATS %.0f MiB", what,
		peakRSS(t, h.processes["coordinator"].Process.Pid), peakRSS(t, h.processes["nats"].Process.Pid))
	return sum
}

func TestBenchVotesOfAMassRebuild(t *testing.T) {
	n := benchReleases(t, 15_000)
	var ours, baseline float64
	t.Run("batched", func(t *testing.T) { ours = newBenchHouse(t, 0).cost(t, "batched", n) })
	t.Run("row by row", func(t *testing.T) { baseline = newBenchHouse(t, 1).cost(t, "row by row", min(n, 2_000)) })
	t.Logf("row by row costs %.1f times the CPU of batches, up to the committed receipt (%.0f against %.0f µs per vote)",
		baseline/ours, baseline, ours)
}

func TestBenchLatencyFromTheDecidingVoteToTheSignature(t *testing.T) {
	const perSecond = 20
	n := benchReleases(t, 600)
	h := newBenchHouse(t, 0, "BENCH_SIGN=1")
	releases := h.openAll(t, n)
	votes := h.votesOf(t, releases)
	last := h.Rebuilders[0].Name()
	deciding := votes[last]
	delete(votes, last)
	h.publishAll(t, votes)
	h.awaitCount(t, "SELECT count(*) FROM reprosign.statements", n*(benchRebuilders-1))

	// The database's clock is this machine's, so the row itself tells when the
	// signature was stored.
	published := make([]time.Time, n)
	ticker := time.NewTicker(time.Second / perSecond)
	var sending sync.WaitGroup
	for i := range n {
		<-ticker.C
		published[i] = time.Now()
		sending.Go(func() { h.send(t, last, deciding[i]) })
	}
	ticker.Stop()
	sending.Wait()
	h.awaitCount(t, "SELECT count(*) FROM reprosign.releases WHERE state = 'signed'", n)
	out, err := h.postgres.Query(t.Context(), "bench",
		"SELECT encode(id, 'hex') || ' ' || extract(epoch FROM signed_at) FROM reprosign.releases")
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]float64{}
	for line := range strings.Lines(out) {
		id, at, _ := strings.Cut(strings.TrimSpace(line), " ")
		if stored[id], err = strconv.ParseFloat(at, 64); err != nil {
			t.Fatal(err)
		}
	}
	all := make([]time.Duration, n)
	for i, r := range releases {
		all[i] = time.Duration(stored[r.String()]*1e9) - time.Duration(published[i].UnixNano())
	}
	slices.Sort(all)
	for _, step := range []string{"decided_at - closed_at", "logged_at - decided_at", "signed_at - logged_at"} {
		out, err := h.postgres.Query(t.Context(), "bench",
			"SELECT percentile_cont(array[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM "+step+")) FROM reprosign.releases")
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: p50 and p99 in seconds %s", step, strings.TrimSpace(out))
	}
	t.Logf("deciding vote published → signature stored, %d releases at %d/s: p50 %v, p90 %v, p99 %v, most %v",
		n, perSecond, all[n/2], all[n*9/10], all[n*99/100], all[n-1])
}
