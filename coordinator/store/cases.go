package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
)

// loaded is a case with what the store needs beside it to act on the verdict.
type loaded struct {
	coordinator.Case

	sealed  sealed
	votes   []sealedVote // if asked for
	fence   int64
	attempt int
	retries int
	source  string
}

// sealed is the envelopes of a release's opening and request.
type sealed struct{ opening, request *attest.Envelope }

// sealedVote is a statement as the signer judges it, byte for byte.
type sealedVote struct {
	digest   attest.Digest
	envelope *attest.Envelope
}

// inOrder returns the envelopes in the order of their digests. They are sorted
// here: asked for an order, the database would rather walk its whole index of
// digests than sort a few rows.
func inOrder(votes []sealedVote) []*attest.Envelope {
	slices.SortFunc(votes, func(a, b sealedVote) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	out := make([]*attest.Envelope, len(votes))
	for i, v := range votes {
		out[i] = v.envelope
	}
	return out
}

// loadCases reads locked releases with everything a verdict needs, in the order
// of ids. The caller has locked them in an earlier statement of tx. Late
// statements are no part of a case; contradicting ones are. Statements were
// verified when they came, so that their columns are read; their envelopes only
// if asked for. Case.Policy stays nil: the coordinator has the policies parsed and
// verified, and fills it in.
func loadCases(ctx context.Context, tx pgx.Tx, ids []attest.Digest, envelopes bool) ([]*loaded, error) {
	byID := make(map[attest.Digest]*loaded, len(ids))
	b := &pgx.Batch{}
	b.Queue(`
		SELECT o.id, o.request, o.suite, o.envelope, q.envelope, c.salt, c.set_digest, r.fence, o.attempt, o.retries, q.source
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
	columns := "release, digest, rebuilder, outcome, set_digest, isolation"
	if envelopes {
		columns += ", payload, keyid, signature"
	}
	b.Queue(`SELECT `+columns+` FROM statements WHERE release = ANY($1) AND disposition <> 'late'`, column(ids)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var v policy.Vote
			e := newStatement()
			row := []any{digest{&v.Release}, digest{&v.Statement}, &v.Rebuilder, &v.Outcome, digest{&v.Set}, &v.Isolation}
			if envelopes {
				row = append(row, &e.Payload, &e.Signatures[0].KeyID, &e.Signatures[0].Sig)
			}
			if err := rows.Scan(row...); err != nil {
				return err
			}
			l := byID[v.Release]
			l.Votes = append(l.Votes, v)
			if envelopes {
				l.votes = append(l.votes, sealedVote{v.Statement, e})
			}
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
	}
	return out, loadLists(ctx, tx, out)
}

// loadLists reads the artifact lists that were voted for.
func loadLists(ctx context.Context, tx pgx.Tx, cases []*loaded) error {
	lists := map[attest.Digest]attest.Artifacts{}
	var sets [][]byte
	for _, l := range cases {
		for i := range l.Votes {
			set := &l.Votes[i].Set
			if _, known := lists[*set]; !known && !set.IsZero() {
				lists[*set], sets = nil, append(sets, set[:])
			}
		}
	}
	b := &pgx.Batch{}
	queueLists(b, sets, lists)
	if err := send(ctx, tx, b); err != nil {
		return err
	}
	for _, l := range cases {
		for _, v := range l.Votes {
			if list := lists[v.Set]; list != nil {
				l.Sets[v.Set] = list
			}
		}
	}
	return nil
}

// queueLists reads the artifact lists of sets.
func queueLists(b *pgx.Batch, sets [][]byte, into map[attest.Digest]attest.Artifacts) {
	b.Queue(`SELECT digest, list FROM artifact_sets WHERE digest = ANY($1)`, sets).Query(func(rows pgx.Rows) error {
		var set attest.Digest
		var encoded []byte
		_, err := pgx.ForEachRow(rows, []any{digest{&set}, &encoded}, func() error {
			list, err := attest.ParseArtifacts(encoded)
			into[set] = list
			return err
		})
		return err
	})
}

func scanCase(row pgx.Row) (*loaded, error) {
	l := &loaded{}
	l.Sets = map[attest.Digest]attest.Artifacts{}
	var opening, request []byte
	var claim attest.Claim
	if err := row.Scan(digest{&l.Release}, digest{&l.RequestDigest}, &l.Suite, &opening, &request, digest{&claim.Salt}, digest{&claim.Set},
		&l.fence, &l.attempt, &l.retries, &l.source); err != nil {
		return nil, err
	}
	if !claim.Set.IsZero() {
		l.Claim = &claim
	}
	var err error
	if l.sealed.opening, err = attest.ParseEnvelope(opening); err == nil {
		l.Opening, err = attest.ParseOpening(l.sealed.opening.Payload)
	}
	if err == nil {
		l.sealed.request, err = attest.ParseEnvelope(request)
	}
	if err == nil {
		l.Request, err = attest.ParseRequest(l.sealed.request.Payload)
	}
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", l.Release, err)
	}
	return l, nil
}

// leased turns a case that has just closed, with a lease, into what the signer
// wants.
func (l *loaded) leased(set attest.Digest) coordinator.Undecided {
	return coordinator.Undecided{
		Release: l.Release, RequestDigest: l.RequestDigest, Suite: l.Suite, Terms: l.Opening, Claim: l.Claim,
		Opening: l.sealed.opening, Request: l.sealed.request, Votes: inOrder(l.votes), Artifacts: l.Sets[set], Fence: l.fence + 1,
	}
}

// loadUndecided reads locked releases whose vote set is closed as the signer
// wants them, in the order of ids: every envelope byte for byte.
func loadUndecided(ctx context.Context, tx pgx.Tx, ids []attest.Digest) ([]coordinator.Undecided, error) {
	rows, err := tx.Query(ctx, `
		SELECT o.id, o.request, o.suite, o.envelope, q.envelope, c.salt, c.set_digest, r.fence, l.list
		  FROM openings o
		  JOIN releases r ON r.id = o.id
		  JOIN requests q ON q.digest = o.request
		  JOIN artifact_sets l ON l.digest = r.agreed_set
		  LEFT JOIN claims c ON c.request = o.request
		 WHERE o.id = ANY($1) ORDER BY o.id`, column(ids))
	out, err := collect(rows, err, scanUndecided)
	if err == nil && len(out) != len(ids) {
		err = fmt.Errorf("%d of %d closed releases found", len(out), len(ids))
	}
	if err != nil {
		return nil, err
	}
	return out, loadVotes(ctx, tx, out)
}

// loadVotes reads the statements that the signer judges, byte for byte.
func loadVotes(ctx context.Context, tx pgx.Tx, closed []coordinator.Undecided) error {
	ids := make([]attest.Digest, len(closed))
	votes := make(map[attest.Digest][]sealedVote, len(closed))
	for i := range closed {
		ids[i] = closed[i].Release
	}
	rows, err := tx.Query(ctx, `
		SELECT release, digest, payload, keyid, signature
		  FROM statements WHERE release = ANY($1) AND disposition <> 'late'`, column(ids))
	if err != nil {
		return err
	}
	for rows.Next() {
		var release attest.Digest
		v := sealedVote{envelope: newStatement()}
		e := v.envelope
		if err := rows.Scan(digest{&release}, digest{&v.digest}, &e.Payload, &e.Signatures[0].KeyID, &e.Signatures[0].Sig); err != nil {
			rows.Close()
			return err
		}
		votes[release] = append(votes[release], v)
	}
	for i := range closed {
		closed[i].Votes = inOrder(votes[closed[i].Release])
	}
	return rows.Err()
}

func scanUndecided(row pgx.CollectableRow) (coordinator.Undecided, error) {
	var u coordinator.Undecided
	var opening, request, list []byte
	var claim attest.Claim
	if err := row.Scan(digest{&u.Release}, digest{&u.RequestDigest}, &u.Suite, &opening, &request, digest{&claim.Salt}, digest{&claim.Set},
		&u.Fence, &list); err != nil {
		return u, err
	}
	if !claim.Set.IsZero() {
		u.Claim = &claim
	}
	var err error
	if u.Opening, err = attest.ParseEnvelope(opening); err == nil {
		u.Terms, err = attest.ParseOpening(u.Opening.Payload)
	}
	if err == nil {
		u.Request, err = attest.ParseEnvelope(request)
	}
	if err == nil {
		u.Artifacts, err = attest.ParseArtifacts(list)
	}
	if err != nil {
		return u, fmt.Errorf("release %s: %w", u.Release, err)
	}
	return u, nil
}
