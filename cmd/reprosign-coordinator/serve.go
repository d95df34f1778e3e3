package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/internal/observe"
)

// settings are the coordinator's; deploy/config/coordinator.toml explains each.
type settings struct {
	Name       string `toml:"name" help:"name of the opening key in the policy"`
	Policy     string `toml:"policy" help:"file with the pinned, signed policy"`
	OpeningKey string `toml:"opening_key" help:"file with the opening key"`
	LogKey     string `toml:"log_key" help:"file with the log's checkpoint key"`
	State      string `toml:"state" help:"state directory, for the private database and bus of a single box"`
	Listen     string `toml:"listen" help:"address for metrics and health"`
	Log        struct {
		Format string `toml:"format" help:"text or json"`
		Level  string `toml:"level" help:"debug, info, warn or error"`
	} `toml:"log"`
	Database struct {
		DSN   string `toml:"dsn" secret:"true"`
		Owner string `toml:"owner" secret:"true"`
	} `toml:"database"`
	NATS struct {
		URL      string          `toml:"url" help:"address of the message bus; empty starts one"`
		Seed     string          `toml:"seed" help:"file with the nkey seed"`
		CA       string          `toml:"ca" help:"file with the certificate authority of the bus"`
		Replicas int             `toml:"replicas" help:"servers that keep each message: 1, or 3 in a cluster"`
		MaxAge   config.Duration `toml:"max_age" help:"how long tasks, votes and receipts are kept on the bus"`
		Listen   string          `toml:"listen" help:"address of the bus that is started here"`
	} `toml:"nats"`
}

func defaults() settings {
	var s settings
	s.Log.Format, s.Log.Level = "text", "info"
	s.NATS.Replicas, s.NATS.MaxAge = 1, config.Duration(bus.DefaultMaxAge)
	s.NATS.Listen = "127.0.0.1:4222"
	return s
}

func newCommand(environ []string) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:           "reprosign-coordinator",
		Short:         "Open releases, take votes, keep the evidence log",
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
		return serve(cmd.Context(), s)
	}
	return cmd
}

func serve(ctx context.Context, s settings) error {
	log, err := observe.NewLogger(os.Stderr, s.Log.Format, s.Log.Level)
	if err != nil {
		return err
	}
	trust, err := config.LoadPolicy(s.Policy)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	var link atomic.Pointer[bus.Conn]
	connected := observe.Check{Name: "nats", Run: func(context.Context) error {
		if conn := link.Load(); conn == nil || !conn.Connected() {
			return errors.New("not connected")
		}
		return nil
	}}
	var writer atomic.Pointer[store.Writer]
	database := observe.Check{Name: "database", Run: func(ctx context.Context) error {
		w := writer.Load()
		if w == nil {
			return errors.New("not open")
		}
		_, err := w.Now(ctx)
		return err
	}}
	return observe.Run(ctx, observe.Options{
		Listen: s.Listen, Registry: registry, Ready: []observe.Check{database, connected}, Logger: log,
	}, func(ctx context.Context, ready func()) error {
		box, err := openDatabase(ctx, s, log)
		if err != nil {
			return err
		}
		defer box.close(log)
		w, err := store.OpenWriter(ctx, box.dsn, log)
		if err != nil {
			return err
		}
		defer w.Close()
		writer.Store(w)
		if err := extend(ctx, trust, w); err != nil {
			return err
		}
		if err := box.openBus(ctx, s, trust.Newest(), log); err != nil {
			return err
		}
		conn, err := bus.Connect(ctx, bus.Config{
			URL: box.natsURL, CAFile: s.NATS.CA, SeedFile: s.NATS.Seed, Logger: log,
			Identity: bus.Identity{Role: bus.RoleCoordinator, Name: s.Name},
		})
		if err != nil {
			return err
		}
		defer conn.Close()
		link.Store(conn)
		return work(ctx, s, trust, box, w, conn, registry, log, ready)
	})
}

// extend adds the policies that are in force since the pinned one. The bus has
// to know their parties from the start, this coordinator among them.
func extend(ctx context.Context, trust *policy.Chain, w *store.Writer) error {
	stored, err := w.Policies(ctx, trust.Newest().Serial)
	if err != nil {
		return err
	}
	for _, e := range stored {
		if err := trust.Add(e); err != nil {
			return fmt.Errorf("stored policy %s: %w", e.Digest().Short(), err)
		}
	}
	return nil
}

// work wires the domain to its adapters and runs it.
func work(ctx context.Context, s settings, trust *policy.Chain, box *single, w *store.Writer, conn *bus.Conn,
	registry *prometheus.Registry, log *slog.Logger, ready func(),
) error {
	openingKey, err := config.LoadKey(s.OpeningKey, s.Name)
	if err != nil {
		return err
	}
	logKey, err := config.LoadKey(s.LogKey, trust.Newest().Log.Origin)
	if err != nil {
		return err
	}
	if logKey.Fingerprint() != trust.Newest().Log.Key.Fingerprint() {
		return errors.New("log key is another than the policy's: its checkpoints would be refused by everybody")
	}
	seq, err := sequencer.New(w, logKey, log)
	if err != nil {
		return err
	}
	r, err := store.OpenReader(ctx, box.dsn)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := conn.EnsureStreams(ctx, bus.StreamOptions{Replicas: s.NATS.Replicas, MaxAge: time.Duration(s.NATS.MaxAge)}); err != nil {
		return err
	}
	domain, err := coordinator.New(coordinator.Config{
		Store: w, Reader: r, Bus: conn, Prover: seq, Trust: trust, Key: openingKey, Log: log, OnPolicy: box.admit,
	})
	if err != nil {
		return err
	}
	if err := domain.Prepare(ctx); err != nil {
		return err
	}
	registry.MustRegister(append(domain.Collectors(), conn.Collectors()...)...)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return box.keepPostgres(ctx, log) })
	group.Go(func() error { return seq.Run(ctx) })
	group.Go(func() error { return domain.Run(ctx) })
	group.Go(func() error { return conn.ServeAPI(ctx, domain) })
	log.InfoContext(ctx, "coordinator ready", slog.Any("coordinator", s.Name), slog.Any("policy", trust.Newest().Serial))
	ready()
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
