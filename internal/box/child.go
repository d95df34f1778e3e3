package box

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

const (
	// pipeGrace is how long a dead server's own children may keep its output
	// open before it is closed on them.
	pipeGrace = 2 * time.Second

	// childPath is the PATH of the server programs. They are started by their
	// full names; initdb's shell needs the standard tools.
	childPath = "PATH=/usr/local/bin:/usr/bin:/bin"
)

// child is a running server process. The kernel sends it SIGQUIT when the
// process that started it dies, whatever the cause: SIGKILL, os.Exit, a panic.
type child struct {
	process *os.Process
	exited  chan struct{} // closed when the process is gone
	err     error         // how it ended; valid once exited is closed
}

// command prepares a PostgreSQL program to run as the account in dir.
//
// It gets no environment but the search path, locale and time zone: nothing
// secret can leak into it, and no PGOPTIONS can change it. Its process group
// is its own, so that an interrupt at the terminal reaches the owner only,
// which then stops its server last.
func (a account) command(dir, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...) //nolint:noctx // it outlives the context of its start; child.wait and end bound it
	cmd.Dir = dir
	cmd.Env = []string{childPath, "LC_ALL=C", "TZ=UTC"}
	cmd.WaitDelay = pipeGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: a.credential,
		Setpgid:    true,
		Pdeathsig:  syscall.SIGQUIT,
	}
	return cmd
}

// spawn starts cmd and watches over it until it exits.
//
// The kernel takes the death of the *thread* that forked for the death of the
// parent. So the goroutine that forks keeps its thread to itself, and lives
// until the child is gone.
func spawn(cmd *exec.Cmd, output io.Writer) (*child, error) {
	c := &child{exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = output, output
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			c.process = cmd.Process
		}
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		close(c.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// end sends the signal and waits until the process is gone.
func (c *child) end(sig os.Signal) error {
	if err := c.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-c.exited
	return nil
}

// wait returns when the process has ended, with how it ended. If ctx is done
// first the process is killed.
func (c *child) wait(ctx context.Context) error {
	select {
	case <-c.exited:
		return c.err
	case <-ctx.Done():
		if err := c.end(os.Kill); err != nil {
			return errors.Join(ctx.Err(), err)
		}
		return ctx.Err()
	}
}
