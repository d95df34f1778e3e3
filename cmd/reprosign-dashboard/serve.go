package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/dashboard"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/internal/observe"
	"github.com/reprosign/reprosign/internal/program"
)

// Bounds of the public HTTP server.
const (
	readTimeout  = 10 * time.Second
	writeTimeout = time.Minute // an evidence bundle of some megabytes over a slow line
	idleTimeout  = 2 * time.Minute
	// retryPause is the time between two attempts to reach the database.
	retryPause = time.Second
)

// settings are the dashboard's; deploy/config/dashboard.toml explains each.
type settings struct {
	Listen   string      `toml:"listen" help:"public address, host:port"`
	Metrics  string      `toml:"metrics" help:"address for metrics and health"`
	Log      program.Log `toml:"log"`
	Database struct {
		DSN string `toml:"dsn" secret:"true"`
		// DSNFile is read again at every attempt to start: on a single box the
		// coordinator writes it.
		DSNFile string `toml:"dsn_file" help:"file with the database's connection string"`
	} `toml:"database"`
}

func defaults() settings {
	var s settings
	s.Listen = "127.0.0.1:8080"
	s.Log = program.DefaultLog
	return s
}

func newCommand(environ []string) *cobra.Command {
	return program.Command(environ, "reprosign-dashboard", "Show releases, votes and evidence, and serve the log", defaults(), run)
}

func run(ctx context.Context, s settings) error {
	p, err := program.New(s.Log, s.Metrics)
	if err != nil {
		return err
	}
	if (s.Database.DSN == "") == (s.Database.DSNFile == "") {
		return errors.New("settings name no database, or two; set either database.dsn or database.dsn_file")
	}
	database := p.Expect("database")
	return p.Run(ctx, func(ctx context.Context, ready func()) error {
		reader, err := openReader(ctx, s, p.Log)
		if err != nil {
			return err
		}
		defer reader.Close()
		database(func(ctx context.Context) error { return answers(ctx, reader) })
		board, err := dashboard.New(dashboard.Config{Reader: reader, Logger: p.Log})
		if err != nil {
			return err
		}
		p.Measure(board)
		return observe.Public{
			What: "the pages", Address: s.Listen, Handler: board.Handler(),
			ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		}.Serve(ctx, p.Log, ready)
	})
}

// answers reports whether a database answers through the public views.
func answers(ctx context.Context, r *store.Reader) error {
	_, err := r.Checkpoint(ctx)
	if errors.Is(err, coordinator.ErrNotFound) {
		return nil // a log without entries
	}
	return err
}

// openReader waits for a database that answers: at boot it may be later than
// we are, or its schema not brought up to date yet.
func openReader(ctx context.Context, s settings, log *slog.Logger) (*store.Reader, error) {
	for said := ""; ; {
		reader, err := tryReader(ctx, s)
		if err == nil {
			return reader, nil
		}
		if err.Error() != said {
			said = err.Error()
			log.WarnContext(ctx, "waiting for the database", slog.Any("reason", err))
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

func tryReader(ctx context.Context, s settings) (*store.Reader, error) {
	dsn := s.Database.DSN
	if s.Database.DSNFile != "" {
		data, err := config.ReadSecretFile(s.Database.DSNFile)
		if err != nil {
			return nil, err
		}
		dsn = string(data)
	}
	reader, err := store.OpenReader(ctx, dsn)
	if err != nil {
		return nil, err
	}
	if err := answers(ctx, reader); err != nil {
		reader.Close()
		return nil, err
	}
	return reader, nil
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
