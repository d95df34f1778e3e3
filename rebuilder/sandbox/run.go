package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sys/unix"

	"github.com/reprosign/reprosign/attest"
)

// logGrace is how long the log may stay open after every process is dead. Only a process that escaped the sandbox can hold
// it longer.
const logGrace = 5 * time.Second

// child is one started command line with the agent's ends of its pipes.
type child struct {
	cmd     *exec.Cmd
	exited  chan error // receives the outcome of Wait once
	log     *os.File   // read end of standard output and error
	started *os.File   // read end of fdStarted
	tree    tree
}

// Run runs one command and returns when all its processes are dead, whether it ended, ran out of time or ctx ended. An
// error means that the agent could not do its part (infra-error): the sandbox could not be set up, the log could not be
// stored, ctx ended, or a process survived.
func (s *Slot) Run(ctx context.Context, spec Spec) (Result, error) {
	spec = spec.withDefaults()
	if err := spec.validate(); err != nil {
		return Result{}, err
	}
	argv, err := s.argv(spec)
	if err != nil {
		return Result{}, err
	}
	result := Result{Started: time.Now()}
	c, err := s.start(argv)
	if err != nil {
		return Result{}, fmt.Errorf("starting the sandbox: %w", err)
	}
	defer c.close()

	logged := make(chan error, 1)
	log := newCappedLog(spec.Log, spec.LogLimit)
	go func() {
		_, err := io.Copy(log, c.log)
		logged <- err
	}()
	begun := make(chan bool, 1)
	go func() {
		n, _ := c.started.Read(make([]byte, 1))
		begun <- n == 1
	}()

	waitErr := s.supervise(ctx, spec, c, &result)

	// Cleaning up must not be cut short by the end of ctx, which may be why it happens.
	if err := c.tree.kill(context.WithoutCancel(ctx)); err != nil {
		return Result{}, fmt.Errorf("killing the build: %w", err)
	}
	if err := c.log.SetReadDeadline(time.Now().Add(logGrace)); err != nil {
		return Result{}, fmt.Errorf("closing the build log: %w", err)
	}
	if err := <-logged; err != nil {
		return Result{}, fmt.Errorf("reading the build log to its end, so a process of the build survives: %w", err)
	}
	result.Finished = time.Now()
	result.LogDigest, result.LogBytes, result.LogTruncated = log.digest(), log.total, log.total > log.size

	if err := ctx.Err(); err != nil {
		return result, fmt.Errorf("build interrupted: %w", context.Cause(ctx))
	}
	if log.err != nil {
		return result, fmt.Errorf("storing the build log: %w", log.err)
	}
	if result.ExitCode, err = exitCode(waitErr); err != nil {
		return result, fmt.Errorf("waiting for the build: %w", err)
	}
	if !<-begun && !result.TimedOut {
		return result, fmt.Errorf("setting up the sandbox ended with status %d before the command started; its log says why", result.ExitCode)
	}
	if used, err := diskUse(spec.Mounts); err != nil {
		return result, fmt.Errorf("measuring what the build wrote: %w", err)
	} else if used > spec.Limits.DiskBytes {
		result.OverDisk = true
	}
	return result, nil
}

// supervise waits for the command, and ends it when its time, its disk or ctx is used up.
func (s *Slot) supervise(ctx context.Context, spec Spec, c *child, result *Result) error {
	timeout := time.NewTimer(spec.Timeout)
	defer timeout.Stop()
	watchCtx, stopWatch := context.WithCancel(ctx)
	defer stopWatch()
	full := watchDisk(watchCtx, spec.Mounts, spec.Limits.DiskBytes)

	var kill <-chan time.Time
	done := ctx.Done()
	for {
		select {
		case err := <-c.exited:
			return err
		case <-timeout.C:
			result.TimedOut = true
			c.tree.terminate(ctx)
			kill = time.After(TermGrace)
		case <-kill:
			s.killNow(ctx, c)
		case <-full:
			result.OverDisk, full = true, nil
			s.killNow(ctx, c)
		case <-done:
			done = nil
			s.killNow(ctx, c)
		}
	}
}

// killNow leaves it to Run to report what could not be killed.
func (s *Slot) killNow(ctx context.Context, c *child) {
	if err := c.tree.kill(context.WithoutCancel(ctx)); err != nil {
		s.box.cfg.Log.WarnContext(ctx, "killing a build", slog.Any("error", err))
		// The outermost program at least, so that Wait returns.
		_ = c.cmd.Process.Kill()
	}
}

// start runs argv with its output on a pipe. In namespaces it hands the first process of the namespace to the returned
// tree before anything of the command runs.
func (s *Slot) start(argv []string) (_ *child, err error) {
	var childEnds []*os.File
	c := &child{exited: make(chan error, 1)}
	defer func() {
		for _, f := range childEnds {
			_ = f.Close()
		}
		if err != nil {
			c.close()
		}
	}()
	pipe := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
		}
		return r, w
	}
	var logW, startedW, infoW, blockW *os.File
	var info, block *os.File
	c.log, logW = pipe()
	c.started, startedW = pipe()
	info, infoW = pipe()
	block, blockW = pipe()
	childEnds = []*os.File{logW, startedW, infoW, block}
	defer info.Close()
	defer blockW.Close()
	if err != nil {
		return nil, fmt.Errorf("making pipes: %w", err)
	}

	// Whatever the agent inherited without close-on-exec, from a shell or a service manager, must not reach a build.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, fmt.Errorf("marking descriptors close-on-exec: %w", err)
	}
	// The agent itself ends the command; a context could only kill the outermost program.
	c.cmd = exec.Command(argv[0], argv[1:]...) //nolint:noctx // see above
	c.cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", markerName + "=" + s.marker}
	c.cmd.Dir = "/"
	c.cmd.Stdout, c.cmd.Stderr = logW, logW
	c.cmd.ExtraFiles = []*os.File{fdInfo - 3: infoW, fdBlock - 3: block, fdStarted - 3: startedW}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.startLocked(); err != nil {
		return nil, err
	}

	switch {
	case namespaces(s.box.level):
		_ = infoW.Close()
		if c.tree, err = namespaceOf(info); err != nil {
			// bubblewrap says on its standard error what went wrong.
			_ = logW.Close()
			said, _ := io.ReadAll(io.LimitReader(c.log, 4096))
			return nil, errors.Join(fmt.Errorf("%w: %s", err, said), c.cmd.Process.Kill(), <-c.exited)
		}
		// Closing blockW, deferred above, lets bubblewrap go on.
	case s.box.level == attest.IsolationUID:
		c.tree = uidTree{s.uid}
	default:
		c.tree = markedTree{pgid: c.cmd.Process.Pid, entry: markerName + "=" + s.marker}
	}
	return c, nil
}

// startLocked starts and awaits the command on a thread of its own: the kernel ties the parent-death signal to the thread
// that forked, and Go ends idle threads as it likes.
func (c *child) startLocked() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.exited <- c.cmd.Wait()
		}
	}()
	return <-started
}

func (c *child) close() {
	for _, f := range []*os.File{c.log, c.started} {
		if f != nil {
			_ = f.Close()
		}
	}
	if t, ok := c.tree.(*namespaceTree); ok {
		t.close()
	}
}

// namespaceOf reads which process bubblewrap made the first of the new pid namespace, and takes hold of it. The process is
// still blocked, so its pid cannot have passed to another.
func namespaceOf(info io.Reader) (tree, error) {
	var first struct {
		Pid int `json:"child-pid"`
	}
	if err := json.UnmarshalDecode(jsontext.NewDecoder(info), &first); err != nil {
		return nil, fmt.Errorf("bubblewrap made no namespaces (%w)", err)
	}
	fd, err := unix.PidfdOpen(first.Pid, 0)
	if err != nil {
		return nil, fmt.Errorf("taking hold of process %d: %w", first.Pid, err)
	}
	return &namespaceTree{init: first.Pid, pidfd: fd}, nil
}

func exitCode(waitErr error) (int, error) {
	var exit *exec.ExitError
	switch {
	case waitErr == nil:
		return 0, nil
	case !errors.As(waitErr, &exit):
		return -1, waitErr
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}
