package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
)

// ClaimUndecided leases closed releases for the signer, the longest waiting
// first. Until the lease ends nobody else gets them.
func (w *Writer) ClaimUndecided(ctx context.Context, limit int, lease time.Duration) ([]coordinator.Undecided, error) {
	var out []coordinator.Undecided
	err := w.mark(ctx, "leasing undecided releases", func(tx pgx.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, `
			UPDATE releases SET claimable_at = clock_timestamp() + $2, fence = fence + 1
			 WHERE id IN (SELECT id FROM releases WHERE claimable_at <= `+asOf+`
			               ORDER BY claimable_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
			RETURNING id`, limit, lease)
		ids, err := collect(rows, err, scanDigest)
		if err != nil || len(ids) == 0 {
			return err
		}
		attest.SortDigests(ids)
		out, err = loadUndecided(ctx, tx, ids)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// verdict is a decision with what the store knows of its release.
type verdict struct {
	coordinator.Decision

	request       attest.Digest
	attempt       int
	suite, source string
	artifacts     attest.Artifacts
}

// Decide stores decisions, their log entries and the intent to sign. A
// decision that is stored already is left as it is and not refused.
func (w *Writer) Decide(ctx context.Context, decisions []coordinator.Decision) ([]attest.Digest, error) {
	var refused []attest.Digest
	err := w.tx(ctx, "storing decisions", func(tx pgx.Tx) error {
		refused = nil
		due, left, err := dueDecisions(ctx, tx, decisions)
		if err != nil {
			return err
		}
		due, unnamed, err := bindNames(ctx, tx, due)
		if err != nil {
			return err
		}
		refused = append(left, unnamed...)
		return storeDecisions(ctx, tx, due)
	})
	if err != nil {
		return nil, err
	}
	return refused, nil
}

// dueDecisions locks the releases and sorts out the decisions that come too
// late: the lease was lost, or the release withdrawn or ended.
func dueDecisions(ctx context.Context, tx pgx.Tx, decisions []coordinator.Decision) (due []verdict, refused []attest.Digest, err error) {
	ids, sets := make([]attest.Digest, len(decisions)), make([]attest.Digest, len(decisions))
	for i, d := range decisions {
		ids[i], sets[i] = d.Release, d.Decision.Set
	}
	type row struct {
		verdict

		fence int64
		waits bool
		set   attest.Digest
	}
	known := make(map[attest.Digest]*row, len(ids))
	lists := make(map[attest.Digest]attest.Artifacts, len(ids))
	b := &pgx.Batch{}
	b.Queue(`
		SELECT id, fence, claimable_at IS NOT NULL, agreed_set
		  FROM releases WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`, column(ids)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var id attest.Digest
			r := &row{}
			if err := rows.Scan(digest{&id}, &r.fence, &r.waits, digest{&r.set}); err != nil {
				return err
			}
			known[id] = r
		}
		return rows.Err()
	})
	b.Queue(`
		SELECT o.id, o.request, o.attempt, o.suite, q.source
		  FROM openings o JOIN requests q ON q.digest = o.request WHERE o.id = ANY($1)`, column(ids)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var id attest.Digest
			var v verdict
			if err := rows.Scan(digest{&id}, digest{&v.request}, &v.attempt, &v.suite, &v.source); err != nil {
				return err
			}
			if r := known[id]; r != nil {
				r.verdict = v
			}
		}
		return rows.Err()
	})
	queueLists(b, column(sets), lists)
	if err := send(ctx, tx, b); err != nil {
		return nil, nil, err
	}
	var late []coordinator.Decision
	for _, d := range decisions {
		r := known[d.Release]
		if r == nil || !r.waits || r.fence != d.Fence || r.set != d.Decision.Set {
			late = append(late, d)
			continue
		}
		r.Decision, r.artifacts = d, lists[r.set]
		if r.artifacts == nil {
			return nil, nil, errMissing("artifact list", r.set)
		}
		due = append(due, r.verdict)
	}
	refused, err = notStored(ctx, tx, late)
	return due, refused, err
}

// notStored returns the releases of decisions that are not stored already.
func notStored(ctx context.Context, tx pgx.Tx, decisions []coordinator.Decision) ([]attest.Digest, error) {
	if len(decisions) == 0 {
		return nil, nil
	}
	digests := make([]attest.Digest, len(decisions))
	for i, d := range decisions {
		digests[i] = d.Envelope.Digest()
	}
	rows, err := tx.Query(ctx, `SELECT digest FROM decisions WHERE digest = ANY($1)`, column(digests))
	stored, err := collect(rows, err, scanDigest)
	if err != nil {
		return nil, err
	}
	var releases []attest.Digest
	for i, d := range decisions {
		if !slices.Contains(stored, digests[i]) {
			releases = append(releases, d.Release)
		}
	}
	return releases, nil
}

// bindNames binds the decided file names for good. A release whose reservation
// was lost to other content can never be decided and goes to conflict.
func bindNames(ctx context.Context, tx pgx.Tx, due []verdict) (bound []verdict, refused []attest.Digest, err error) {
	r := &reservation{}
	for _, v := range due {
		r.add(v.Release, v.suite, v.source, v.artifacts)
	}
	problems, err := r.confirm(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	var lost transitions
	for _, v := range due {
		p, ok := problems[v.Release]
		if !ok {
			bound = append(bound, v)
			continue
		}
		p.bound = true
		refused = append(refused, v.Release)
		lost = append(lost, move{release: v.Release, Transition: p.transition(0)})
	}
	c := wishColumns(r.wishes)
	if _, err := tx.Exec(ctx, `
		UPDATE names n SET bound = true
		  FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::bytea[]) AS u (suite, name, sha256, source, release)
		 WHERE n.suite = u.suite AND n.name = u.name AND n.sha256 = u.sha256 AND n.source = u.source AND NOT n.bound
		   AND u.release <> ALL ($6::bytea[])`,
		c.suites, c.names, c.sha256s, c.sources, c.releases, column(refused)); err != nil {
		return nil, nil, err
	}
	return bound, refused, lost.apply(ctx, tx, 0)
}

// storeDecisions writes decisions whose releases are locked and whose names are
// bound, set by set.
func storeDecisions(ctx context.Context, tx pgx.Tx, due []verdict) error {
	if len(due) == 0 {
		return nil
	}
	entries := make([]coordinator.Entry, len(due))
	for i, v := range due {
		entries[i] = v.Entry
	}
	leaves, err := appendEntries(ctx, tx, entries, attest.Digest{})
	if err != nil {
		return err
	}
	releases, requests, attempts := make([][]byte, len(due)), make([][]byte, len(due)), make([]int, len(due))
	rows := make([][]any, len(due))
	for i, v := range due {
		d, body := v.Envelope.Digest(), translog.BodyDigest(v.Envelope)
		certificates := append([]string{}, v.Certificates...) // none is no null
		releases[i], requests[i], attempts[i] = v.Release[:], v.request[:], v.attempt
		rows[i] = []any{v.Release[:], d[:], v.Decision.Decision.Set[:], body[:], leaves[i], certificates}
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"decisions"},
		[]string{"release", "digest", "set_digest", "body", "leaf", "certificates"}, pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	b := &pgx.Batch{}
	queueArtifacts(b, due)
	exec(b, `
		UPDATE releases SET state = 'agreed', reason = 'decided, waiting for the log', decided_at = now(), claimable_at = NULL
		 WHERE id = ANY($1)`, releases)
	exec(b, `
		UPDATE request_progress p SET open = false, wanted = false FROM unnest($1::bytea[], $2::integer[]) AS u (request, attempt)
		 WHERE p.request = u.request AND p.attempts = u.attempt`, requests, attempts)
	if err := send(ctx, tx, b); err != nil {
		return err
	}
	return notify(ctx, tx, coordinator.TopicOutbox)
}

func queueArtifacts(b *pgx.Batch, due []verdict) {
	var releases, sha256s, sha512s [][]byte
	var positions []int16
	var suites, sources, names, kinds []string
	var sizes []int64
	for i := range due {
		v := &due[i]
		for at := range v.artifacts {
			a := &v.artifacts[at]
			releases, positions, suites = append(releases, v.Release[:]), append(positions, int16(at)), append(suites, v.suite)
			sources, names, kinds = append(sources, v.source), append(names, a.Name), append(kinds, a.Kind)
			sizes, sha256s, sha512s = append(sizes, a.Size), append(sha256s, a.SHA256[:]), append(sha512s, a.SHA512[:])
		}
	}
	exec(b, `
		INSERT INTO artifacts (release, position, suite, source, name, kind, size, sha256, sha512)
		SELECT * FROM unnest($1::bytea[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bytea[], $9::bytea[])`,
		releases, positions, suites, sources, names, kinds, sizes, sha256s, sha512s)
}

// Undecide ends a lease without a decision. ErrFenced if it was lost before.
func (w *Writer) Undecide(ctx context.Context, release attest.Digest, fence int64, reason string, again time.Time, expire, retry bool) error {
	reason = attest.CleanReason(reason)
	return w.mark(ctx, "ending the lease of release "+release.Short(), func(tx pgx.Tx) error {
		var retries bool
		err := tx.QueryRow(ctx, `
			SELECT o.attempt <= o.retries FROM releases r JOIN openings o ON o.id = r.id
			 WHERE r.id = $1 AND r.fence = $2 AND r.claimable_at IS NOT NULL FOR NO KEY UPDATE OF r`, release[:], fence).Scan(&retries)
		if err != nil {
			return fenced(err)
		}
		if !expire {
			_, err := tx.Exec(ctx, `UPDATE releases SET reason = $2, claimable_at = $3 WHERE id = $1`, release[:], reason, again)
			return err
		}
		end := transitions{{release: release, retries: retries, Transition: coordinator.Transition{
			State: coordinator.Expired, Reason: reason, Retry: retry,
		}}}
		return end.apply(ctx, tx, 0)
	})
}
