package sandbox_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

// nobody is the uid the tests take to be an ordinary user's agent.
const nobody = 65534

// rerunAs is set in the environment when the tests run themselves again as nobody.
const rerunAs = "REPROSIGN_TEST_UNPRIVILEGED"

// isolated lists the levels that must work for an agent with the tests' uid.
func isolated() []attest.Isolation {
	if os.Geteuid() == 0 {
		return []attest.Isolation{attest.IsolationBwrap, attest.IsolationUID}
	}
	return []attest.Isolation{attest.IsolationUserns}
}

// TestPromisesHoldForAnUnprivilegedAgent runs every other test of this package again as an ordinary user.
func TestPromisesHoldForAnUnprivilegedAgent(t *testing.T) {
	if os.Geteuid() != 0 {
		return // this is the second run, or a developer's only one
	}
	dir := publicDir(t)
	binary := filepath.Join(dir, "sandbox.test")
	copyFile(t, os.Args[0], binary)
	asNobody := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=/usr/bin:/bin", "TMPDIR=" + dir, rerunAs + "=1"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		return cmd
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	run := "-test.run=."
	if out, err := asNobody("/usr/bin/unshare", "-Ur", "/bin/true").CombinedOutput(); err != nil {
		t.Logf("this kernel refuses user namespaces: %s", out)
		run = "-test.run=^TestProbeNamesWhatTheKernelRefuses$"
	}
	out, err := asNobody(binary, run, "-test.count=1", "-test.v").CombinedOutput()
	if err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("--- PASS")) {
		t.Errorf("no test ran as nobody:\n%s", out)
	}
}

func TestProbeNamesWhatTheKernelRefuses(t *testing.T) {
	report, err := sandbox.Probe(t.Context(), config(t))
	if err != nil {
		t.Fatal(err)
	}
	if report.Level == attest.IsolationNone && report.Err() == nil {
		t.Error("no level works and no reason is given")
	}
	if unshare := exec.CommandContext(t.Context(), "/usr/bin/unshare", "-Urpfn", "/bin/true").Run(); (unshare == nil) != report.Level.AtLeast(attest.IsolationUserns) {
		t.Errorf("namespaces: unshare says %v, probe found %v (%v)", unshare, report.Level, report.Err())
	}
}

func TestProbeRefusesALevelThatLetsABuildReadASecret(t *testing.T) {
	cfg := config(t)
	// Everybody may read /usr, so naming it a secret makes every level break its promise.
	cfg.Secrets = []string{"/usr/bin/env"}
	report, err := sandbox.Probe(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if report.Level != attest.IsolationNone || !strings.Contains(report.Err().Error(), "can read /usr/bin/env") {
		t.Errorf("got level %v, reasons %v", report.Level, report.Err())
	}
	if _, err := sandbox.Open(t.Context(), cfg); err == nil {
		t.Error("a sandbox that isolates nothing was opened without being named insecure")
	}
	cfg.Insecure = true
	box, err := sandbox.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if box.Level() != attest.IsolationNone {
		t.Errorf("got level %v, want none", box.Level())
	}
}

func TestLevelNoneIsRefusedUnlessInsecureIsNamed(t *testing.T) {
	cfg := config(t)
	cfg.Level = attest.IsolationNone
	if _, err := sandbox.Open(t.Context(), cfg); err == nil {
		t.Error("level none was opened without insecure")
	}
}

func TestBuildReachesAToolchainBelowTmp(t *testing.T) {
	atEachLevel(t, func(t *testing.T, s *site) {
		tools := filepath.Join(publicDir(t), "tools")
		if err := os.Mkdir(tools, 0o755); err != nil {
			t.Fatal(err)
		}
		copyFile(t, "/bin/echo", filepath.Join(tools, "say"))
		spec := s.spec(`"$1/say" found`)
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Host: tools, Inside: tools})
		spec.Command = append(spec.Command, s.slot.Path(spec.Mounts, tools))
		if result := s.run(t.Context(), spec); !result.OK() || s.log.String() != "found\n" {
			t.Errorf("ended with %+v\n%s", result, s.log.String())
		}
	})
}

func config(t *testing.T) sandbox.Config {
	t.Helper()
	return sandbox.Config{WorkDir: publicDir(t), LockDir: publicDir(t), UIDBase: 300_000, UIDCount: 8}
}

// publicDir is a temporary directory that other users can pass through.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "reprosign-sandbox-") //nolint:usetesting // other users must be able to pass through it
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

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// site is one slot with an output directory, /out.
type site struct {
	t    *testing.T
	box  *sandbox.Sandbox
	slot *sandbox.Slot
	out  string
	log  bytes.Buffer
}

// atEachLevel runs test at every level that promises isolation to an agent with this uid.
func atEachLevel(t *testing.T, test func(t *testing.T, s *site)) {
	for _, level := range isolated() {
		t.Run(string(level), func(t *testing.T) { test(t, newSite(t, level)) })
	}
}

func newSite(t *testing.T, level attest.Isolation) *site {
	t.Helper()
	cfg := config(t)
	cfg.Level, cfg.Insecure = level, level == attest.IsolationNone
	box, err := sandbox.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return enter(t, box)
}

// neighbour is a second build of the same agent.
func (s *site) neighbour() *site { return enter(s.t, s.box) }

func enter(t *testing.T, box *sandbox.Sandbox) *site {
	t.Helper()
	slot, err := box.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := slot.Close(); err != nil {
			t.Error(err)
		}
	})
	out, err := slot.Dir("out", sandbox.BuildWrites)
	if err != nil {
		t.Fatal(err)
	}
	return &site{t: t, box: box, slot: slot, out: out}
}

func (s *site) spec(script string, args ...string) sandbox.Spec {
	s.log.Reset()
	return sandbox.Spec{
		Command: append([]string{"/bin/bash", "-c", script, "bash"}, args...),
		Mounts:  []sandbox.Mount{{Host: s.out, Inside: "/out", Writable: true}},
		Log:     &s.log,
		Timeout: 30 * time.Second,
	}
}

func (s *site) run(ctx context.Context, spec sandbox.Spec) sandbox.Result {
	s.t.Helper()
	result, err := s.slot.Run(ctx, spec)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.log.String())
	}
	return result
}

// output runs a script that must succeed and returns what it printed.
func (s *site) output(script string, args ...string) string {
	s.t.Helper()
	result := s.run(s.t.Context(), s.spec(script, args...))
	if !result.OK() {
		s.t.Fatalf("ended with %+v\n%s", result, s.log.String())
	}
	return s.log.String()
}
