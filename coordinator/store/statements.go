package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// Reject stores rejections, and as dead letters the messages that nobody
// awaits an answer to. Repeating one changes nothing.
func (w *Writer) Reject(ctx context.Context, rejected []coordinator.Rejected) error {
	return w.tx(ctx, "storing rejections", func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		for _, r := range rejected {
			if r.Envelope == nil {
				exec(b, `
					INSERT INTO dead_letters (digest, subject, code, reason, size)
					VALUES ($1::bytea, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
					r.Statement[:], r.Subject, string(r.Code), r.Reason, r.Size)
				continue
			}
			encoded, err := r.Envelope.Encode()
			if err != nil {
				return err
			}
			exec(b, `
				INSERT INTO rejections (rebuilder, statement, code, reason, envelope)
				VALUES ($1, $2::bytea, $3, $4, $5) ON CONFLICT DO NOTHING`,
				r.Rebuilder, r.Statement[:], string(r.Code), r.Reason, encoded)
		}
		return send(ctx, tx, b)
	})
}

// Statements tells what became of a rebuilder's statements. One that was
// rejected first and accepted when it came again is in both answers.
func (w *Writer) Statements(ctx context.Context, rebuilder string, digests []attest.Digest) (map[attest.Digest]coordinator.Disposition, []*attest.Envelope, error) {
	const doing = "reading what became of statements"
	rows, err := w.pool.Query(ctx, `SELECT digest, disposition FROM statements WHERE digest = ANY($1) AND rebuilder = $2`, column(digests), rebuilder)
	if err != nil {
		return nil, nil, wrap(doing, err)
	}
	stored := map[attest.Digest]coordinator.Disposition{}
	var d attest.Digest
	var disposition coordinator.Disposition
	if _, err := pgx.ForEachRow(rows, []any{digest{&d}, &disposition}, func() error {
		stored[d] = disposition
		return nil
	}); err != nil {
		return nil, nil, wrap(doing, err)
	}
	rows, err = w.pool.Query(ctx, `SELECT envelope FROM rejections WHERE rebuilder = $1 AND statement = ANY($2)`, rebuilder, column(digests))
	rejections, err := collect(rows, err, scanEnvelope)
	return stored, rejections, wrap(doing, err)
}
