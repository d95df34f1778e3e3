package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
)

// Reader reads what is public. It works with the dashboard's role, which can
// see the views of the schema public_face and nothing else: the embargo is
// applied there, not here. It is safe for concurrent use.
type Reader struct{ pool *pgxpool.Pool }

var _ coordinator.Reader = (*Reader)(nil)

// OpenReader returns a reader on a migrated database, which may be a replica.
// It connects when it is first used; the error is about dsn alone.
func OpenReader(ctx context.Context, dsn string) (*Reader, error) {
	pool, err := open(ctx, dsn, settings{
		role: readerRole, searchPath: publicSchema + ", pg_temp", name: "reprosign-reader",
		connections: readerConnections, statement: readerStatement, readOnly: true,
	})
	if err != nil {
		return nil, err
	}
	return &Reader{pool}, nil
}

// Close ends all connections. It waits for those in use.
func (r *Reader) Close() { r.pool.Close() }

const selectView = `
	SELECT id, request, attempt, attempts, newest, suite, source, version, architecture, publisher, state, final, reason,
	       policy_serial, policy, threshold, operators, blind, claimed, opened_at, deadline, decided_at, logged_at, signed_at, ended_at,
	       decision, set_digest, COALESCE(log_index, -1), COALESCE(tree_size, 0), COALESCE(withdrawn, ''), has_evidence, embargo_over
	  FROM releases `

// viewRow is a row of the view releases.
type viewRow struct {
	coordinator.View

	set attest.Digest // decided and logged
}

func scanView(row pgx.CollectableRow) (*viewRow, error) {
	v := &viewRow{}
	var opened, deadline time.Time
	var decided, logged, signed, ended *time.Time
	if err := row.Scan(digest{&v.Release}, digest{&v.Request}, &v.Attempt, &v.Attempts, digest{&v.Newest}, &v.Suite, &v.Source, &v.Version,
		&v.Architecture, &v.Publisher, &v.State, &v.Final, &v.Reason, &v.PolicySerial, digest{&v.Policy}, &v.Threshold, &v.Operators,
		&v.Blind, &v.Claimed, &opened, &deadline, &decided, &logged, &signed, &ended,
		digest{&v.Decision}, digest{&v.set}, &v.LogIndex, &v.TreeSize, &v.Withdrawn, &v.HasEvidence, &v.Disclosed); err != nil {
		return nil, err
	}
	v.Opened, v.Deadline = attest.At(opened), attest.At(deadline)
	v.DecidedAt, v.LoggedAt, v.SignedAt, v.EndedAt = atOrZero(decided), atOrZero(logged), atOrZero(signed), atOrZero(ended)
	return v, nil
}

func atOrZero(t *time.Time) attest.Time {
	if t == nil {
		return 0
	}
	return attest.At(*t)
}

// View returns all that may be known of a release.
func (r *Reader) View(ctx context.Context, release attest.Digest) (*coordinator.View, error) {
	var view *coordinator.View
	// One snapshot, so that votes, artifacts and state belong together.
	err := pgx.BeginTxFunc(ctx, r.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectView+`WHERE id = $1`, release[:])
		if err != nil {
			return err
		}
		v, err := pgx.CollectExactlyOneRow(rows, scanView)
		if err != nil {
			return err
		}
		if v.Votes, err = votesOf(ctx, tx, v); err != nil {
			return err
		}
		v.Artifacts, err = artifactsOf(ctx, tx, release)
		view = &v.View
		return err
	})
	return view, wrap("reading release "+release.Short(), err)
}

// classBuilt is a build that gave something, seen after the embargo.
const classBuilt policy.View = "built"

func votesOf(ctx context.Context, q querier, v *viewRow) ([]coordinator.VoteView, error) {
	rows, err := q.Query(ctx, `SELECT rebuilder, operator, class, statement, set_digest, at FROM votes WHERE release = $1 ORDER BY rebuilder`, v.Release[:])
	votes, err := collect(rows, err, func(row pgx.CollectableRow) (coordinator.VoteView, error) {
		var vote coordinator.VoteView
		var at *time.Time
		err := row.Scan(&vote.Rebuilder, &vote.Operator, &vote.View, digest{&vote.Statement}, digest{&vote.Set}, &at)
		vote.At = atOrZero(at)
		return vote, err
	})
	if err != nil {
		return nil, err
	}
	reference := v.set
	if reference.IsZero() {
		reference = leadingSet(votes)
	}
	for i := range votes {
		if votes[i].View != classBuilt {
			continue
		}
		votes[i].View = policy.ViewDiffers
		if votes[i].Set == reference {
			votes[i].View = policy.ViewAgrees
		}
	}
	return votes, nil
}

// leadingSet returns the set that most operators built when nothing was
// decided, zero if no set leads.
func leadingSet(votes []coordinator.VoteView) attest.Digest {
	operators := map[attest.Digest]map[string]bool{}
	for _, v := range votes {
		if v.View == classBuilt {
			if operators[v.Set] == nil {
				operators[v.Set] = map[string]bool{}
			}
			operators[v.Set][v.Operator] = true
		}
	}
	var leading attest.Digest
	most := 0
	for set, by := range operators {
		switch {
		case len(by) > most:
			leading, most = set, len(by)
		case len(by) == most:
			leading = attest.Digest{}
		}
	}
	return leading
}

func artifactsOf(ctx context.Context, q querier, release attest.Digest) ([]coordinator.ArtifactView, error) {
	rows, err := q.Query(ctx, `
		SELECT a.name, a.kind, a.size, a.sha256, a.sha512, s.certificate, s.kind, s.signature, s.release, s.made_at
		  FROM artifacts a LEFT JOIN signatures s ON s.sha512 = a.sha512
		 WHERE a.release = $1 ORDER BY a.position, s.certificate, s.kind`, release[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []coordinator.ArtifactView
	for rows.Next() {
		var a coordinator.ArtifactView
		var s coordinator.SignatureView
		var sha512 []byte
		var certificate, kind *string
		var made *time.Time
		if err := rows.Scan(&a.Name, &a.Kind, &a.Size, digest{&a.SHA256}, &sha512, &certificate, &kind, &s.Signature,
			digest{&s.Release}, &made); err != nil {
			return nil, err
		}
		if copy(a.SHA512[:], sha512) != len(a.SHA512) {
			return nil, fmt.Errorf("SHA-512 of %d bytes in the database", len(sha512))
		}
		if len(out) == 0 || out[len(out)-1].Name != a.Name {
			out = append(out, a)
		}
		if certificate != nil && kind != nil {
			s.Certificate, s.Kind, s.At = *certificate, attest.SignatureKind(*kind), atOrZero(made)
			last := &out[len(out)-1]
			last.Signatures = append(last.Signatures, s)
		}
	}
	return out, rows.Err()
}

// NewestOf returns the newest release of a request.
func (r *Reader) NewestOf(ctx context.Context, request attest.Digest) (attest.Digest, error) {
	return r.one(ctx, "looking for the newest release of request "+request.Short(),
		`SELECT id FROM releases WHERE request = $1 ORDER BY attempt DESC LIMIT 1`, request[:])
}

// ByArtifact returns the release whose decision, first in the log, holds an
// artifact with this SHA-256.
func (r *Reader) ByArtifact(ctx context.Context, sha256 attest.Digest) (attest.Digest, error) {
	return r.one(ctx, "looking for an artifact", `SELECT release FROM artifacts WHERE sha256 = $1 ORDER BY log_index LIMIT 1`, sha256[:])
}

func (r *Reader) one(ctx context.Context, what, sql string, args ...any) (attest.Digest, error) {
	var d attest.Digest
	err := r.pool.QueryRow(ctx, sql, args...).Scan(digest{&d})
	return d, wrap(what, err)
}

// Evidence returns a signed release's bundle.
func (r *Reader) Evidence(ctx context.Context, release attest.Digest) ([]byte, error) {
	return r.bytes(ctx, "reading the evidence of release "+release.Short(), `SELECT bundle FROM evidence WHERE release = $1`, release[:])
}

func (r *Reader) bytes(ctx context.Context, what, sql string, args ...any) ([]byte, error) {
	var b []byte
	err := r.pool.QueryRow(ctx, sql, args...).Scan(&b)
	return b, wrap(what, err)
}
