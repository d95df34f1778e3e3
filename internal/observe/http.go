package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// What strangers may take of any HTTP server of ours.
const (
	publicHeaderTimeout = 5 * time.Second
	publicMaxHeader     = 16 << 10
	// publicPatience is how long open requests may take when the process stops.
	publicPatience = 10 * time.Second
)

// Public is an HTTP server that strangers reach. A request must be read, and
// its answer be written, within the time-outs; a connection may idle that long.
type Public struct {
	What    string // is served, for the log: "pages"
	Address string
	Handler http.Handler

	ReadTimeout, WriteTimeout, IdleTimeout time.Duration
}

// Serve answers requests until ctx ends, and then those that are under way. It
// calls ready once it listens.
func (p Public) Serve(ctx context.Context, log *slog.Logger, ready func()) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", p.Address)
	if err != nil {
		return fmt.Errorf("serving %s: %w", p.What, err)
	}
	server := &http.Server{
		Handler:           p.Handler,
		ReadHeaderTimeout: publicHeaderTimeout,
		ReadTimeout:       p.ReadTimeout,
		WriteTimeout:      p.WriteTimeout,
		IdleTimeout:       p.IdleTimeout,
		MaxHeaderBytes:    publicMaxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients' own faults
	}
	log.InfoContext(ctx, "served over HTTP", slog.String("what", p.What), slog.String("address", "http://"+listener.Addr().String()))
	ready()
	if err := ServeHTTP(ctx, server, listener, publicPatience); err != nil {
		return fmt.Errorf("serving %s: %w", p.What, err)
	}
	return nil
}

// ServeHTTP answers requests until ctx ends, and then those that are under way,
// for at most patience. It returns nil if all of them were answered, and closes
// the listener in any case.
func ServeHTTP(ctx context.Context, server *http.Server, listener net.Listener, patience time.Duration) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// A context of its own: that of the process has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
