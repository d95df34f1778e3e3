// Package migrations holds the database's schema as goose migrations, embedded
// so that the binary that needs a schema brings it. Every migration says why it
// is as it is; package store runs them (store.Migrate).
//
// What people rely on is enforced in the database itself: signed statements are
// in append-only tables, states move only along the allowed edges, a withdrawn
// release takes no decision and no signature, a decided file name keeps its
// content, and the public face reads views that cannot show what is embargoed.
package migrations

import "embed"

// Files holds the migrations, named <version>_<what>.sql.
//
//go:embed *.sql
var Files embed.FS
