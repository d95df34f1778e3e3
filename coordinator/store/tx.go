package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// txTries bounds how often a transaction that lost against another is repeated at once.
const txTries = 4

// asOf is the time by which queues are searched for what has fallen due: when the
// transaction began. clock_timestamp() passes while a statement runs, so that no index
// scan ends at it: all that waits would be read, to find that it is not due. What
// fell due since the transaction began is found by the next round.
const asOf = `now()`

// tx runs do in one transaction, repeating it when it lost against another one.
// do must not keep anything of an earlier try.
func (w *Writer) tx(ctx context.Context, what string, do func(pgx.Tx) error) error {
	return w.begin(ctx, what, pgx.TxOptions{}, do)
}

// mark is tx for what can be worked out again after a crash of the database:
// leases, verdicts that are not decisions, notes of what was published. It does
// not wait for the disk. Whatever is stored on the strength of it waits, and
// takes these earlier commits to the disk with it.
func (w *Writer) mark(ctx context.Context, what string, do func(pgx.Tx) error) error {
	return w.begin(ctx, what, pgx.TxOptions{BeginQuery: "BEGIN; SET LOCAL synchronous_commit TO off"}, do)
}

func (w *Writer) begin(ctx context.Context, what string, o pgx.TxOptions, do func(pgx.Tx) error) error {
	var err error
	for range txTries {
		if err = pgx.BeginTxFunc(ctx, w.pool, o, do); !again(err) {
			break
		}
	}
	return wrap(what, err)
}

// wrap says what was going on when err happened, and classes it.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, classify(err))
}

// notify announces topics when the transaction commits.
func notify(ctx context.Context, tx pgx.Tx, topics ...coordinator.Topic) error {
	for _, t := range topics {
		if _, err := tx.Exec(ctx, `SELECT pg_notify($1, $2)`, channel, string(t)); err != nil {
			return err
		}
	}
	return nil
}

// exec queues a statement whose result nobody needs.
func exec(b *pgx.Batch, sql string, args ...any) { b.Queue(sql, args...) }

// send runs a batch and returns its first error.
func send(ctx context.Context, tx pgx.Tx, b *pgx.Batch) error { return tx.SendBatch(ctx, b).Close() }

// digest scans a bytea column into an attest.Digest; null becomes zero.
type digest struct{ to *attest.Digest }

// ScanBytes implements pgtype.BytesScanner.
func (d digest) ScanBytes(b []byte) error {
	switch len(b) {
	case 0:
		*d.to = attest.Digest{}
	case len(d.to):
		copy(d.to[:], b)
	default:
		return fmt.Errorf("digest of %d bytes in the database", len(b))
	}
	return nil
}

// nullable returns the bytes of a digest, or null for zero.
func nullable(d attest.Digest) []byte {
	if d.IsZero() {
		return nil
	}
	return d[:]
}

// column returns the bytes of digests, as a bytea[] parameter.
func column(digests []attest.Digest) [][]byte {
	out := make([][]byte, len(digests))
	for i := range digests {
		out[i] = digests[i][:]
	}
	return out
}

// collect reads rows into a slice.
func collect[T any](rows pgx.Rows, err error, scan func(pgx.CollectableRow) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}
