package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// UnpublishedEvents returns state changes that wait for publication, oldest
// first. The schema itself writes one whenever a state changes.
func (w *Writer) UnpublishedEvents(ctx context.Context, limit int) ([]coordinator.Event, error) {
	rows, err := w.pool.Query(ctx, `
		SELECT e.sequence, e.release, o.suite, e.state, e.at
		  FROM events e JOIN openings o ON o.id = e.release
		 ORDER BY e.sequence LIMIT $1`, limit)
	events, err := collect(rows, err, func(row pgx.CollectableRow) (coordinator.Event, error) {
		var e coordinator.Event
		var at time.Time
		err := row.Scan(&e.Sequence, digest{&e.Release}, &e.Suite, &e.State, &at)
		e.At = attest.At(at)
		return e, err
	})
	return events, wrap("reading unpublished events", err)
}

// EventsPublished takes the events that are out from the outbox.
func (w *Writer) EventsPublished(ctx context.Context, sequences []int64) error {
	return w.mark(ctx, "noting published events", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM events WHERE sequence = ANY($1)`, sequences)
		return err
	})
}
