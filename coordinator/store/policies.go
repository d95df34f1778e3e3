package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// AddPolicy stores a verified policy and its log entry. Every release that is
// still open under another policy falls due, since it can only expire now.
func (w *Writer) AddPolicy(ctx context.Context, serial uint64, digest attest.Digest, e *attest.Envelope, entry coordinator.Entry) error {
	encoded, err := e.Encode()
	if err != nil {
		return err
	}
	return w.tx(ctx, fmt.Sprintf("storing policy %d", serial), func(tx pgx.Tx) error {
		// Two policies must not both find themselves the newest.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('policies', 0))`); err != nil {
			return err
		}
		var known bool
		var newest uint64
		if err := tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM policies WHERE digest = $1), COALESCE((SELECT max(serial) FROM policies), 0)`,
			digest[:]).Scan(&known, &newest); err != nil {
			return err
		}
		if known {
			return coordinator.ErrExists
		}
		if serial <= newest {
			return fmt.Errorf("policy %d is stored already: %w", newest, coordinator.ErrTooLate)
		}
		leaf, err := appendEntry(ctx, tx, entry, attest.Digest{})
		if err != nil {
			return err
		}
		b := &pgx.Batch{}
		exec(b, `INSERT INTO policies (serial, digest, envelope, leaf) VALUES ($1, $2::bytea, $3, $4)`, serial, digest[:], encoded, leaf)
		exec(b, `SELECT FROM releases WHERE state IN ('building', 'held') AND closed_at IS NULL ORDER BY id FOR NO KEY UPDATE`)
		exec(b, `UPDATE releases SET due_at = now() WHERE state IN ('building', 'held') AND closed_at IS NULL`)
		if err := send(ctx, tx, b); err != nil {
			return err
		}
		return notify(ctx, tx, coordinator.TopicPolicy, coordinator.TopicOutbox, coordinator.TopicEvaluate)
	})
}

// Policies returns the policies with a serial above after, oldest first.
func (w *Writer) Policies(ctx context.Context, after uint64) ([]*attest.Envelope, error) {
	rows, err := w.pool.Query(ctx, `SELECT envelope FROM policies WHERE serial > $1 ORDER BY serial`, after)
	policies, err := collect(rows, err, scanEnvelope)
	return policies, wrap("reading policies", err)
}

// scanEnvelope reads an envelope kept in its canonical JSON.
func scanEnvelope(row pgx.CollectableRow) (*attest.Envelope, error) {
	var encoded []byte
	if err := row.Scan(&encoded); err != nil {
		return nil, err
	}
	return attest.ParseEnvelope(encoded)
}
