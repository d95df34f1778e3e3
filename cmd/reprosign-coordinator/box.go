package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"time"

	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/durable"
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
	options  bus.ServerOptions // of nats
	log      *slog.Logger      // of nats
}

// openDatabase returns where the database is, and starts a private one if the
// settings name none: that one's schema it brings up to date, and leaves the
// dashboard's connection setting in the state directory, as dashboard.dsn.
func openDatabase(ctx context.Context, s settings, log *slog.Logger) (*single, error) {
	b := &single{dsn: s.Database.DSN, natsURL: s.NATS.URL}
	if (b.dsn == "" || b.natsURL == "") && s.State == "" {
		return nil, errors.New("settings name no state directory, which the private database or bus needs; set state, or database.dsn and nats.url")
	}
	if b.dsn != "" {
		return b, nil
	}
	if err := b.startPostgres(ctx, s.State, log); err != nil {
		return nil, err
	}
	err := migrate(ctx, b.dsn, log)
	if err == nil {
		err = b.admitDashboard(ctx, s.State)
	}
	if err != nil {
		b.close(log)
		return nil, err
	}
	return b, nil
}

// dashboardLogin is the dashboard's login in a private database. It may read
// the public views and nothing else, whatever role it asks for.
const dashboardLogin = "reprosign_dashboard_login"

func (b *single) admitDashboard(ctx context.Context, state string) error {
	if err := store.AdmitReader(ctx, b.dsn, dashboardLogin); err != nil {
		return err
	}
	return writeSetting(state, "dashboard.dsn", b.postgres.DSN(databaseName, dashboardLogin))
}

// keepPostgres starts the private database again when it ends by itself: the
// kernel may kill any process, and nobody should have to come for that.
func (b *single) keepPostgres(ctx context.Context, log *slog.Logger) error {
	if b.postgres == nil {
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.postgres.Exited():
		}
		select {
		case <-ctx.Done():
			return nil
		default:
		}
		log.ErrorContext(ctx, "private database ended by itself, starting it again")
		if err := b.postgres.Restart(ctx); err != nil {
			// Its own children may need a moment to see that it is gone.
			log.WarnContext(ctx, "private database does not start, trying again", slog.Any("reason", err), slog.Any("pause", databasePause))
			select {
			case <-ctx.Done():
			case <-time.After(databasePause):
			}
		}
	}
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

// openBus starts a NATS server for the parties of a policy if the settings
// name none. Its address is then in the state directory, as nats.url.
func (b *single) openBus(ctx context.Context, s settings, p *policy.Version, log *slog.Logger) error {
	if b.natsURL != "" {
		return nil
	}
	b.log = log
	b.options = bus.ServerOptions{Listen: s.NATS.Listen, StoreDir: filepath.Join(s.State, "nats")}
	text, err := bus.ServerConfig(&p.Policy, b.options)
	if err != nil {
		return err
	}
	b.nats, err = box.StartNATS(ctx, text, box.NATSOptions{Dir: b.options.StoreDir, Logger: log})
	if err != nil {
		return err
	}
	b.natsURL = b.nats.ClientURL()
	return writeSetting(s.State, "nats.url", b.natsURL)
}

// admit lets the parties of a newer policy onto the bus that was started here,
// and nobody else. The server is started anew, which its clients bear well: a
// reload compares accounts while their clients change them (nats-server 2.15.2).
func (b *single) admit(ctx context.Context, p *policy.Version) error {
	if b.nats == nil {
		return nil // its operator runs reprosign nats-config
	}
	text, err := bus.ServerConfig(&p.Policy, b.options)
	if err != nil {
		return err
	}
	address, err := url.Parse(b.natsURL) // the port may have been chosen at the first start
	if err != nil {
		return fmt.Errorf("address of the bus: %w", err)
	}
	b.nats.Shutdown()
	nats, err := box.StartNATS(ctx, text, box.NATSOptions{Dir: b.options.StoreDir, Listen: address.Host, Logger: b.log})
	if err != nil {
		return err
	}
	b.nats = nats
	return nil
}

// writeSetting writes a connection setting for the other processes of the box,
// complete or not at all.
func writeSetting(state, name, value string) error {
	if err := durable.Replace(filepath.Join(state, name), []byte(value+"\n"), 0o600); err != nil {
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
			log.Error("stopping the private database failed", slog.Any("reason", err))
		}
	}
}
