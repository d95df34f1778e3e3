package rebuilder_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/rebuilder"
	"github.com/reprosign/reprosign/rebuilder/backend"
)

// workshop is an agent with the command back-end, whose executables are the
// scripts of a test.
type workshop struct {
	*party

	house       *house
	dir         string
	source      attest.Source
	executables map[string]backend.Executable
}

func (h *house) workshop(t *testing.T) *workshop {
	t.Helper()
	w := &workshop{party: h.party(t), house: h, dir: publicDir(t), executables: map[string]backend.Executable{}}
	file := filepath.Join(w.dir, "thing.tar")
	if err := os.WriteFile(file, []byte("source"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.source = attest.Source{Name: "thing.tar", SHA256: attest.SHA256([]byte("source")), Size: 6, URLs: []string{"file://" + file}}
	w.Backends = append(w.Backends, backend.Command(backend.Fetcher{FileRoots: []string{w.dir}}, w.executables))
	return w
}

// script makes an order to run a script, which the agent has installed.
func (w *workshop) script(t *testing.T, name, script string, changes ...func(*order)) *order {
	t.Helper()
	content := []byte("#!/bin/sh\nset -e\n" + script)
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	w.executables[name] = backend.Executable{Path: path, SHA256: attest.SHA256(content)}
	recipe := func(o *order) {
		o.request.Recipe = attest.Recipe{
			Backend: "command", Sources: []attest.Source{w.source},
			Parameters: map[string]string{"command": name, "sha256": attest.SHA256(content).String()},
		}
	}
	return w.house.order(t, append([]func(*order){recipe}, changes...)...)
}

func TestEveryEndOfABuildIsRecordedAndSignedBesideOthers(t *testing.T) {
	h := newHouse(t, nil)
	w := h.workshop(t)
	keyFile := filepath.Join(t.TempDir(), "attestation.pem")
	key, err := config.GenerateKey(attest.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	if err := config.WriteKey(keyFile, key); err != nil {
		t.Fatal(err)
	}
	pid := os.Getpid()
	orders := map[string]struct {
		*order

		outcome attest.Outcome
	}{
		"good":             {w.script(t, "good", `cp "$1" $REPROSIGN_OUT/thing; echo why > $REPROSIGN_EVIDENCE/thing`), attest.Built},
		"fails":            {w.script(t, "fails", `echo broken; exit 3`), attest.BuildFailed},
		"never ends":       {w.script(t, "never-ends", `exec sleep 1000`), attest.TimedOut},
		"leaves processes": {w.script(t, "leaves-processes", `setsid -f sleep 1000; (sleep 1000 &); echo x > $REPROSIGN_OUT/x`), attest.Built},
		"endless log":      {w.script(t, "endless-log", `head -c 67108864 /dev/zero; echo x > $REPROSIGN_OUT/x`), attest.Built},
		"reads the key": {w.script(t, "reads-the-key", fmt.Sprintf(
			`for f in %s %s /proc/%d/mem /proc/%d/environ %s; do if cat $f >$REPROSIGN_OUT/loot 2>&1 || ls $f/* >$REPROSIGN_OUT/loot; then exit 0; fi; done; rm -f $REPROSIGN_OUT/loot; exit 9`,
			keyFile, filepath.Join(w.spool, "lock"), pid, pid, w.spool)), attest.BuildFailed},
		"source gone": {w.script(t, "source-gone", `true`, func(o *order) {
			o.request.Recipe.Sources[0].URLs = []string{"file://" + filepath.Join(w.dir, "gone")}
		}), attest.FetchFailed},
		"unknown back-end": {h.order(t, func(o *order) { o.request.Recipe.Backend = "unknown" }), attest.InfraError},
		"names of a spool": {w.script(t, "names-of-a-spool", `cd $REPROSIGN_OUT; for f in evidence inputs.json task.json vote.json log out; do echo x > $f; done`), attest.Built},
		"other executable": {w.script(t, "not-pinned", `true`, func(o *order) { o.request.Recipe.Parameters["sha256"] = strings.Repeat("0", 64) }), attest.InfraError},
	}
	w.Slots, w.Timeout = 3, 5*time.Second
	w.start(t)
	for _, o := range orders {
		h.send(t, o.order)
	}
	for what, o := range orders {
		if r := h.statement(t, o.order); r.Outcome != o.outcome {
			t.Errorf("%s: got %s, want %s", what, r.Outcome, o.outcome)
		}
	}

	good := orders["good"].order
	if got := string(w.file(t, good, "out", "thing")); got != "source" {
		t.Errorf("kept output: %q", got)
	}
	if got := string(w.file(t, good, "evidence", "thing")); got != "why\n" {
		t.Errorf("kept evidence: %q", got)
	}
	r := h.statement(t, good)
	if got := attest.SHA256(w.file(t, good, "inputs.json")); got != r.Inputs || r.Inputs.IsZero() {
		t.Errorf("kept input manifest has digest %v, the statement says %v", got, r.Inputs)
	}
	bomb := orders["endless log"].order
	log := w.file(t, bomb, "log")
	if len(log) != 10<<20 || attest.SHA256(log) != h.statement(t, bomb).Log {
		t.Errorf("kept log of %d bytes is not what the statement says", len(log))
	}
	if left := processesOf(t, "sleep\x001000\x00"); left != 0 {
		t.Errorf("%d processes of builds survive", left)
	}
}

// processesOf counts the processes with a command line.
func processesOf(t *testing.T, commandLine string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		if data, err := os.ReadFile(f); err == nil && string(data) == commandLine {
			n++
		}
	}
	return n
}

func TestSlotsBuildAtTheSameTimeAndNoMoreThanThereAre(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t)
	p.Slots = 3
	begun, open := make(chan string, 100), make(chan struct{})
	var now, most atomic.Int64
	p.quick.during = func(_ context.Context, job backend.Job, _ *backend.Site) error {
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		begun <- job.Version
		<-open
		return nil
	}
	p.start(t)
	var orders []*order
	for range 9 {
		orders = append(orders, h.sent(t))
	}
	for range 3 {
		<-begun // none of them could go on without the others
	}
	close(open)
	for _, o := range orders {
		h.wantOutcome(t, o, attest.Built)
	}
	if got := most.Load(); got != 3 {
		t.Errorf("at most %d builds at one time, want 3", got)
	}
}

func TestAStoppedAgentFinishesAndPublishesWhatItBegan(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t)
	begun, open := p.quick.gate()
	p.start(t)
	o := h.sent(t)
	<-begun
	stopped := make(chan struct{})
	go func() { p.stop(); close(stopped) }()
	late := h.sent(t) // for whoever comes next
	close(open)
	<-stopped
	h.wantOutcome(t, o, attest.Built)
	if p.quick.count(late) != 0 {
		t.Error("a task was begun after the stop")
	}
}

func TestWhatRunsOnAfterTheDrainTimeIsReportedAsInfraError(t *testing.T) {
	h := newHouse(t, nil)
	w := h.workshop(t)
	w.Drain = moment
	o := w.script(t, "endless", `echo started > $REPROSIGN_EVIDENCE/x; echo begun; exec sleep 1234`)
	w.start(t)
	h.send(t, o)
	eventually(t, "begin of the build", func() bool { return w.has(o, "log") && len(w.file(t, o, "log")) > 0 })
	w.stop()
	h.wantOutcome(t, o, attest.InfraError)
	if processesOf(t, "sleep\x001234\x00") != 0 {
		t.Error("the build survives its agent")
	}
}

// twice delivers a task once more when its build has begun, as a bus does that
// lost the agent's word.
type twice struct {
	rebuilder.Bus

	begun   <-chan string
	refused chan<- struct{}
}

func (b *twice) Tasks(ctx context.Context, name string, slots int, handle func(context.Context, bus.TaskMessage)) error {
	return b.Bus.Tasks(ctx, name, slots, func(ctx context.Context, m bus.TaskMessage) {
		var first sync.WaitGroup
		first.Go(func() { handle(ctx, m) })
		<-b.begun
		handle(ctx, m)
		b.refused <- struct{}{}
		first.Wait()
	})
}

func TestAReleaseIsNotBuiltBesideItself(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t)
	begun, open := p.quick.gate()
	refused := make(chan struct{}, 1)
	p.line.Bus = &twice{Bus: p.line.Bus, begun: begun, refused: refused}
	p.start(t)
	o := h.sent(t)
	<-refused
	close(open)
	h.wantOutcome(t, o, attest.Built)
	if n := p.quick.count(o); n != 1 {
		t.Errorf("built %d times", n)
	}
}

func TestAnOutcomeThatCannotBeSignedIsReportedAsInfraError(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t)
	p.quick.toolchain = map[string]string{}
	for i := range 40 { // more than a statement holds
		p.quick.toolchain[fmt.Sprintf("tool-%d", i)] = "1.0"
	}
	p.start(t)
	o := h.sent(t)
	h.wantOutcome(t, o, attest.InfraError)
	if !p.log.has("outcome cannot be signed", o.release.String()) {
		t.Error("the operator does not learn why")
	}
}

func TestABuildIsCutOffAtItsReleasesDeadline(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t)
	begun, _ := p.quick.gate()
	p.start(t)
	o := h.sent(t, func(o *order) { o.opening.Deadline = o.opening.Opened + 3 })
	<-begun
	h.wantOutcome(t, o, attest.InfraError)
	if !p.log.has("build ended", "deadline has passed") {
		t.Error("the operator does not learn why")
	}
}

func TestAnAgentWithoutABuildUserReportsInfraError(t *testing.T) {
	if os.Geteuid() != 0 {
		return // an ordinary user's builds need no user of their own
	}
	h := newHouse(t, nil)
	p := h.party(t)
	for range uidsEach {
		slot, err := p.Sandbox.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer slot.Close()
	}
	p.start(t)
	o := h.sent(t)
	h.wantOutcome(t, o, attest.InfraError)
	if !p.log.has("build ended", "build uids") {
		t.Error("the operator does not learn why")
	}
}

func TestNobodyHearsOfAStatementThatIsNotDurable(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t)
	broken := h.order(t)
	p.quick.during = func(_ context.Context, job backend.Job, _ *backend.Site) error {
		if job.Version != broken.request.Version {
			return nil
		}
		return os.RemoveAll(filepath.Join(p.spool, broken.release.String()))
	}
	p.start(t)
	h.send(t, broken)
	eventually(t, "error in the log", func() bool { return p.log.has("level=ERROR", "no statement", broken.release.String()) })
	h.wantOutcome(t, h.sent(t), attest.Built) // the agent goes on
	if n := len(h.statements(t, broken.release)); n != 0 {
		t.Errorf("%d statements sent", n)
	}
}

func TestAnAgentIsRefusedSettingsThatCouldNotWork(t *testing.T) {
	h := newHouse(t, nil)
	for what, change := range map[string]func(*rebuilder.Config){
		"another's key":   func(c *rebuilder.Config) { c.Key = h.Rebuilders[1] },
		"no slot":         func(c *rebuilder.Config) { c.Slots = 0 },
		"too many slots":  func(c *rebuilder.Config) { c.Slots = rebuilder.MaxSlots + 1 },
		"negative drain":  func(c *rebuilder.Config) { c.Drain = -1 },
		"no back-end":     func(c *rebuilder.Config) { c.Backends = nil },
		"negative timing": func(c *rebuilder.Config) { c.Timeout = -1 },
	} {
		p := h.party(t)
		change(&p.Config)
		if _, err := rebuilder.New(p.Config); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}
