// Package migrations holds the database's schema as goose migrations, embedded
// so that the binary that needs a schema brings it. Every migration says why it
// is as it is; package store runs them (store.Migrate).
//
// What people rely on is enforced in the database itself: signed statements are
// in append-only tables, states move only along the allowed edges, a withdrawn
// release takes no decision and no signature, a decided file name keeps its
// content, and the public face reads views that cannot show what is embargoed.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// Files holds the migrations, named <version>_<what>.sql.
//
//go:embed *.sql
var Files embed.FS

// Newest returns the version of the schema after all migrations.
func Newest() (int64, error) {
	names, err := fs.Glob(Files, "*.sql")
	if err != nil {
		return 0, fmt.Errorf("listing the migrations: %w", err)
	}
	var newest int64
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return 0, fmt.Errorf("listing the migrations: %w", err)
		}
		newest = max(newest, version)
	}
	return newest, nil
}
