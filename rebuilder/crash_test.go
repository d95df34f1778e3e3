package rebuilder_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/rebuilder"
	"github.com/reprosign/reprosign/rebuilder/backend"
	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

// doomedVariable names the order of an agent that kills itself: the test binary
// runs again as that agent.
const doomedVariable = "REPROSIGN_TEST_DOOMED_AGENT"

// point is where an agent dies.
type point string

const (
	beforeStart  point = "before the release is durable"
	whileBuild   point = "while a process of the build runs"
	afterSeal    point = "after the statement is sealed"
	afterPublish point = "after the statement is published"
	afterAck     point = "after the task is acknowledged"
)

// doom is what the doomed agent gets from the test.
type doom struct {
	Point                        point
	URL, Seed, Trust, Spool, Box string
	UIDBase                      uint32
}

// runDoomed is the life of a doomed agent. It ends by SIGKILL, like a machine
// whose power is cut.
func runDoomed(file string) {
	var d doom
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err == nil {
		err = d.live()
	}
	fmt.Fprintln(os.Stderr, "the doomed agent survived:", err)
	os.Exit(3)
}

func (d doom) live() error {
	ctx := context.Background()
	trust, err := config.LoadPolicy(d.Trust)
	if err != nil {
		return err
	}
	key, err := attest.NewSigningKey(name, evidencetest.Ed25519("rebuilder "+name))
	if err != nil {
		return err
	}
	conn, err := bus.Connect(ctx, bus.Config{URL: d.URL, SeedFile: d.Seed, Identity: bus.Identity{Role: bus.RoleRebuilder, Name: name}})
	if err != nil {
		return err
	}
	spool, err := rebuilder.OpenSpool(d.Spool)
	if err != nil {
		return err
	}
	box, err := sandbox.Open(ctx, sandboxConfig(d.Box, d.UIDBase))
	if err != nil {
		return err
	}
	var task atomic.Pointer[bus.TaskMessage]
	die := func() {
		// Without this the test would wait for the task as long as the bus does.
		task.Load().Later(1)
		if _, err := conn.Policies(ctx, bus.PolicyRequest{}); err != nil { // behind everything sent before
			panic(err)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	at := func(p point) {
		if d.Point == p {
			die()
		}
	}
	q := &quick{during: func(ctx context.Context, _ backend.Job, site *backend.Site) error {
		if d.Point != whileBuild {
			return nil
		}
		_, err := site.Slot.Run(ctx, sandbox.Spec{
			Command: []string{"/bin/sh", "-c", "echo running; exec sleep 1000"},
			Log:     writerFunc(func([]byte) { die() }),
		})
		return err
	}}
	l := &line{
		Bus:       conn,
		delivered: func(m bus.TaskMessage) { task.Store(&m); at(beforeStart) },
		handled:   func(bus.TaskMessage) { at(afterAck) },
		publish: func(_ bus.EncodedVote, send func() error) error {
			at(afterSeal)
			if err := send(); err != nil {
				return err
			}
			at(afterPublish)
			return nil
		},
	}
	agent, err := rebuilder.New(rebuilder.Config{
		Name: name, Key: key, Trust: trust, Bus: l, Spool: spool, Sandbox: box, Slots: 1, Backends: []backend.Backend{q},
	})
	if err != nil {
		return err
	}
	return agent.Run(ctx)
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

var _ io.Writer = writerFunc(nil)

// kill runs an agent on the spool until it dies at a point, with o in hand.
func (h *house) kill(t *testing.T, at point, spool string) {
	t.Helper()
	dir := t.TempDir()
	d := doom{
		Point: at, URL: h.url, Seed: h.seeds[bus.Identity{Role: bus.RoleRebuilder, Name: name}],
		Trust: filepath.Join(dir, "policy"), Spool: spool, Box: publicDir(t), UIDBase: uidRange(),
	}
	trust, err := h.Envelope.Encode()
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "doom")
	for path, data := range map[string][]byte{d.Trust: trust, file: data} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), doomedVariable+"="+file)
	out, _ := cmd.CombinedOutput()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the agent did not die as it should: %v\n%s", cmd.ProcessState, out)
	}
}

func TestACrashAtAnyPointNeverBuildsTwiceNorLosesAStatement(t *testing.T) {
	for at, want := range map[point]struct {
		outcome attest.Outcome
		builds  int // by the agent after the crash
		before  int // statements sent before the crash
	}{
		beforeStart:  {attest.Built, 1, 0},
		whileBuild:   {attest.InfraError, 0, 0},
		afterSeal:    {attest.Built, 0, 0},
		afterPublish: {attest.Built, 0, 1},
		afterAck:     {attest.Built, 0, 1},
	} {
		t.Run(string(at), func(t *testing.T) {
			h := newHouse(t, nil)
			spool := filepath.Join(t.TempDir(), "spool")
			o := h.sent(t)
			h.kill(t, at, spool)
			if want.before > 0 {
				h.statement(t, o)
			}

			p := h.partyOf(t, spool)
			handled := make(chan struct{}, 10)
			p.line.handled = func(bus.TaskMessage) { handled <- struct{}{} }
			p.start(t)
			eventually(t, "statement after the crash", func() bool { return len(h.statements(t, o.release)) > want.before })
			if at != afterAck {
				<-handled // the task, again
			}
			all := h.statements(t, o.release)
			for _, r := range all {
				if r.Outcome != want.outcome || digest(t, r) != digest(t, all[0]) {
					t.Errorf("got %s and %s on one release, want one statement, %s", all[0].Outcome, r.Outcome, want.outcome)
				}
			}
			if n := p.quick.count(o); n != want.builds {
				t.Errorf("built %d times after the crash, want %d", n, want.builds)
			}

			h.push(t, h.receipt(t, digest(t, all[0])))
			eventually(t, "end of the duty", func() bool { return len(p.Spool.Pending(0)) == 0 && p.has(o, "receipt.json") })
		})
	}
}

func TestAnInterruptedReleaseIsReportedOnceHoweverOftenTheAgentRestarts(t *testing.T) {
	h := newHouse(t, nil)
	spool := filepath.Join(t.TempDir(), "spool")
	o := h.sent(t)
	h.kill(t, whileBuild, spool)
	for range 3 {
		p := h.partyOf(t, spool).start(t)
		seen := len(h.statements(t, o.release))
		eventually(t, "statement after a restart", func() bool { return len(h.statements(t, o.release)) > seen })
		p.stop()
	}
	all := h.statements(t, o.release)
	for _, r := range all {
		if r.Outcome != attest.InfraError || digest(t, r) != digest(t, all[0]) {
			t.Errorf("got %v, want the same infra-error each time", r)
		}
	}
}

func TestATaskThatAnotherAgentDroppedIsBuilt(t *testing.T) {
	h := newHouse(t, nil)
	o := h.sent(t)
	crashed := filepath.Join(t.TempDir(), "spool")
	h.kill(t, whileBuild, crashed)
	p := h.party(t)
	redelivered := make(chan bool, 1)
	p.line.delivered = func(m bus.TaskMessage) { redelivered <- m.Redelivered }
	p.start(t)
	h.wantOutcome(t, o, attest.Built)
	if !<-redelivered {
		t.Error("the task came for the first time")
	}

	// The one that had begun it says so all the same, though no task reminds it.
	h.partyOf(t, crashed).start(t)
	eventually(t, "report of the crashed agent", func() bool { return len(h.statements(t, o.release)) == 2 })
	if r := h.statements(t, o.release)[1]; r.Outcome != attest.InfraError {
		t.Errorf("got %s, want infra-error", r.Outcome)
	}
}

func TestATaskThatWasBegunHereIsNeverBuiltAgain(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t).start(t)
	o := h.order(t)
	if err := p.Spool.Start(o.release, o.Task); err != nil {
		t.Fatal(err)
	}
	h.send(t, o)
	h.wantOutcome(t, o, attest.InfraError)
	if n := p.quick.count(o); n != 0 {
		t.Errorf("built %d times", n)
	}
}
