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

// Submit stores a request, or finds what came of it before. quota bounds how
// many requests of one publisher are open; repeating a known one costs nothing.
// It does not wait for the disk, so that one publisher's requests wait for each
// other only a moment: the opening that follows takes it to the disk, and before
// that nobody was told anything.
func (w *Writer) Submit(ctx context.Context, s coordinator.Submission, quota int) (newest *coordinator.Release, created bool, err error) {
	encoded, err := s.Envelope.Encode()
	if err != nil {
		return nil, false, err
	}
	err = w.mark(ctx, "storing release request", func(tx pgx.Tx) error {
		newest, created = nil, false
		// Serialises one publisher's submissions, so that the quota is exact.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "quota of "+s.Request.Publisher); err != nil {
			return err
		}
		release, err := newestOf(ctx, tx, s.Digest)
		if err == nil {
			newest = release
			return nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		var open, known, wanted bool
		if err := tx.QueryRow(ctx, `
			SELECT count(*) < $2, EXISTS (SELECT FROM requests WHERE digest = $3),
			       EXISTS (SELECT FROM request_progress WHERE request = $3 AND wanted)
			  FROM (SELECT FROM request_progress WHERE publisher = $1 AND open LIMIT $2) AS counted`,
			s.Request.Publisher, quota, s.Digest[:]).Scan(&open, &known, &wanted); err != nil {
			return err
		}
		if wanted {
			return nil
		}
		if !open {
			return coordinator.ErrQuota
		}
		if known { // given up before it was ever opened
			_, err := tx.Exec(ctx, `
				UPDATE request_progress SET wanted = true, open = true, reason = '' WHERE request = $1 AND NOT withdrawn`, s.Digest[:])
			return errors.Join(err, notify(ctx, tx, coordinator.TopicRetry))
		}
		created = true
		return insertRequest(ctx, tx, s, encoded)
	})
	if err != nil {
		return nil, false, err
	}
	return newest, created, nil
}

func insertRequest(ctx context.Context, tx pgx.Tx, s coordinator.Submission, encoded []byte) error {
	b := &pgx.Batch{}
	r := s.Request
	exec(b, `
		INSERT INTO requests (digest, envelope, publisher, suite, source, version, architecture, claimed, claim_public)
		VALUES ($1::bytea, $2, $3, $4, $5, $6, $7, $8, $9)`,
		s.Digest[:], encoded, r.Publisher, r.Suite, r.Source, r.Version, r.Architecture, !r.Claim.IsZero(), r.ClaimPublic)
	if s.Claim != nil {
		exec(b, `INSERT INTO claims (request, salt, set_digest) VALUES ($1::bytea, $2::bytea, $3::bytea)`,
			s.Digest[:], s.Claim.Salt[:], s.Claim.Set[:])
	}
	exec(b, `INSERT INTO request_progress (request, publisher) VALUES ($1::bytea, $2)`, s.Digest[:], r.Publisher)
	// No notification: whoever submits opens the first attempt right away. After
	// a crash in between, the next look at what is wanted does.
	return send(ctx, tx, b)
}

// Unopened returns requests whose next attempt must be opened, with the number
// of that attempt. Whoever submits a request opens its first attempt right away,
// so that one is left out until the request was stored for as long as fresh.
func (w *Writer) Unopened(ctx context.Context, limit int, fresh time.Duration) ([]coordinator.Submission, []int, error) {
	rows, err := w.pool.Query(ctx, `
		SELECT q.digest, q.envelope, p.attempts + 1, c.salt, c.set_digest
		  FROM request_progress p JOIN requests q ON q.digest = p.request LEFT JOIN claims c ON c.request = p.request
		 WHERE p.wanted AND (p.attempts > 0 OR q.stored_at <= clock_timestamp() - $2::interval) ORDER BY q.stored_at LIMIT $1`, limit, fresh)
	var attempts []int
	submissions, err := collect(rows, err, func(row pgx.CollectableRow) (coordinator.Submission, error) {
		var s coordinator.Submission
		var claim attest.Claim
		var encoded []byte
		var attempt int
		if err := row.Scan(digest{&s.Digest}, &encoded, &attempt, digest{&claim.Salt}, digest{&claim.Set}); err != nil {
			return s, err
		}
		attempts = append(attempts, attempt)
		if !claim.Set.IsZero() {
			s.Claim = &claim
		}
		var err error
		if s.Envelope, err = attest.ParseEnvelope(encoded); err != nil {
			return s, err
		}
		s.Request, err = attest.ParseRequest(s.Envelope.Payload)
		return s, err
	})
	return submissions, attempts, wrap("reading requests that wait for an attempt", err)
}

// Abandon ends a request whose next attempt the policy no longer admits. Its
// newest release, if there is one, gets the reason too.
func (w *Writer) Abandon(ctx context.Context, request attest.Digest, reason string) error {
	reason = attest.CleanReason(reason)
	return w.tx(ctx, "abandoning request "+request.Short(), func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		exec(b, `UPDATE request_progress SET wanted = false, open = false, reason = $2 WHERE request = $1 AND wanted`, request[:], reason)
		exec(b, `
			UPDATE releases r SET reason = $2 FROM openings o, request_progress p
			 WHERE o.id = r.id AND o.request = $1 AND p.request = $1 AND o.attempt = p.attempts
			   AND r.state IN ('expired', 'conflict') AND NOT p.wanted`, request[:], attest.CleanReason(fmt.Sprintf("no further attempt: %s", reason)))
		if err := send(ctx, tx, b); err != nil {
			return err
		}
		// No state changed, but whoever waits for a next attempt waits in vain now.
		return notify(ctx, tx, coordinator.TopicEvents)
	})
}
