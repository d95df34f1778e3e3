package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// httpPatience is how long open requests may take when the process stops.
	httpPatience = 10 * time.Second
	// headerTimeout bounds the reading of a request's header.
	headerTimeout = 5 * time.Second
	// responseTimeout bounds one request as a whole.
	responseTimeout = 30 * time.Second
)

// Options are what a process shows and to whom.
type Options struct {
	// Listen is the address of metrics and health, host:port; empty means none.
	Listen string
	// Listening, if set, is told the address that was bound: Listen may name port 0.
	Listening func(net.Addr)
	// Registry holds the metrics; nil means none.
	Registry *prometheus.Registry
	// Live are the conditions that only a restart can restore: while one fails,
	// systemd's watchdog is not fed. Ready are those for being of use.
	Live, Ready []Check
	Logger      *slog.Logger // nil discards
}

// Run runs the work of a process and returns its error. It serves metrics and
// health from the start; tells systemd READY once work calls ready, feeds its
// watchdog, and tells it STOPPING when ctx ends or work returns.
//
// It stops in the order of importance: work first, for as long as it takes,
// while the health page says so; then the HTTP server, for at most ten seconds.
// Work must end soon after its context.
func Run(ctx context.Context, o Options, work func(ctx context.Context, ready func()) error) error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := &health{live: o.Live, ready: o.Ready}
	stopHTTP, err := serve(ctx, o, h)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var attendants sync.WaitGroup
	attendants.Go(func() { feed(ctx, o, h) })
	attendants.Go(func() {
		<-ctx.Done()
		h.enter(stopping)
		notify(o.Logger, daemon.SdNotifyStopping)
	})
	var once sync.Once
	err = work(ctx, func() {
		once.Do(func() {
			// Not if it is stopping already.
			if h.phase.CompareAndSwap(int32(starting), int32(running)) {
				notify(o.Logger, daemon.SdNotifyReady)
			}
		})
	})
	cancel()
	attendants.Wait()
	return errors.Join(err, stopHTTP())
}

// serve starts the HTTP server and returns what stops it.
func serve(ctx context.Context, o Options, h *health) (stop func() error, err error) {
	if o.Listen == "" {
		return func() error { return nil }, nil
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("serving metrics and health: %w", err)
	}
	server := &http.Server{
		Handler:           h.handler(o.Registry),
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      responseTimeout,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- ServeHTTP(serving, server, listener, httpPatience) }()
	o.Logger.InfoContext(ctx, "metrics and health served", slog.String("address", listener.Addr().String()))
	if o.Listening != nil {
		o.Listening(listener.Addr())
	}
	return func() error {
		end()
		if err := <-ended; err != nil {
			return fmt.Errorf("serving metrics and health: %w", err)
		}
		return nil
	}, nil
}

// feed keeps systemd's watchdog quiet while the process is alive. Once it is
// stopping, systemd counts TimeoutStopSec instead.
func feed(ctx context.Context, o Options, h *health) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		o.Logger.WarnContext(ctx, "systemd watchdog not understood", slog.Any("error", err))
	}
	if err != nil || interval == 0 {
		return
	}
	ticker := time.NewTicker(interval / 3)
	defer ticker.Stop()
	for {
		alive := true
		for _, r := range examine(ctx, h.live) {
			if ctx.Err() != nil {
				return // stopping, which also fails checks
			}
			if r.err != nil {
				alive = false
				o.Logger.ErrorContext(ctx, "liveness check failed", slog.String("check", r.name), slog.Any("error", r.err))
			}
		}
		if alive {
			notify(o.Logger, daemon.SdNotifyWatchdog)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// notify tells systemd; without systemd it does nothing.
func notify(logger *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		logger.Warn("systemd not notified", slog.String("state", state), slog.Any("error", err))
	}
}
