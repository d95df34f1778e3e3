package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

var _ coordinator.ComplaintStore = (*Writer)(nil)

// Disputed returns what a rebuilder's complaint about a release is judged by.
func (w *Writer) Disputed(ctx context.Context, release attest.Digest, rebuilder string) (*coordinator.Disputed, error) {
	what := "reading release " + release.Short() + ", which is complained about"
	var encoded [3][]byte
	if err := w.pool.QueryRow(ctx, `
		SELECT o.envelope, q.envelope, b.envelope
		  FROM openings o
		  JOIN requests q ON q.digest = o.request
		  JOIN decisions d ON d.release = o.id
		  JOIN log_bodies b ON b.digest = d.body AND b.leaf = d.leaf
		  JOIN log_entries i ON i.leaf = d.leaf
		  JOIN embargoes e ON e.release = o.id AND e.over
		 WHERE o.id = $1 AND i.index < (SELECT max(size) FROM log_checkpoints)`, release[:]).Scan(&encoded[0], &encoded[1], &encoded[2]); err != nil {
		return nil, wrap(what, err)
	}
	rows, err := w.pool.Query(ctx, `
		SELECT digest, payload, keyid, signature FROM statements WHERE release = $1 AND rebuilder = $2`, release[:], rebuilder)
	d := &coordinator.Disputed{}
	d.Statements, err = collect(rows, err, func(row pgx.CollectableRow) (*attest.Envelope, error) {
		return scanStatement(row, new(attest.Digest))
	})
	if err != nil {
		return nil, wrap(what, err)
	}
	for i, to := range []**attest.Envelope{&d.Opening, &d.Request, &d.Decision} {
		if *to, err = attest.ParseEnvelope(encoded[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	}
	return d, nil
}

// Complain stores a justified complaint with its log entry. About one statement
// there is one: if it is there, nothing is stored and its digest returned.
func (w *Writer) Complain(ctx context.Context, c coordinator.Complaint, entry coordinator.Entry) (stored attest.Digest, created bool, err error) {
	what := "storing a complaint about release " + c.Release.Short()
	err = w.tx(ctx, what, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM complaints WHERE decision = $1 AND statement = $2)`,
			c.Decision[:], c.Statement[:]).Scan(&there); err != nil {
			return err
		}
		if created = !there; there {
			return nil
		}
		leaf, err := appendEntry(ctx, tx, entry, attest.Digest{})
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO complaints (decision, statement, digest, receipt, rebuilder, vote, leaf)
			VALUES ($1::bytea, $2::bytea, $3::bytea, $4::bytea, $5, $6, $7)`,
			c.Decision[:], c.Statement[:], c.Digest[:], c.Receipt[:], c.Rebuilder, c.Vote, leaf); err != nil {
			return err
		}
		return notify(ctx, tx, coordinator.TopicOutbox)
	})
	if violates(err, "complaints_pkey") { // another replica was first
		created, err = false, nil
	}
	if err != nil {
		return attest.Digest{}, false, err
	}
	err = w.pool.QueryRow(ctx, `SELECT digest FROM complaints WHERE decision = $1 AND statement = $2`, c.Decision[:], c.Statement[:]).
		Scan(digest{&stored})
	return stored, created, wrap(what, err)
}

// Complaints returns the complaints about a release that the log shows, in the
// log's order.
func (r *Reader) Complaints(ctx context.Context, release attest.Digest) ([]coordinator.ComplaintView, error) {
	rows, err := r.pool.Query(ctx, `
		SELECT rebuilder, COALESCE(operator, ''), vote, digest, receipt, statement, log_index, stored_at
		  FROM complaints WHERE release = $1 ORDER BY log_index`, release[:])
	all, err := collect(rows, err, func(row pgx.CollectableRow) (coordinator.ComplaintView, error) {
		var c coordinator.ComplaintView
		var at time.Time
		err := row.Scan(&c.Rebuilder, &c.Operator, &c.Vote, digest{&c.Complaint}, digest{&c.Receipt}, digest{&c.Statement}, &c.LogIndex, &at)
		c.At = attest.At(at)
		return c, err
	})
	return all, wrap("reading the complaints about release "+release.Short(), err)
}
