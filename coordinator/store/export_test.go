package store

import (
	"context"

	"github.com/pressly/goose/v3"
)

// Unmigrate takes every migration back and with it all that the database holds.
func Unmigrate(ctx context.Context, dsn string) error {
	return withMigrations(ctx, dsn, func(p *goose.Provider) error {
		_, err := p.DownTo(ctx, 0)
		return err
	})
}
