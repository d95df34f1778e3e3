package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// Withdraw stores a withdrawal with its log entry and stops the release and
// every later attempt at its request. The same withdrawal again changes nothing.
func (w *Writer) Withdraw(ctx context.Context, d attest.Digest, withdrawal attest.Withdrawal, e *attest.Envelope, entry coordinator.Entry) error {
	encoded, err := e.Encode()
	if err != nil {
		return err
	}
	release := withdrawal.Release
	return w.tx(ctx, "withdrawing release "+release.Short(), func(tx pgx.Tx) error {
		var request attest.Digest
		var stored bool
		if err := tx.QueryRow(ctx, `
			SELECT request, EXISTS (SELECT FROM withdrawals WHERE digest = $2) FROM openings WHERE id = $1`,
			release[:], d[:]).Scan(digest{&request}, &stored); err != nil || stored {
			return err
		}
		// Releases before their request, the order in which verdicts lock them.
		if _, err := tx.Exec(ctx, `
			SELECT FROM releases WHERE id IN (SELECT id FROM openings WHERE request = $1) ORDER BY id FOR NO KEY UPDATE`, request[:]); err != nil {
			return err
		}
		// From here on no attempt can be opened that was not there to be locked.
		if _, err := tx.Exec(ctx, `
			UPDATE request_progress SET withdrawn = true, wanted = false, open = false WHERE request = $1`, request[:]); err != nil {
			return err
		}
		leaf, err := appendEntry(ctx, tx, entry, attest.Digest{})
		if err != nil {
			return err
		}
		b := &pgx.Batch{}
		exec(b, `INSERT INTO withdrawals (digest, release, reason, envelope, leaf) VALUES ($1::bytea, $2::bytea, $3, $4, $5)`,
			d[:], release[:], withdrawal.Reason, encoded, leaf)
		exec(b, `
			UPDATE releases r
			   SET state = 'withdrawn', reason = $3, ended_at = now(), due_at = NULL, claimable_at = NULL
			  FROM openings o, openings named
			 WHERE o.id = r.id AND named.id = $1 AND o.request = $2 AND r.state <> 'withdrawn'
			   AND (o.id = $1 OR (o.attempt > named.attempt AND r.state NOT IN ('conflict', 'expired')))`,
			release[:], request[:], attest.CleanReason("withdrawn: "+withdrawal.Reason))
		exec(b, `
			UPDATE signing_jobs j SET state = 'cancelled', claimable_at = NULL, finished_at = now()
			  FROM releases r JOIN openings o ON o.id = r.id
			 WHERE j.release = r.id AND o.request = $1 AND r.state = 'withdrawn' AND j.state = 'open'`, request[:])
		exec(b, `
			UPDATE names SET held = false
			 WHERE held AND NOT bound AND release IN (SELECT r.id FROM releases r JOIN openings o ON o.id = r.id
			                                          WHERE o.request = $1 AND r.state = 'withdrawn')`, request[:])
		if err := send(ctx, tx, b); err != nil {
			return err
		}
		return notify(ctx, tx, coordinator.TopicOutbox, coordinator.TopicSign)
	})
}
