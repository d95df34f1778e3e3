package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// jobKey is the primary key of a signing job.
type jobKey struct {
	release     attest.Digest
	certificate string
}

func scanJobKey(row pgx.CollectableRow) (jobKey, error) {
	var k jobKey
	err := row.Scan(digest{&k.release}, &k.certificate)
	return k, err
}

// jobColumns returns keys column by column.
func jobColumns(keys []jobKey) (releases [][]byte, certificates []string) {
	for i := range keys {
		releases, certificates = append(releases, keys[i].release[:]), append(certificates, keys[i].certificate)
	}
	return releases, certificates
}

// jobIsReady holds for an open job k that may be taken. Asked job by job, so that
// looking for some of them, in the order of claimable_at, ends when they are found.
const jobIsReady = `EXISTS (SELECT FROM ready_jobs r WHERE r.release = k.release AND r.certificate = k.certificate OFFSET 0)`

// ClaimJobs leases signing jobs, the longest waiting first: of one release one
// at a time, and of equal bytes the earliest decision's.
func (w *Writer) ClaimJobs(ctx context.Context, limit int, lease time.Duration) ([]coordinator.Job, error) {
	var jobs []coordinator.Job
	err := w.mark(ctx, "leasing signing jobs", func(tx pgx.Tx) error {
		jobs = nil
		rows, err := tx.Query(ctx, `
			SELECT k.release, k.certificate FROM signing_jobs k
			 WHERE k.state = 'open' AND k.claimable_at <= `+asOf+` AND `+jobIsReady+`
			 ORDER BY k.claimable_at LIMIT $1 FOR NO KEY UPDATE OF k SKIP LOCKED`, limit)
		keys, err := collect(rows, err, scanJobKey)
		if err != nil || len(keys) == 0 {
			return err
		}
		releases, certificates := jobColumns(keys)
		if _, err := tx.Exec(ctx, `
			UPDATE signing_jobs j SET claimable_at = clock_timestamp() + $3, fence = j.fence + 1, attempts = j.attempts + 1
			  FROM unnest($1::bytea[], $2::text[]) AS u (release, certificate)
			 WHERE j.release = u.release AND j.certificate = u.certificate`, releases, certificates, lease); err != nil {
			return err
		}
		jobs, err = loadJobs(ctx, tx, keys)
		return err
	})
	if err != nil {
		return nil, err
	}
	return jobs, nil
}

func loadJobs(ctx context.Context, tx pgx.Tx, keys []jobKey) ([]coordinator.Job, error) {
	releases, certificates := jobColumns(keys)
	rows, err := tx.Query(ctx, `
		SELECT j.release, j.certificate, j.fence, j.attempts, i.index, o.envelope, q.envelope, b.envelope, l.list, l.states
		  FROM unnest($1::bytea[], $2::text[]) AS u (release, certificate)
		  JOIN signing_jobs j ON j.release = u.release AND j.certificate = u.certificate
		  JOIN openings o ON o.id = j.release
		  JOIN requests q ON q.digest = o.request
		  JOIN decisions d ON d.release = j.release
		  JOIN log_bodies b ON b.digest = d.body AND b.leaf = d.leaf
		  JOIN log_entries i ON i.leaf = d.leaf
		  JOIN artifact_sets l ON l.digest = d.set_digest
		 ORDER BY i.index, j.certificate`, releases, certificates)
	jobs, err := collect(rows, err, scanJob)
	if err != nil {
		return nil, err
	}
	if len(jobs) != len(keys) {
		return nil, fmt.Errorf("%d signing jobs of %d have their artifact list and states", len(jobs), len(keys))
	}
	at := make(map[jobKey]int, len(jobs))
	for i, j := range jobs {
		at[jobKey{j.Release, j.Certificate}] = i
	}
	rows, err = tx.Query(ctx, `
		SELECT u.release, u.certificate, a.name
		  FROM unnest($1::bytea[], $2::text[]) AS u (release, certificate)
		  JOIN artifacts a ON a.release = u.release
		 WHERE NOT EXISTS (SELECT FROM signatures s WHERE s.sha512 = a.sha512 AND s.certificate = u.certificate)
		 ORDER BY a.release, a.position`, releases, certificates)
	if err != nil {
		return nil, err
	}
	var k jobKey
	var name string
	_, err = pgx.ForEachRow(rows, []any{digest{&k.release}, &k.certificate, &name}, func() error {
		j := &jobs[at[k]]
		j.Missing = append(j.Missing, name)
		return nil
	})
	return jobs, err
}

func scanJob(row pgx.CollectableRow) (coordinator.Job, error) {
	var j coordinator.Job
	var opening, request, decision, list, states []byte
	if err := row.Scan(digest{&j.Release}, &j.Certificate, &j.Fence, &j.Attempts, &j.LogIndex,
		&opening, &request, &decision, &list, &states); err != nil {
		return j, err
	}
	var err error
	for _, e := range []struct {
		to      **attest.Envelope
		encoded []byte
	}{{&j.Opening, opening}, {&j.Request, request}, {&j.Decision, decision}} {
		if *e.to, err = attest.ParseEnvelope(e.encoded); err != nil {
			return j, fmt.Errorf("release %s: %w", j.Release, err)
		}
	}
	if j.Artifacts, err = attest.ParseArtifacts(list); err != nil {
		return j, fmt.Errorf("release %s: %w", j.Release, err)
	}
	for len(states) >= attest.StateSize {
		j.States = append(j.States, attest.State(states[:attest.StateSize:attest.StateSize]))
		states = states[attest.StateSize:]
	}
	return j, nil
}

// RetryJob ends a lease without signatures. ErrFenced if it was lost before.
func (w *Writer) RetryJob(ctx context.Context, j coordinator.Job, reason string, again time.Time) error {
	return w.mark(ctx, "ending the lease of a signing job of release "+j.Release.Short(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM releases WHERE id = $1 FOR NO KEY UPDATE`, j.Release[:]); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			UPDATE signing_jobs SET claimable_at = $4 WHERE release = $1 AND certificate = $2 AND fence = $3 AND state = 'open'`,
			j.Release[:], j.Certificate, j.Fence, again)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			return coordinator.ErrFenced
		}
		_, err = tx.Exec(ctx, `UPDATE releases SET reason = $2 WHERE id = $1 AND state = 'logged'`, j.Release[:], attest.CleanReason(reason))
		return err
	})
}
