package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/reprosign/reprosign/migrations"
)

// versionTable is goose's record of the migrations done, in our schema.
const versionTable = "schema_version"

// Migrate brings the database's schema to the version of this program. It
// connects as the schema's owner, which on a shared cluster is not the
// coordinator's login. Replicas that start together take turns; a database
// that is up to date is not changed.
func Migrate(ctx context.Context, dsn string) error {
	return withMigrations(ctx, dsn, func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return err
	})
}

// Unmigrate takes every migration back and with it all that the database
// holds. It is for tests of the migrations.
func Unmigrate(ctx context.Context, dsn string) error {
	return withMigrations(ctx, dsn, func(p *goose.Provider) error {
		_, err := p.DownTo(ctx, 0)
		return err
	})
}

func withMigrations(ctx context.Context, dsn string, run func(*goose.Provider) error) (err error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return fmt.Errorf("reading the database connection settings: %w", err)
	}
	config.RuntimeParams["search_path"] = schema + ", pg_temp"
	config.RuntimeParams["application_name"] = "reprosign-migrate"
	config.ConnectTimeout = connectTimeout
	db := stdlib.OpenDB(*config)
	defer func() {
		if closing := db.Close(); err == nil {
			err = closing
		}
	}()
	// Two replicas may both find it missing; the second then only waited in vain.
	_, err = db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+schema)
	if err != nil && !violates(err, "pg_namespace_nspname_index") {
		return wrap("migrating the database: creating its schema", err)
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations.Files,
		goose.WithSessionLocker(locker), goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	return wrap("migrating the database", run(provider))
}
