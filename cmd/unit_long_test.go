//go:build long

package cmd_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// buildPrograms builds the processes into a directory.
func buildPrograms(t *testing.T, dir string) {
	t.Helper()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/",
		"./reprosign-coordinator", "./reprosign-signer", "./reprosign-rebuilder", "./reprosign-softhsm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the programs: %v\n%s", err, out)
	}
}

// unit is a process that is started again whenever it ends, as systemd does it.
type unit struct {
	name    string
	program string
	args    []string
	log     string

	mu      sync.Mutex
	process *os.Process // nil while none runs
	starts  int
	over    bool
}

// restartPause is systemd's RestartSec, here as short as systemd's own default.
const restartPause = 100 * time.Millisecond

// startUnit starts a unit that runs until the test ends; its program is in bin below dir.
func startUnit(t *testing.T, dir, name, program string, args ...string) *unit {
	t.Helper()
	u := &unit{name: name, program: filepath.Join(dir, "bin", program), args: args, log: filepath.Join(dir, name+".log")}
	var ended sync.WaitGroup
	ended.Go(func() {
		// The kernel takes the end of the thread that forked for the parent's.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for u.run(t) {
			<-time.After(restartPause)
		}
	})
	t.Cleanup(func() {
		u.mu.Lock()
		u.over = true
		if u.process != nil {
			_ = u.process.Signal(syscall.SIGTERM)
		}
		u.mu.Unlock()
		ended.Wait()
		if data, err := os.ReadFile(u.log); err == nil && t.Failed() {
			lines := strings.Split(string(data), "\n")
			t.Logf("the end of the log of %s, started %d times:\n%s", name, u.starts, strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
	})
	return u
}

// run runs the process once and reports whether it is to be started again.
func (u *unit) run(t *testing.T) bool {
	log, err := os.OpenFile(u.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Error(err)
		return false
	}
	defer log.Close()
	command := exec.Command(u.program, u.args...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	u.mu.Lock()
	if u.over {
		u.mu.Unlock()
		return false
	}
	err = command.Start()
	if err == nil {
		u.process = command.Process
		u.starts++
	}
	u.mu.Unlock()
	if err != nil {
		t.Error(err)
		return false
	}
	_ = command.Wait() // how it ended is in its log
	u.mu.Lock()
	defer u.mu.Unlock()
	u.process = nil
	return !u.over
}

// kill ends the process at once, as the kernel does when memory is short.
func (u *unit) kill(t *testing.T) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.process == nil {
		return // it is on its way back from the last time
	}
	if err := u.process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// killPostmaster ends the private PostgreSQL in a cluster directory.
func killPostmaster(t *testing.T, cluster string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(cluster, "data", "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return // it is on its way back
	}
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 1 {
		t.Fatalf("postmaster.pid begins with %q", line)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
}
