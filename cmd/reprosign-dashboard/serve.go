package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/dashboard"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/internal/observe"
)

// settings are the dashboard's; deploy/config/dashboard.toml explains each.
type settings struct {
	Listen  string `toml:"listen" help:"public address, host:port"`
	Metrics string `toml:"metrics" help:"address for metrics and health"`
	Log     struct {
		Format string `toml:"format" help:"text or json"`
		Level  string `toml:"level" help:"debug, info, warn or error"`
	} `toml:"log"`
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
	s.Log.Format, s.Log.Level = "text", "info"
	return s
}

func newCommand(environ []string) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:           "reprosign-dashboard",
		Short:         "Show releases, votes and evidence, and serve the log",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (TOML)")
	if err := config.Flags(cmd.Flags(), defaults()); err != nil {
		panic(err) // a wrong tag in settings, seen at the first start
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := config.Load(config.Source{File: file, Environ: environ, Flags: cmd.Flags()}, defaults())
		if err != nil {
			return err
		}
		return run(cmd.Context(), s)
	}
	return cmd
}

func run(ctx context.Context, s settings) error {
	log, err := observe.NewLogger(os.Stderr, s.Log.Format, s.Log.Level)
	if err != nil {
		return err
	}
	if (s.Database.DSN == "") == (s.Database.DSNFile == "") {
		return errors.New("settings name no database, or two; set either database.dsn or database.dsn_file")
	}
	registry := prometheus.NewRegistry()
	var open atomic.Pointer[store.Reader]
	database := observe.Check{Name: "database", Run: func(ctx context.Context) error {
		if r := open.Load(); r != nil {
			return answers(ctx, r)
		}
		return errors.New("not open")
	}}
	return observe.Run(ctx, observe.Options{
		Listen: s.Metrics, Registry: registry, Ready: []observe.Check{database}, Logger: log,
	}, func(ctx context.Context, ready func()) error {
		reader, err := openReader(ctx, s, log)
		if err != nil {
			if ctx.Err() != nil {
				return nil // asked to stop while it waited
			}
			return err
		}
		defer reader.Close()
		open.Store(reader)
		board, err := dashboard.New(dashboard.Config{Reader: reader, Logger: log})
		if err != nil {
			return err
		}
		registry.MustRegister(board.Collectors()...)
		return serve(ctx, s.Listen, board.Handler(), log, ready)
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
