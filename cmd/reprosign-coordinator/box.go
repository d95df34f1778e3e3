package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box"
	"github.com/reprosign/reprosign/internal/bus"
)

// databaseName is the database of a single box.
const databaseName = "reprosign"

// single is what runs beside the coordinator when its settings name no
// database or no bus: a private PostgreSQL and a NATS server of its own.
type single struct {
	dsn      string
	natsURL  string
	postgres *box.Postgres
	nats     *box.NATS
}

// openBox returns where database and bus are, starts those that the settings do not
// name, brings the schema up to date, and writes the others' connection
// settings into the state directory: nats.url and dashboard.dsn.
func openBox(ctx context.Context, s settings, p *policy.Version, log *slog.Logger) (*single, error) {
	b := &single{dsn: s.Database.DSN, natsURL: s.NATS.URL}
	if (b.dsn == "" || b.natsURL == "") && s.State == "" {
		return nil, errors.New("settings name no state directory, which the private database or bus needs; set state, or database.dsn and nats.url")
	}
	owner := s.Database.Owner
	if b.dsn == "" {
		if err := b.startPostgres(ctx, s.State, log); err != nil {
			return nil, err
		}
		owner = b.dsn
		if err := writeSetting(s.State, "dashboard.dsn", b.dsn); err != nil {
			b.close(log)
			return nil, err
		}
	}
	if owner != "" {
		if err := migrate(ctx, owner, log); err != nil {
			b.close(log)
			return nil, err
		}
	}
	if b.natsURL == "" {
		if err := b.startNATS(ctx, s, &p.Policy, log); err != nil {
			b.close(log)
			return nil, err
		}
	}
	return b, nil
}

func (b *single) startPostgres(ctx context.Context, state string, log *slog.Logger) error {
	var err error
	b.postgres, err = box.StartPostgres(ctx, box.PostgresOptions{Dir: filepath.Join(state, "postgresql"), Durable: true, Logger: log})
	if err != nil {
		return err
	}
	if err := b.postgres.EnsureDatabase(ctx, databaseName); err != nil {
		b.close(log)
		return err
	}
	b.dsn = b.postgres.DSN(databaseName, "postgres")
	return nil
}

func (b *single) startNATS(ctx context.Context, s settings, p *policy.Policy, log *slog.Logger) error {
	text, err := bus.ServerConfig(p, bus.ServerOptions{Listen: s.NATS.Listen, StoreDir: filepath.Join(s.State, "nats")})
	if err != nil {
		return err
	}
	b.nats, err = box.StartNATS(ctx, text, box.NATSOptions{Dir: filepath.Join(s.State, "nats"), Logger: log})
	if err != nil {
		return err
	}
	b.natsURL = b.nats.ClientURL()
	return writeSetting(s.State, "nats.url", b.natsURL)
}

// migrate waits for a database that is not there yet: at boot it may be later than we are.
func migrate(ctx context.Context, owner string, log *slog.Logger) error {
	const pause = time.Second
	for {
		err := store.Migrate(ctx, owner)
		if !errors.Is(err, coordinator.ErrUnavailable) {
			return err
		}
		log.Warn("waiting for the database", "reason", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// writeSetting writes a connection setting for the other processes of the box,
// complete or not at all.
func writeSetting(state, name, value string) error {
	path := filepath.Join(state, name)
	if err := os.WriteFile(path+".new", []byte(value+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing connection settings: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing connection settings: %w", err)
	}
	return nil
}

// close stops what was started, the bus before the database.
func (b *single) close(log *slog.Logger) {
	if b.nats != nil {
		b.nats.Shutdown()
	}
	if b.postgres != nil {
		if err := b.postgres.Stop(); err != nil {
			log.Error("stopping the private database failed", "reason", err)
		}
	}
}
