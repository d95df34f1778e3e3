package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// UnloggedEquivocations returns proofs that still need their log entry. Those
// of a release under embargo wait: the statements hold its digests.
func (w *Writer) UnloggedEquivocations(ctx context.Context, limit int) ([]coordinator.Equivocation, error) {
	const doing = "reading unlogged equivocations"
	rows, err := w.pool.Query(ctx, `
		WITH unlogged AS MATERIALIZED ( -- few or none; the view over all releases must not be read first
		    SELECT x.release, x.operator, x.first, x.second, x.recorded_at FROM equivocations x
		     WHERE NOT EXISTS (SELECT FROM logged_equivocations l WHERE l.release = x.release AND l.operator = x.operator))
		SELECT u.release, u.operator, u.first, u.second FROM unlogged u
		 WHERE (SELECT e.over FROM embargoes e WHERE e.release = u.release)
		 ORDER BY u.recorded_at LIMIT $1`, limit)
	var statements []attest.Digest
	out, err := collect(rows, err, func(row pgx.CollectableRow) (coordinator.Equivocation, error) {
		var x coordinator.Equivocation
		var first, second attest.Digest
		err := row.Scan(digest{&x.Release}, &x.Operator, digest{&first}, digest{&second})
		statements = append(statements, first, second)
		return x, err
	})
	if err != nil || len(out) == 0 {
		return nil, wrap(doing, err)
	}
	envelopes, err := envelopesOf(ctx, w.pool, statements) // which never change
	if err != nil {
		return nil, wrap(doing, err)
	}
	for i := range out {
		out[i].First, out[i].Second = envelopes[2*i], envelopes[2*i+1]
	}
	return out, nil
}

// LogEquivocation stores the log entry of a proof. ErrExists if it has one.
func (w *Writer) LogEquivocation(ctx context.Context, e coordinator.Equivocation, entry coordinator.Entry) error {
	err := w.tx(ctx, "logging an equivocation", func(tx pgx.Tx) error {
		leaf, err := appendEntry(ctx, tx, entry, e.Release)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO logged_equivocations (release, operator, leaf) VALUES ($1::bytea, $2, $3)`,
			e.Release[:], e.Operator, leaf); err != nil {
			return err
		}
		return notify(ctx, tx, coordinator.TopicOutbox)
	})
	if violates(err, "logged_equivocations_pkey") {
		return coordinator.ErrExists
	}
	return err
}
