package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reprosign/reprosign/migrations"
)

// ErrSchemaOld reports a database that its owner has not brought up to date.
var ErrSchemaOld = errors.New("schema of the database is too old")

// SQLSTATE codes of a schema that is not there, or from before it could be asked.
const (
	codeUndefinedTable = "42P01"
	codeDenied         = "42501"
)

// CheckSchema reports by ErrSchemaOld that the database's schema is older than
// this program needs, and what to do. One that is newer is no error: replicas
// are replaced one after another.
func (w *Writer) CheckSchema(ctx context.Context) error {
	needed, err := migrations.Newest()
	if err != nil {
		return err
	}
	found := "of an unknown version"
	var version int64
	err = w.pool.QueryRow(ctx, `SELECT max(version_id) FROM `+versionTable+` WHERE is_applied`).Scan(&version)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == codeUndefinedTable {
		found = "empty"
	} else if ok && refused.Code == codeDenied {
		// Made before there was a grant to read its version.
	} else if err != nil {
		return wrap("reading the version of the database's schema", err)
	} else if version >= needed {
		return nil
	} else {
		found = fmt.Sprintf("at version %d", version)
	}
	return fmt.Errorf("%w: it is %s, this program needs version %d; the owner of the schema runs `reprosign-coordinator migrate --owner FILE`", ErrSchemaOld, found, needed)
}
