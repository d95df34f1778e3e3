package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/internal/program"
)

// settings are the coordinator's; deploy/config/coordinator.toml explains each.
type settings struct {
	Name       string      `toml:"name" help:"name of the opening key in the policy"`
	Policy     string      `toml:"policy" help:"file with the pinned, signed policy"`
	OpeningKey string      `toml:"opening_key" help:"file with the opening key"`
	LogKey     string      `toml:"log_key" help:"file with the log's checkpoint key"`
	NextLogKey string      `toml:"next_log_key" help:"file with the log key that the next policy names"`
	State      string      `toml:"state" help:"state directory, for the private database and bus of a single box"`
	Listen     string      `toml:"listen" help:"address for metrics and health"`
	Log        program.Log `toml:"log"`
	Database   struct {
		DSN string `toml:"dsn" secret:"true"`
	} `toml:"database"`
	NATS struct {
		program.Bus                 // without a URL one is started
		Replicas    int             `toml:"replicas" help:"servers that keep each message: 1, or 3 in a cluster"`
		MaxAge      config.Duration `toml:"max_age" help:"how long tasks, votes and receipts are kept on the bus"`
		MaxUnread   int             `toml:"max_unread" help:"votes of one rebuilder that may wait for a coordinator"`
		Listen      string          `toml:"listen" help:"address of the bus that is started here"`
	} `toml:"nats"`
	Anchor         anchorSettings    `toml:"anchor"`
	WitnessTimeout config.Duration   `toml:"witness_timeout" help:"how long a witness of the log may take"`
	Witnesses      []witnessSettings `toml:"witnesses"`
}

func defaults() settings {
	var s settings
	s.Log = program.DefaultLog
	s.NATS.Replicas, s.NATS.MaxAge, s.NATS.MaxUnread = 1, config.Duration(bus.DefaultMaxAge), bus.DefaultMaxUnread
	s.NATS.Listen = "127.0.0.1:4222"
	s.WitnessTimeout = config.Duration(sequencer.DefaultTimeout)
	return s
}

func newCommand(environ []string) *cobra.Command {
	cmd := program.Command(environ, "reprosign-coordinator", "Open releases, take votes, keep the evidence log", defaults(), serve)
	cmd.AddCommand(migrateCommand())
	return cmd
}

func serve(ctx context.Context, s settings) error {
	p, err := program.New(s.Log, s.Listen)
	if err != nil {
		return err
	}
	trust, err := config.LoadPolicy(s.Policy)
	if err != nil {
		return err
	}
	database, connect := p.Expect("database"), p.Bus(bus.RoleCoordinator, s.Name)
	return p.Run(ctx, func(ctx context.Context, ready func()) error {
		box, err := openDatabase(ctx, s, p.Log)
		if err != nil {
			return err
		}
		defer box.close(p.Log)
		w, err := store.OpenWriter(ctx, box.dsn, p.Log)
		if err != nil {
			return err
		}
		defer w.Close()
		database(w.CheckSchema)
		if err := awaitSchema(ctx, w, p.Log); err != nil {
			return err
		}
		if err := extend(ctx, trust, w); err != nil {
			return err
		}
		if err := box.openBus(ctx, s, trust.Newest(), p.Log); err != nil {
			return err
		}
		s.NATS.URL = box.natsURL
		conn, err := connect(ctx, s.NATS.Bus)
		if err != nil {
			return err
		}
		defer conn.Close()
		return work(ctx, p, s, trust, box, w, conn, ready)
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
func work(ctx context.Context, p *program.Program, s settings, trust *policy.Chain, box *single, w *store.Writer, conn *bus.Conn, ready func()) error {
	openingKey, err := config.LoadKey(s.OpeningKey, s.Name)
	if err != nil {
		return err
	}
	seq, err := openLog(ctx, s, trust, w, p.Log)
	if err != nil {
		return err
	}
	r, err := store.OpenReader(ctx, box.dsn)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := conn.EnsureStreams(ctx, bus.StreamOptions{
		Replicas: s.NATS.Replicas, MaxAge: time.Duration(s.NATS.MaxAge), MaxUnread: s.NATS.MaxUnread,
	}); err != nil {
		return err
	}
	domain, err := coordinator.New(coordinator.Config{
		Store: w, Reader: r, Bus: conn, Prover: seq, Trust: trust, Key: openingKey, Log: p.Log, OnPolicy: box.admit,
	})
	if err != nil {
		return err
	}
	if err := domain.Prepare(ctx); err != nil {
		return err
	}
	p.Measure(domain, seq)
	anchoring, err := s.Anchor.open(w, p)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return box.keepPostgres(ctx, p.Log) })
	group.Go(func() error { return seq.Run(ctx) })
	group.Go(func() error { return domain.Run(ctx) })
	group.Go(func() error { return anchoring(ctx) })
	group.Go(func() error { return conn.ServeAPI(ctx, domain) })
	group.Go(func() error { return conn.ServeLog(ctx, domain) })
	p.Log.InfoContext(ctx, "coordinator ready", slog.Any("coordinator", s.Name), slog.Any("policy", trust.Newest().Serial))
	ready()
	return group.Wait()
}
