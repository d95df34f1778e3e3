package rebuilder_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/rebuilder"
	"github.com/reprosign/reprosign/rebuilder/backend"
	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

// quick is a back-end that builds one small file, at once or when a test lets it.
type quick struct {
	mu     sync.Mutex
	builds map[string]int // by version
	during func(ctx context.Context, job backend.Job, site *backend.Site) error
	// toolchain is what it says of itself.
	toolchain map[string]string
}

func (q *quick) Name() string            { return "quick" }
func (q *quick) Check(backend.Job) error { return nil }
func (q *quick) Fetch(context.Context, backend.Job, *backend.Site) (backend.Inputs, error) {
	return backend.Inputs{{Name: "thing.tar", SHA256: attest.SHA256([]byte("source")), Size: 6}}, nil
}

func (q *quick) Build(ctx context.Context, job backend.Job, site *backend.Site, _ io.Writer) (sandbox.Result, error) {
	q.mu.Lock()
	if q.builds == nil {
		q.builds = map[string]int{}
	}
	q.builds[job.Version]++
	q.mu.Unlock()
	if q.during != nil {
		if err := q.during(ctx, job, site); err != nil {
			return sandbox.Result{}, err
		}
	}
	if err := os.WriteFile(filepath.Join(site.Evidence, "note"), []byte("why"), 0o644); err != nil {
		return sandbox.Result{}, err
	}
	return sandbox.Result{}, os.WriteFile(filepath.Join(site.Out, "thing-"+job.Version), []byte(job.Version), 0o644)
}

func (q *quick) Toolchain(context.Context, backend.Job) (map[string]string, error) {
	return q.toolchain, nil
}

func (q *quick) count(o *order) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.builds[o.request.Version]
}

// gate makes a back-end's builds wait: each sends its version, and goes on when
// something is received or the build is cut off.
func (q *quick) gate() (begun chan string, open chan struct{}) {
	begun, open = make(chan string, 100), make(chan struct{})
	q.during = func(ctx context.Context, job backend.Job, _ *backend.Site) error {
		begun <- job.Version
		select {
		case <-open:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return begun, open
}

// line is a bus with faults: nil hooks are none.
type line struct {
	rebuilder.Bus

	delivered func(bus.TaskMessage) // before the agent sees the task
	handled   func(bus.TaskMessage) // after it has ended it
	publish   func(v bus.EncodedVote, send func() error) error
}

func (l *line) Tasks(ctx context.Context, name string, slots int, handle func(context.Context, bus.TaskMessage)) error {
	return l.Bus.Tasks(ctx, name, slots, func(ctx context.Context, m bus.TaskMessage) {
		if l.delivered != nil {
			l.delivered(m)
		}
		handle(ctx, m)
		if l.handled != nil {
			l.handled(m)
		}
	})
}

func (l *line) PublishVote(ctx context.Context, name string, votes ...bus.EncodedVote) error {
	if l.publish == nil {
		return l.Bus.PublishVote(ctx, name, votes...)
	}
	for _, v := range votes {
		if err := l.publish(v, func() error { return l.Bus.PublishVote(ctx, name, v) }); err != nil {
			return err
		}
	}
	return nil
}

// party is one agent with everything of its own.
type party struct {
	rebuilder.Config

	quick *quick
	line  *line
	spool string
	log   *journal
	stop  func() // ends the agent as an operator does, and waits
	ended chan error
}

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) has(words ...string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// party prepares an agent; start runs it.
func (h *house) party(t *testing.T) *party {
	t.Helper()
	return h.partyOf(t, filepath.Join(t.TempDir(), "spool"))
}

// partyOf prepares an agent with a spool that an earlier one may have left.
func (h *house) partyOf(t *testing.T, spool string) *party {
	t.Helper()
	trust, err := policy.Pin(h.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	p := &party{quick: &quick{}, spool: spool, log: &journal{}, ended: make(chan error, 1)}
	p.line = &line{Bus: h.connect(t, bus.Identity{Role: bus.RoleRebuilder, Name: name})}
	p.Config = rebuilder.Config{
		Name: name, Key: h.Rebuilders[0], Trust: trust, Bus: p.line, Slots: 1, Sandbox: openSandbox(t),
		Backends: []backend.Backend{p.quick}, Drain: patience, Log: slog.New(slog.NewTextHandler(p.log, nil)),
	}
	p.stop = func() {}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("agent's log:\n%s", p.log)
		}
	})
	return p
}

func (p *party) start(t *testing.T) *party {
	t.Helper()
	spool, err := rebuilder.OpenSpool(p.spool)
	if err != nil {
		t.Fatal(err)
	}
	p.Spool = spool
	agent, err := rebuilder.New(p.Config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { p.ended <- agent.Run(ctx) }()
	var once sync.Once
	p.stop = func() {
		once.Do(func() {
			cancel()
			if err := errors.Join(<-p.ended, spool.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(p.stop)
	return p
}

// uidRanges counts the ranges of build users that this run has taken.
var uidRanges atomic.Uint32

// uidRange returns the first of uidsEach build users that nothing else has: an
// agent kills what runs under its own, also that of another run of these tests.
func uidRange() uint32 {
	const base, perRun = 1 << 30, 1024
	return base + uint32(os.Getpid()%1_000_000)*perRun + uidRanges.Add(1)%(perRun/uidsEach)*uidsEach
}

const uidsEach = 8

func openSandbox(t *testing.T) *sandbox.Sandbox {
	t.Helper()
	box, err := sandbox.Open(t.Context(), sandboxConfig(publicDir(t), uidRange()))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func sandboxConfig(dir string, base uint32) sandbox.Config {
	return sandbox.Config{WorkDir: dir, LockDir: filepath.Join(dir, "locks"), UIDBase: base, UIDCount: uidsEach}
}

// publicDir is a temporary directory that other users can pass through.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "reprosign-rebuilder-") //nolint:usetesting // other users must be able to pass through it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("left behind: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// file returns the content of a file of a release in the spool.
func (p *party) file(t *testing.T, o *order, name ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(p.path(o, name...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (p *party) path(o *order, name ...string) string {
	return filepath.Join(append([]string{p.spool, o.release.String()}, name...)...)
}

func (p *party) has(o *order, name ...string) bool {
	_, err := os.Lstat(p.path(o, name...))
	return err == nil
}

const moment = 50 * time.Millisecond
