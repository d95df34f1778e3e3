package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

var _ coordinator.AnchorStore = (*Writer)(nil)

// anchorScan bounds the log entries that one transaction looks through for decisions.
const anchorScan = 10_000

// ClaimAnchors leases logged decisions that have no anchor, the longest waiting first.
func (w *Writer) ClaimAnchors(ctx context.Context, limit int, lease time.Duration) ([]coordinator.Unanchored, error) {
	if err := w.findUnanchored(ctx); err != nil {
		return nil, err
	}
	var claimed []coordinator.Unanchored
	err := w.mark(ctx, "leasing decisions to anchor", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			UPDATE anchors a SET claimable_at = clock_timestamp() + $2, attempts = a.attempts + 1
			  FROM (SELECT release FROM anchors
			         WHERE bundle IS NULL AND claimable_at <= `+asOf+`
			         ORDER BY claimable_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED) u
			  JOIN decisions d ON d.release = u.release
			  JOIN log_bodies b ON b.digest = d.body AND b.leaf = d.leaf
			  JOIN log_leaves l ON l.id = d.leaf
			 WHERE a.release = u.release
			RETURNING a.release, b.envelope, l.leaf, a.attempts`, limit, lease)
		claimed, err = collect(rows, err, scanUnanchored)
		return err
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// findUnanchored moves the mark to the end of the published log and puts the
// decisions it passes into the outbox, but for those that led to nothing: they
// were withdrawn before, or too late by the witnesses' time.
func (w *Writer) findUnanchored(ctx context.Context) error {
	for more := true; more; {
		err := w.mark(ctx, "looking through the log for decisions", func(tx pgx.Tx) error {
			var from, published int64
			// The row is locked before the published size is read, by a statement
			// of its own: a replica that waited must not move the mark back.
			if err := tx.QueryRow(ctx, `SELECT next FROM anchor_progress WHERE id = 1 FOR UPDATE`).Scan(&from); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, `SELECT COALESCE(max(size), 0) FROM log_checkpoints`).Scan(&published); err != nil {
				return err
			}
			to := min(from+anchorScan, published)
			if more = to < published; to <= from {
				return nil
			}
			b := &pgx.Batch{}
			exec(b, `
				INSERT INTO anchors (release)
				SELECT d.release FROM log_entries i JOIN decisions d ON d.leaf = i.leaf JOIN releases r ON r.id = d.release
				 WHERE i.index >= $1 AND i.index < $2 AND r.logged_at IS NOT NULL ORDER BY i.index`, from, to)
			exec(b, `UPDATE anchor_progress SET next = $1 WHERE id = 1`, to)
			return send(ctx, tx, b)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func scanUnanchored(row pgx.CollectableRow) (coordinator.Unanchored, error) {
	var u coordinator.Unanchored
	var encoded []byte
	if err := row.Scan(digest{&u.Release}, &encoded, &u.Leaf, &u.Attempts); err != nil {
		return u, err
	}
	var err error
	if u.Decision, err = attest.ParseEnvelope(encoded); err != nil {
		return u, fmt.Errorf("decision on release %s: %w", u.Release, err)
	}
	return u, nil
}

// Anchored stores an anchor; of two the first stays.
func (w *Writer) Anchored(ctx context.Context, a coordinator.Anchor) error {
	what := "storing the anchor of release " + a.Release.Short()
	_, err := w.pool.Exec(ctx, `
		UPDATE anchors SET log = $2, index = $3, bundle = $4, anchored_at = now(), claimable_at = NULL, reason = ''
		 WHERE release = $1 AND bundle IS NULL`, a.Release[:], a.Log, a.Index, a.Bundle)
	return wrap(what, err)
}

// RetryAnchor ends a lease without an anchor.
func (w *Writer) RetryAnchor(ctx context.Context, release attest.Digest, reason string, pause time.Duration) error {
	_, err := w.pool.Exec(ctx, `
		UPDATE anchors SET claimable_at = clock_timestamp() + $2, reason = $3 WHERE release = $1 AND bundle IS NULL`,
		release[:], pause, attest.CleanReason(reason))
	return wrap("ending the lease of the anchor of release "+release.Short(), err)
}

// AnchorsWaiting counts the decisions in the outbox.
func (w *Writer) AnchorsWaiting(ctx context.Context) (int, error) {
	var n int
	err := w.pool.QueryRow(ctx, `SELECT count(*) FROM anchors WHERE bundle IS NULL`).Scan(&n)
	return n, wrap("counting decisions without an anchor", err)
}

// Anchor returns the anchor of a release's decision; ErrNotFound if it has none yet.
func (r *Reader) Anchor(ctx context.Context, release attest.Digest) (*coordinator.Anchor, error) {
	a := coordinator.Anchor{Release: release}
	var at time.Time
	err := r.pool.QueryRow(ctx, `SELECT log, index, bundle, anchored_at FROM anchors WHERE release = $1`, release[:]).
		Scan(&a.Log, &a.Index, &a.Bundle, &at)
	if err != nil {
		return nil, wrap("reading the anchor of release "+release.Short(), err)
	}
	a.At = attest.At(at)
	return &a, nil
}
