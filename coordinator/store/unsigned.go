package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// Bounds of what one transaction looks through for decisions without evidence.
const (
	unsignedScan        = 10_000 // log entries
	unsignedCheckpoints = 1_000
)

// ClaimUnsigned leases decisions that have been in the published log for a time,
// and have no evidence, the longest waiting first.
func (w *Writer) ClaimUnsigned(ctx context.Context, after time.Duration, limit int, lease time.Duration) ([]coordinator.Unsigned, error) {
	for more := true; more; {
		var err error
		if more, err = w.findUnsigned(ctx, after); err != nil {
			return nil, err
		}
	}
	var claimed []coordinator.Unsigned
	err := w.mark(ctx, "leasing decisions without evidence", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			UPDATE evidence_wanted w SET claimable_at = clock_timestamp() + $2
			  FROM (SELECT release FROM evidence_wanted WHERE claimable_at <= `+asOf+`
			         ORDER BY claimable_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED) u
			  JOIN decisions d ON d.release = u.release
			  JOIN log_bodies b ON b.digest = d.body AND b.leaf = d.leaf
			  JOIN log_entries i ON i.leaf = d.leaf
			  JOIN openings o ON o.id = u.release
			  JOIN requests q ON q.digest = o.request
			  JOIN artifact_sets l ON l.digest = d.set_digest
			 WHERE w.release = u.release
			RETURNING w.release, i.index, o.envelope, q.envelope, b.envelope, l.list`, limit, lease)
		claimed, err = collect(rows, err, scanUnsigned)
		return err
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// findUnsigned moves the mark to the end of what has been published for long
// enough, and notes the decisions it passes that have no evidence. It reports
// whether there may be more; if another replica is at it, there is not.
func (w *Writer) findUnsigned(ctx context.Context, after time.Duration) (more bool, err error) {
	const what = "looking through the log for decisions without evidence"
	var from, ripe int64
	if err := w.pool.QueryRow(ctx, `
		SELECT p.next, COALESCE((SELECT max(c.size) FILTER (WHERE c.stored_at <= clock_timestamp() - $1::interval)
		                           FROM (SELECT size, stored_at FROM log_checkpoints WHERE size > p.next ORDER BY size LIMIT $2) c), 0)
		  FROM evidence_progress p WHERE p.id = 1`, after, unsignedCheckpoints).Scan(&from, &ripe); err != nil || ripe <= from {
		return false, wrap(what, err)
	}
	to := min(from+unsignedScan, ripe)
	err = w.mark(ctx, what, func(tx pgx.Tx) error {
		more = false
		err := tx.QueryRow(ctx, `SELECT FROM evidence_progress WHERE id = 1 AND next = $1 FOR UPDATE SKIP LOCKED`, from).Scan()
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		more = true
		b := &pgx.Batch{}
		exec(b, `
			INSERT INTO evidence_wanted (release)
			SELECT d.release FROM log_entries i JOIN decisions d ON d.leaf = i.leaf
			 WHERE i.index >= $1 AND i.index < $2
			   AND NOT EXISTS (SELECT FROM evidence_bundles b WHERE b.release = d.release OFFSET 0)
			 ORDER BY i.index
			ON CONFLICT DO NOTHING`, from, to)
		exec(b, `UPDATE evidence_progress SET next = $1 WHERE id = 1`, to)
		return send(ctx, tx, b)
	})
	return more && err == nil, err
}

func scanUnsigned(row pgx.CollectableRow) (coordinator.Unsigned, error) {
	var u coordinator.Unsigned
	var opening, request, decision, list []byte
	if err := row.Scan(digest{&u.Release}, &u.LogIndex, &opening, &request, &decision, &list); err != nil {
		return u, err
	}
	var err error
	for _, e := range []struct {
		to      **attest.Envelope
		encoded []byte
	}{{&u.Opening, opening}, {&u.Request, request}, {&u.Decision, decision}} {
		if *e.to, err = attest.ParseEnvelope(e.encoded); err != nil {
			return u, fmt.Errorf("release %s: %w", u.Release, err)
		}
	}
	if u.Artifacts, err = attest.ParseArtifacts(list); err != nil {
		return u, fmt.Errorf("release %s: %w", u.Release, err)
	}
	return u, nil
}

// StoreUnsigned stores the evidence of a decision that nothing was signed on.
// Evidence that is there stays: it holds signatures, or is the same.
func (w *Writer) StoreUnsigned(ctx context.Context, release attest.Digest, bundle []byte) error {
	return w.tx(ctx, "storing the evidence of release "+release.Short(), func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		exec(b, `INSERT INTO evidence_bundles (release, bundle) VALUES ($1::bytea, $2) ON CONFLICT DO NOTHING`, release[:], bundle)
		exec(b, `DELETE FROM evidence_wanted WHERE release = $1`, release[:])
		return send(ctx, tx, b)
	})
}
