package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tree is all processes of one build, however they forked.
type tree interface {
	// terminate asks every process to end (SIGTERM).
	terminate(ctx context.Context)
	// kill returns when every process is dead. It may be called again and after the tree ended.
	kill(ctx context.Context) error
}

const (
	killDeadline = 30 * time.Second      // processes stuck in the kernel longer than this are reported
	killInterval = 20 * time.Millisecond // between two looks at the process table
)

var errSurvivors = errors.New("processes survive SIGKILL")

// namespaceTree is a pid namespace, held by its first process. When that dies the kernel kills all others, and it counts
// as dead only after they are: so waiting for one process is waiting for all.
type namespaceTree struct{ init, pidfd int }

func (t *namespaceTree) kill(context.Context) error {
	if err := unix.PidfdSendSignal(t.pidfd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing the pid namespace: %w", err)
	}
	deadline := time.Now().Add(killDeadline)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("pid namespace: %w", errSurvivors)
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(t.pidfd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("awaiting the end of the pid namespace: %w", err)
		}
		if n > 0 {
			return nil
		}
	}
}

// terminate signals each descendant through a pidfd that is checked after it was opened, since by then the number may have
// passed to a process that is none of ours.
func (t *namespaceTree) terminate(context.Context) {
	parents := parentTable()
	for pid := range parents {
		if !descends(parents, pid, t.init) {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		if parent, ok := parentOf(pid); ok && (parent == t.init || descends(parents, parent, t.init)) {
			_ = unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0)
		}
		_ = unix.Close(fd)
	}
}

func (t *namespaceTree) close() { _ = unix.Close(t.pidfd) }

// uidTree is all processes of a uid that nothing else uses. A helper process of that same uid signals "all I may signal",
// which the kernel does in one step: a fork bomb cannot outrun it, and root's processes are out of its reach.
type uidTree struct{ uid uint32 }

func (t uidTree) terminate(ctx context.Context) { _ = t.signal(ctx, "TERM") }

func (t uidTree) kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, killDeadline, errSurvivors)
	defer cancel()
	return untilNone(ctx, t.has, func(pids []int) error {
		if err := t.signal(ctx, "KILL"); err != nil {
			t.strike(pids)
		}
		return nil
	})
}

// strike is for when no helper can be started, as when the process table is full. It stops all before it kills any: a place
// that one of them frees would be taken by the next.
func (t uidTree) strike(pids []int) {
	for _, signal := range []unix.Signal{unix.SIGSTOP, unix.SIGKILL} {
		for _, pid := range pids {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				continue
			}
			if t.has(pid) {
				_ = unix.PidfdSendSignal(fd, signal, nil, 0)
			}
			_ = unix.Close(fd)
		}
	}
}

func (t uidTree) has(pid int) bool { return uidOf(pid) == int64(t.uid) }

func (t uidTree) signal(ctx context.Context, name string) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", "kill -"+name+" -1")
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: t.uid, Gid: t.uid}}
	// Its status says only whether there was anything to signal.
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("signalling uid %d: %w", t.uid, err)
	}
	return nil
}

// markerName is set in the environment at level none, where a build's processes have nothing else in common once they fork
// and change their session. A build can take it off; that level promises nothing.
const markerName = "REPROSIGN_BUILD"

type markedTree struct {
	pgid  int    // of the first process
	entry string // name=value
}

func (t markedTree) terminate(context.Context) { _ = syscall.Kill(-t.pgid, syscall.SIGTERM) }

func (t markedTree) kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, killDeadline, errSurvivors)
	defer cancel()
	return untilNone(ctx, t.has, func(pids []int) error {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return nil
	})
}

func (t markedTree) has(pid int) bool {
	environ, err := os.ReadFile(procFile(pid, "environ"))
	return err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+t.entry+"\x00"))
}

// untilNone repeats strike until no live process matches.
func untilNone(ctx context.Context, match func(pid int) bool, strike func(pids []int) error) error {
	for {
		var alive []int
		for pid := range parentTable() {
			if match(pid) {
				alive = append(alive, pid)
			}
		}
		if len(alive) == 0 {
			return nil
		}
		if err := strike(alive); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(killInterval):
		}
	}
}

// parentTable maps every live process to its parent. Zombies are dead: whether their parent looks is not ours to await.
func parentTable() map[int]int {
	table := map[int]int{}
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return table
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(filepath.Base(e))
		if err != nil {
			continue
		}
		if parent, ok := parentOf(pid); ok {
			table[pid] = parent
		}
	}
	return table
}

func parentOf(pid int) (int, bool) {
	stat, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return 0, false
	}
	// "pid (name) state ppid …", and a name may hold anything, ") R 1" too.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 || fields[0] == "Z" || fields[0] == "X" {
		return 0, false
	}
	parent, err := strconv.Atoi(fields[1])
	return parent, err == nil
}

func descends(parents map[int]int, pid, from int) bool {
	for range len(parents) {
		parent, ok := parents[pid]
		if !ok {
			return false
		}
		if parent == from {
			return true
		}
		pid = parent
	}
	return false
}

// uidOf is the real uid of a process, or -1.
func uidOf(pid int) int64 {
	status, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		return -1
	}
	_, rest, _ := strings.Cut(string(status), "\nUid:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return -1
	}
	uid, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return -1
	}
	return uid
}

func procFile(pid int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + name
}
