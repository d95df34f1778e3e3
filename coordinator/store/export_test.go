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

// Remembered counts the releases whose terms a writer remembers, and the electorates
// that it holds for them.
func (w *Writer) Remembered() (releases, electorates int) {
	distinct := map[*electorate]bool{}
	for _, t := range w.terms.of {
		distinct[t.electorate] = true
	}
	return len(w.terms.of), len(distinct)
}
