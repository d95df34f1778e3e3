package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// afterDeadline is when the deadline's verdict is due: times in statements
// have whole seconds, and the deadline itself is still in time.
const afterDeadline = time.Second

// Open stores a release, its tasks and its log entry. Opening the same release
// again changes nothing.
func (w *Writer) Open(ctx context.Context, r coordinator.NewRelease) error {
	encoded, err := r.Envelope.Encode()
	if err != nil {
		return err
	}
	o := r.Opening
	rebuilders, operators := make([]string, len(r.Invited)), make([]string, len(r.Invited))
	for i, v := range r.Invited {
		rebuilders[i], operators[i] = v.Rebuilder, v.Operator
	}
	return w.tx(ctx, "opening release "+r.ID.Short(), func(tx pgx.Tx) error {
		var attempts int
		var withdrawn, stored bool
		if err := tx.QueryRow(ctx, `
			SELECT attempts, withdrawn, EXISTS (SELECT FROM openings WHERE id = $2)
			  FROM request_progress WHERE request = $1 FOR UPDATE`, o.Request[:], r.ID[:]).Scan(&attempts, &withdrawn, &stored); err != nil {
			return err
		}
		switch {
		case stored:
			return nil
		case withdrawn:
			return coordinator.ErrTooLate
		case o.Attempt <= attempts:
			return coordinator.ErrExists
		case o.Attempt != attempts+1:
			return fmt.Errorf("attempt %d after %d attempts", o.Attempt, attempts)
		}
		leaf, err := appendEntry(ctx, tx, r.Entry, attest.Digest{})
		if err != nil {
			return err
		}
		opened := o.Opened.Time()
		settles, due := opened.Add(r.Settle), o.Deadline.Time().Add(afterDeadline)
		if r.Settle > 0 && settles.Before(due) {
			due = settles // whoever agrees until then need not move it
		}
		b := &pgx.Batch{}
		exec(b, `
			INSERT INTO openings (id, request, attempt, suite, policy, policy_serial, envelope, leaf, rebuilders, operators,
			                      operator_count, threshold, max_dissent, retries, opened_at, settles_at, deadline)
			VALUES ($1::bytea, $2::bytea, $3, $4, $5::bytea, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
			r.ID[:], o.Request[:], o.Attempt, r.Suite, o.Policy[:], o.PolicySerial, encoded, leaf, rebuilders, operators,
			r.Operators, r.Threshold, r.MaxDissent, r.Retries, opened, settles, o.Deadline.Time())
		exec(b, `INSERT INTO releases (id, due_at) VALUES ($1::bytea, $2)`, r.ID[:], due)
		exec(b, `UPDATE request_progress SET attempts = $2, wanted = false WHERE request = $1`, o.Request[:], o.Attempt)
		if err := send(ctx, tx, b); err != nil {
			return err
		}
		return notify(ctx, tx, coordinator.TopicTasks, coordinator.TopicOutbox)
	})
}

const selectRelease = `
	SELECT o.id, o.request, o.attempt, r.state, r.reason, o.envelope, q.envelope, o.opened_at, o.deadline, r.closed_at IS NOT NULL
	  FROM openings o JOIN releases r ON r.id = o.id JOIN requests q ON q.digest = o.request `

func scanRelease(row pgx.CollectableRow) (*coordinator.Release, error) {
	var r coordinator.Release
	var opening, request []byte
	var opened, deadline time.Time
	if err := row.Scan(digest{&r.ID}, digest{&r.Request}, &r.Attempt, &r.State, &r.Reason,
		&opening, &request, &opened, &deadline, &r.Closed); err != nil {
		return nil, err
	}
	r.Opened, r.Deadline = attest.At(opened), attest.At(deadline)
	var err error
	if r.Opening, err = attest.ParseEnvelope(opening); err != nil {
		return nil, err
	}
	r.Body, err = attest.ParseEnvelope(request)
	return &r, err
}

func newestOf(ctx context.Context, q querier, request attest.Digest) (*coordinator.Release, error) {
	rows, err := q.Query(ctx, selectRelease+`WHERE o.request = $1 ORDER BY o.attempt DESC LIMIT 1`, request[:])
	if err != nil {
		return nil, err
	}
	return pgx.CollectExactlyOneRow(rows, scanRelease)
}

// Release returns a release by id.
func (w *Writer) Release(ctx context.Context, id attest.Digest) (*coordinator.Release, error) {
	rows, err := w.pool.Query(ctx, selectRelease+`WHERE o.id = $1`, id[:])
	if err != nil {
		return nil, wrap("reading release", err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, scanRelease)
	return r, wrap("reading release "+id.Short(), err)
}

// UnpublishedTasks returns releases whose tasks have to be published, oldest
// first. Releases that ended before are left out.
func (w *Writer) UnpublishedTasks(ctx context.Context, limit int) ([]*coordinator.Release, error) {
	rows, err := w.pool.Query(ctx, selectRelease+`
		WHERE r.announced_at IS NULL AND r.state IN ('building', 'held') ORDER BY o.opened_at, o.id LIMIT $1`, limit)
	releases, err := collect(rows, err, scanRelease)
	return releases, wrap("reading unpublished tasks", err)
}

// TasksPublished notes that the tasks of releases are published.
func (w *Writer) TasksPublished(ctx context.Context, releases []attest.Digest) error {
	return w.mark(ctx, "noting published tasks", func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		exec(b, `SELECT FROM releases WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`, column(releases))
		exec(b, `UPDATE releases SET announced_at = now() WHERE id = ANY($1) AND announced_at IS NULL`, column(releases))
		return send(ctx, tx, b)
	})
}
