package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// stopPatience is how long a process may take to end when it is asked to.
	stopPatience = 15 * time.Second
	// readyPatience bounds the start of a process; initdb on a slow disk is the longest part.
	readyPatience = 90 * time.Second
	pollPause     = 50 * time.Millisecond
	probeTimeout  = 2 * time.Second
	// tailLines is how much of a log a person sees when its process died.
	tailLines = 12
)

// supervisor starts the processes of the demo, and ends everything when one of
// them dies: a demo with a party missing would show nothing.
type supervisor struct {
	bin  string // directory of the programs
	logs string // directory of their logs
	fail context.CancelCauseFunc

	mu      sync.Mutex
	running []*process
}

// process is one running party.
type process struct {
	name    string
	log     string // path
	command *exec.Cmd
	exited  chan struct{}
	err     error // how it ended; valid once exited is closed

	mu     sync.Mutex
	wanted bool // somebody asked it to end
}

// start starts a program under a name. Its standard output goes to stdout, if
// that is not nil; everything else goes to logs/NAME.log.
func (s *supervisor) start(name, program string, stdout *os.File, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(s.logs, name+".log"), exited: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644) //nolint:gosec // G302: logs hold no secrets, and these are there to be read
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer log.Close()
	p.command = exec.Command(filepath.Join(s.bin, program), args...) //nolint:noctx // stopAll ends it, in an order
	p.command.Stdout, p.command.Stderr = log, log
	if stdout != nil {
		p.command.Stdout = stdout
	}
	// Its own process group, so that an interrupt at the terminal reaches the
	// demo alone, which then ends the parties in order; and no life beyond it.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.spawn(p); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("starting %s: %w; make build puts all programs beside this one", name, err)
		}
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = append(s.running, p)
	return p, nil
}

// spawn starts the process on a thread that lives as long as it: the kernel
// takes the end of the thread that forked for the end of the parent.
func (s *supervisor) spawn(p *process) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.command.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = p.command.Wait()
		close(p.exited)
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.wanted {
			s.fail(p.died())
		}
	}()
	return <-started
}

// died says what is known about the end of a process.
func (p *process) died() error {
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s ended by itself (%s); the end of %s:\n%s", p.name, how, p.log, tail(p.log))
}

func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "  " + err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(bytes.ToValidUTF8(data, []byte("?")))), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return "  " + strings.Join(lines, "\n  ")
}

// ready waits until the process says at address that it is of use.
func (p *process) ready(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	client := &http.Client{Timeout: probeTimeout}
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(pollPause)
	defer ticker.Stop()
	for {
		if isReady(ctx, client, "http://"+address+"/readyz") {
			return nil
		}
		select {
		case <-ticker.C:
		case <-p.exited:
			return p.died()
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%s was not ready after %v; the end of %s:\n%s", p.name, readyPatience, p.log, tail(p.log))
		}
	}
}

func isReady(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop asks a process to end, and ends it with all it started if it does not.
func (p *process) stop() {
	p.mu.Lock()
	p.wanted = true
	p.mu.Unlock()
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may be gone already
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
		<-p.exited
	}
}

// stopAll ends everything: first those that use the database and the bus, then
// the coordinator, which runs both, and what was there before it.
func (s *supervisor) stopAll() {
	s.mu.Lock()
	running := s.running
	s.running = nil
	s.mu.Unlock()
	base := slices.IndexFunc(running, func(p *process) bool { return p.name == coordinatorName }) + 1
	for _, wave := range [][]*process{running[base:], running[:base]} {
		var group sync.WaitGroup
		for _, p := range wave {
			group.Go(p.stop)
		}
		group.Wait()
	}
}

// freeAddress returns a loopback address that nobody listens on right now.
func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	return address, nil
}
