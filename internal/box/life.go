package box

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"
)

// errStopped reports a call after Stop.
var errStopped = errors.New("the PostgreSQL cluster has been stopped")

// Exited returns a channel that is closed when the server that now runs is
// gone, by Stop, Crash, Restart or by itself. An owner that did not ask for it
// should end, as without a database it is of no use.
func (p *Postgres) Exited() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server.exited
}

// Stop ends the cluster: sessions are closed, open transactions rolled back,
// and what is committed is written. It waits for that, and removes a throw-away
// directory. Stopping again does nothing.
func (p *Postgres) Stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	err := p.halt()
	if p.temporary {
		err = errors.Join(err, os.RemoveAll(p.dir))
	}
	// Last, so that nobody takes the directory while it is in use.
	err = errors.Join(err, p.lock.Close())
	if err != nil {
		return fmt.Errorf("stopping PostgreSQL: %w", err)
	}
	p.logger.Info("postgres stopped", slog.String("dir", p.dir))
	return nil
}

// halt stops the server if one runs. The caller holds p.mu.
func (p *Postgres) halt() error {
	if p.server == nil {
		return nil
	}
	// SIGINT asks for a fast shutdown: PostgreSQL's words are smart (SIGTERM,
	// which waits for clients), fast and immediate (SIGQUIT).
	if err := p.server.process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	select {
	case <-p.server.exited:
		return nil
	case <-timer.C:
		return p.server.end(syscall.SIGQUIT)
	}
}

// Crash ends the server as a crash does: at once, without writing anything.
// The directory stays, whatever it is; Restart recovers it. It is for tests.
func (p *Postgres) Crash() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errStopped
	}
	if err := p.server.end(syscall.SIGQUIT); err != nil {
		return fmt.Errorf("crashing PostgreSQL: %w", err)
	}
	return nil
}

// Restart stops the server, if it runs, and starts it on the same data. It
// returns when the new server accepts connections; the DSN stays the same.
func (p *Postgres) Restart(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errStopped
	}
	if err := p.halt(); err != nil {
		return fmt.Errorf("stopping PostgreSQL: %w", err)
	}
	return p.run(ctx)
}
