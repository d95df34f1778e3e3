package store

import (
	"context"

	"github.com/pressly/goose/v3"
)

// Unmigrate takes every migration after a version back; after 0, and with them all
// that the database holds.
func Unmigrate(ctx context.Context, dsn string, version int64) error {
	return withMigrations(ctx, dsn, func(p *goose.Provider) error {
		_, err := p.DownTo(ctx, version)
		return err
	})
}
