package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
)

// loaded is a case with the envelopes it was read from.
type loaded struct {
	coordinator.Undecided

	agreed  attest.Digest
	attempt int
	retries int
	source  string
}

// loadCases reads locked releases with everything a verdict needs, in the order
// of ids. The caller has locked them in an earlier statement of tx. Late
// statements are no part of a case; contradicting ones are. Case.Policy stays
// nil: the coordinator has the policies parsed and verified, and fills it in.
func loadCases(ctx context.Context, tx pgx.Tx, ids []attest.Digest) ([]*loaded, error) {
	byID := make(map[attest.Digest]*loaded, len(ids))
	b := &pgx.Batch{}
	b.Queue(`
		SELECT o.id, o.request, o.suite, o.envelope, q.envelope, c.salt, c.set_digest, r.agreed_set, r.fence, o.attempt, o.retries, q.source
		  FROM openings o
		  JOIN releases r ON r.id = o.id
		  JOIN requests q ON q.digest = o.request
		  LEFT JOIN claims c ON c.request = o.request
		 WHERE o.id = ANY($1)`, column(ids)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			l, err := scanCase(rows)
			if err != nil {
				return err
			}
			byID[l.Release] = l
		}
		return rows.Err()
	})
	b.Queue(`
		SELECT s.release, e.digest, e.payload, e.keyid, e.signature
		  FROM statements s JOIN statement_envelopes e ON e.digest = s.digest
		 WHERE s.release = ANY($1) AND s.disposition <> 'late' ORDER BY s.digest`, column(ids)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := scanVote(rows, byID); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	b.Queue(`
		SELECT DISTINCT s.release, l.list
		  FROM statements s JOIN artifact_sets l ON l.digest = s.set_digest
		 WHERE s.release = ANY($1) AND s.disposition <> 'late'`, column(ids)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var release attest.Digest
			var encoded []byte
			if err := rows.Scan(digest{&release}, &encoded); err != nil {
				return err
			}
			artifacts, err := attest.ParseArtifacts(encoded)
			if err != nil {
				return err
			}
			byID[release].Sets[attest.SHA256(encoded)] = artifacts
		}
		return rows.Err()
	})
	// Only what was recorded before the vote set closed: the signer will judge
	// the same set. What comes later is a proof, and too late to object.
	b.Queue(`
		SELECT x.release, x.rebuilder FROM equivocations x JOIN statements s ON s.digest = x.second
		 WHERE x.release = ANY($1) AND s.disposition <> 'late' ORDER BY x.operator`, column(ids)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var release attest.Digest
			o := policy.Objection{Kind: policy.ObjectionEquivocation}
			if err := rows.Scan(digest{&release}, &o.Rebuilder); err != nil {
				return err
			}
			byID[release].Objections = append(byID[release].Objections, o)
		}
		return rows.Err()
	})
	if err := send(ctx, tx, b); err != nil {
		return nil, err
	}
	out := make([]*loaded, len(ids))
	for i, id := range ids {
		if out[i] = byID[id]; out[i] == nil {
			return nil, errMissing("opening", id)
		}
		out[i].Artifacts = out[i].Sets[out[i].agreed]
	}
	return out, nil
}

func scanCase(row pgx.Row) (*loaded, error) {
	l := &loaded{}
	l.Sets = map[attest.Digest]attest.Artifacts{}
	var opening, request []byte
	var claim attest.Claim
	if err := row.Scan(digest{&l.Release}, digest{&l.RequestDigest}, &l.Suite, &opening, &request, digest{&claim.Salt}, digest{&claim.Set},
		digest{&l.agreed}, &l.Fence, &l.attempt, &l.retries, &l.source); err != nil {
		return nil, err
	}
	if !claim.Set.IsZero() {
		l.Claim = &claim
	}
	var err error
	if l.Opening, err = attest.ParseEnvelope(opening); err != nil {
		return nil, fmt.Errorf("release %s: %w", l.Release, err)
	}
	if l.Request, err = attest.ParseEnvelope(request); err != nil {
		return nil, fmt.Errorf("release %s: %w", l.Release, err)
	}
	if l.Case.Opening, err = attest.ParseOpening(l.Opening.Payload); err != nil {
		return nil, fmt.Errorf("release %s: %w", l.Release, err)
	}
	if l.Case.Request, err = attest.ParseRequest(l.Request.Payload); err != nil {
		return nil, fmt.Errorf("release %s: %w", l.Release, err)
	}
	return l, nil
}

func scanVote(rows pgx.Rows, byID map[attest.Digest]*loaded) error {
	var release attest.Digest
	v := policy.Vote{}
	e := &attest.Envelope{PayloadType: attest.StatementType, Signatures: make([]attest.Signature, 1)}
	if err := rows.Scan(digest{&release}, digest{&v.Statement}, &e.Payload, &e.Signatures[0].KeyID, &e.Signatures[0].Sig); err != nil {
		return err
	}
	var err error
	if v.Rebuild, err = attest.ParseRebuild(e.Payload); err != nil {
		return fmt.Errorf("statement %s: %w", v.Statement, err)
	}
	l := byID[release]
	l.Case.Votes = append(l.Case.Votes, v)
	l.Votes = append(l.Votes, e)
	return nil
}
