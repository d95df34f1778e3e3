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

// AdmitReader makes a login that may read the public views and nothing else,
// unless it exists. It is for the private database of a single box, whose
// socket admits its owner alone; on a shared cluster deploy/postgresql does it.
func AdmitReader(ctx context.Context, dsn, login string) error {
	const what = "making the login of the public face"
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return fmt.Errorf("reading the database connection settings: %w", err)
	}
	config.ConnectTimeout = connectTimeout
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return wrap(what, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to lose
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, login).Scan(&exists); err != nil || exists {
		return wrap(what, err)
	}
	_, err = conn.Exec(ctx, `CREATE ROLE `+pgx.Identifier{login}.Sanitize()+` LOGIN IN ROLE `+readerRole)
	return wrap(what, err)
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
