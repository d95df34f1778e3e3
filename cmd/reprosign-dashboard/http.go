package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/reprosign/reprosign/internal/observe"
)

// Bounds of the public HTTP server.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = time.Minute // an evidence bundle of some megabytes over a slow line
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
	// stopPatience is how long open requests may take when the process stops.
	stopPatience = 10 * time.Second
	// retryPause is the time between two attempts to reach the database.
	retryPause = time.Second
)

// serve answers requests until ctx ends, and then those that are under way.
func serve(ctx context.Context, address string, handler http.Handler, log *slog.Logger, ready func()) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serving the pages: %w", err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients' own faults
	}
	log.InfoContext(ctx, "pages served", slog.String("address", "http://"+listener.Addr().String()))
	ready()
	if err := observe.ServeHTTP(ctx, server, listener, stopPatience); err != nil {
		return fmt.Errorf("serving the pages: %w", err)
	}
	return nil
}

// pause waits a little, or until ctx ends.
func pause(ctx context.Context) error {
	timer := time.NewTimer(retryPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
