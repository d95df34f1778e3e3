package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// Ingest stores statements and answers each, in one transaction of three steps:
//
//  1. lock the releases they speak of, in the order of their ids;
//  2. in later statements, and so with a snapshot that sees every vote
//     committed before the lock was got, read what is known of them;
//  3. decide here what each statement is, and write all in one go.
//
// Reading before the lock is had, or in the same statement, would lose quorums:
// the last two voters would not see each other.
func (w *Writer) Ingest(ctx context.Context, batch []coordinator.Incoming) ([]coordinator.Disposition, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	ids := releasesOf(batch)
	var dispositions []coordinator.Disposition
	err := w.tx(ctx, "storing statements", func(tx pgx.Tx) error {
		known, now, err := lockBallots(ctx, tx, ids)
		if err != nil {
			return err
		}
		writes := newIngestWrites(now)
		dispositions = make([]coordinator.Disposition, len(batch))
		for i, in := range batch {
			dispositions[i] = writes.take(known[in.Rebuild.Release], in)
		}
		writes.conclude(known)
		return writes.write(ctx, tx)
	})
	if err != nil {
		return nil, err
	}
	return dispositions, nil
}

// releasesOf returns the distinct releases of a batch in the order of their ids.
func releasesOf(batch []coordinator.Incoming) []attest.Digest {
	ids := make([]attest.Digest, len(batch))
	for i, in := range batch {
		ids[i] = in.Rebuild.Release
	}
	attest.SortDigests(ids)
	return slices.Compact(ids)
}

// lockBallots locks releases and reads them with all statements on them.
// Unknown releases are missing in the result.
func lockBallots(ctx context.Context, tx pgx.Tx, ids []attest.Digest) (map[attest.Digest]*ballot, time.Time, error) {
	var now time.Time
	ballots := make(map[attest.Digest]*ballot, len(ids))
	b := &pgx.Batch{}
	exec(b, `SELECT FROM releases WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`, column(ids))
	b.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	b.Queue(`
		SELECT o.id, o.rebuilders, o.operators, o.operator_count, o.threshold, o.max_dissent, o.settles_at, o.deadline,
		       r.closed_at IS NULL AND r.state IN ('building', 'held')
		  FROM openings o JOIN releases r ON r.id = o.id WHERE o.id = ANY($1)`, column(ids)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			k := &ballot{votes: map[string]attest.Digest{}}
			if err := rows.Scan(digest{&k.release}, &k.rebuilders, &k.operatorOf, &k.operators, &k.threshold,
				&k.maxDissent, &k.settles, &k.deadline, &k.open); err != nil {
				return err
			}
			ballots[k.release] = k
		}
		return rows.Err()
	})
	b.Queue(`
		SELECT release, digest, rebuilder, operator, set_digest, disposition, vote
		  FROM statements WHERE release = ANY($1) ORDER BY received_at, digest`, column(ids)).Query(func(rows pgx.Rows) error {
		var release attest.Digest
		for rows.Next() {
			var s statement
			if err := rows.Scan(digest{&release}, digest{&s.digest}, &s.rebuilder, &s.operator, digest{&s.set},
				&s.disposition, &s.vote); err != nil {
				return err
			}
			if k := ballots[release]; k != nil {
				k.add(s)
			}
		}
		return rows.Err()
	})
	b.Queue(`SELECT release, operator FROM equivocations WHERE release = ANY($1)`, column(ids)).Query(func(rows pgx.Rows) error {
		var release attest.Digest
		var operator string
		for rows.Next() {
			if err := rows.Scan(digest{&release}, &operator); err != nil {
				return err
			}
			if k := ballots[release]; k != nil {
				k.equivocate(operator)
			}
		}
		return rows.Err()
	})
	return ballots, now, send(ctx, tx, b)
}

// ingestWrites gathers, column by column, what a batch adds to each table.
type ingestWrites struct {
	now time.Time

	digests, releases, sets, payloads, signatures [][]byte
	rebuilders, operators, outcomes, keyIDs       []string
	isolations, dispositions                      []string
	votes                                         []bool

	lists map[attest.Digest]list

	equivocationReleases, firsts, seconds        [][]byte
	equivocationOperators, equivocationRebuilder []string

	touched []attest.Digest // releases that got a counted statement
	due     map[attest.Digest]time.Time
}

// list is an artifact list with its states.
type list struct {
	artifacts attest.Artifacts
	states    []attest.State
}

func newIngestWrites(now time.Time) *ingestWrites {
	return &ingestWrites{now: now, lists: map[attest.Digest]list{}, due: map[attest.Digest]time.Time{}}
}

// take decides what a statement is and notes what it writes.
func (w *ingestWrites) take(k *ballot, in coordinator.Incoming) coordinator.Disposition {
	if k == nil {
		return coordinator.UnknownRelease
	}
	s := statement{
		digest: in.Statement, rebuilder: in.Rebuild.Rebuilder, set: in.Rebuild.Set,
	}
	answer, first := k.place(&s, w.now)
	if answer.known || !kept(s.disposition) {
		return s.disposition
	}
	w.digests = append(w.digests, s.digest[:])
	w.releases = append(w.releases, k.release[:])
	w.rebuilders = append(w.rebuilders, s.rebuilder)
	w.operators = append(w.operators, s.operator)
	w.outcomes = append(w.outcomes, string(in.Rebuild.Outcome))
	w.sets = append(w.sets, nullable(s.set))
	w.isolations = append(w.isolations, string(in.Rebuild.Isolation))
	w.dispositions = append(w.dispositions, string(s.disposition))
	w.votes = append(w.votes, s.vote)
	w.payloads = append(w.payloads, in.Envelope.Payload)
	w.keyIDs = append(w.keyIDs, in.Envelope.Signatures[0].KeyID)
	w.signatures = append(w.signatures, in.Envelope.Signatures[0].Sig)
	if !s.set.IsZero() {
		w.lists[s.set] = list{in.Artifacts, in.States}
	}
	if answer.equivocates {
		w.equivocationReleases = append(w.equivocationReleases, k.release[:])
		w.equivocationOperators = append(w.equivocationOperators, s.operator)
		w.equivocationRebuilder = append(w.equivocationRebuilder, s.rebuilder)
		w.firsts, w.seconds = append(w.firsts, first[:]), append(w.seconds, s.digest[:])
	}
	if k.open {
		w.touched = append(w.touched, k.release)
	}
	return s.disposition
}

// kept reports whether a statement of that disposition is stored.
func kept(d coordinator.Disposition) bool {
	return d == coordinator.Counted || d == coordinator.Late || d == coordinator.Contradicts
}

// conclude counts: which of the touched releases should be evaluated, and when.
func (w *ingestWrites) conclude(ballots map[attest.Digest]*ballot) {
	for _, id := range w.touched {
		if _, counted := w.due[id]; counted {
			continue
		}
		if at, due := ballots[id].due(w.now); due {
			w.due[id] = at
		}
	}
}

func (w *ingestWrites) write(ctx context.Context, tx pgx.Tx) error {
	if len(w.digests) == 0 {
		return nil
	}
	b := &pgx.Batch{}
	exec(b, `
		INSERT INTO statements (digest, release, rebuilder, operator, outcome, set_digest, isolation, disposition, vote,
		                        payload, keyid, signature, received_at)
		SELECT u.*, $13 FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::text[],
		                            $9::boolean[], $10::bytea[], $11::text[], $12::bytea[]) AS u`,
		w.digests, w.releases, w.rebuilders, w.operators, w.outcomes, w.sets, w.isolations, w.dispositions, w.votes,
		w.payloads, w.keyIDs, w.signatures, w.now)
	if err := w.writeLists(b); err != nil {
		return err
	}
	if len(w.firsts) > 0 {
		exec(b, `
			INSERT INTO equivocations (release, operator, rebuilder, first, second)
			SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bytea[], $5::bytea[])`,
			w.equivocationReleases, w.equivocationOperators, w.equivocationRebuilder, w.firsts, w.seconds)
		// No state changes with it, but it is to be logged once the embargo is over.
		exec(b, `SELECT pg_notify($1, $2)`, channel, string(coordinator.TopicEvents))
	}
	w.writeDue(b)
	return send(ctx, tx, b)
}

// writeLists stores artifact lists that no vote brought before. They go in by
// the order of their digests: two writers with the same lists then wait for
// each other instead of locking each other out.
func (w *ingestWrites) writeLists(b *pgx.Batch) error {
	if len(w.lists) == 0 {
		return nil
	}
	sets := make([]attest.Digest, 0, len(w.lists))
	for set := range w.lists {
		sets = append(sets, set)
	}
	attest.SortDigests(sets)
	encoded, states := make([][]byte, len(sets)), make([][]byte, len(sets))
	for i, set := range sets {
		l := w.lists[set]
		var err error
		if encoded[i], err = l.artifacts.Encode(); err != nil {
			return err
		}
		for _, s := range l.states {
			states[i] = append(states[i], s...)
		}
	}
	exec(b, `INSERT INTO artifact_sets (digest, list) SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING`,
		column(sets), encoded)
	exec(b, `INSERT INTO artifact_states (set_digest, states) SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING`,
		column(sets), states)
	return nil
}

// writeDue brings evaluations forward.
func (w *ingestWrites) writeDue(b *pgx.Batch) {
	if len(w.due) == 0 {
		return
	}
	var ids [][]byte
	var at []time.Time
	wake := false
	for id, due := range w.due {
		ids, at = append(ids, id[:]), append(at, due)
		wake = wake || !due.After(w.now)
	}
	exec(b, `
		UPDATE releases r SET due_at = u.at FROM unnest($1::bytea[], $2::timestamptz[]) AS u (id, at)
		 WHERE r.id = u.id AND r.due_at > u.at`, ids, at)
	topic := coordinator.TopicEvaluate
	if wake {
		exec(b, `SELECT pg_notify($1, $2)`, channel, string(topic))
	}
}

// envelopesOf reads the sealed statements with the given digests, in that order.
func envelopesOf(ctx context.Context, q querier, digests []attest.Digest) ([]*attest.Envelope, error) {
	rows, err := q.Query(ctx, `SELECT digest, payload, keyid, signature FROM statements WHERE digest = ANY($1)`, column(digests))
	if err != nil {
		return nil, err
	}
	found := make(map[attest.Digest]*attest.Envelope, len(digests))
	for rows.Next() {
		var d attest.Digest
		e, err := scanStatement(rows, &d)
		if err != nil {
			rows.Close()
			return nil, err
		}
		found[d] = e
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	out := make([]*attest.Envelope, len(digests))
	for i, d := range digests {
		if out[i] = found[d]; out[i] == nil {
			return nil, errMissing("statement", d)
		}
	}
	return out, nil
}

// scanStatement rebuilds an envelope, byte for byte as it came, from its digest,
// payload, keyid and signature.
func scanStatement(row pgx.Row, d *attest.Digest) (*attest.Envelope, error) {
	e := newStatement()
	if err := row.Scan(digest{d}, &e.Payload, &e.Signatures[0].KeyID, &e.Signatures[0].Sig); err != nil {
		return nil, err
	}
	return e, nil
}

// newStatement returns an envelope to scan a statement into.
func newStatement() *attest.Envelope {
	return &attest.Envelope{PayloadType: attest.StatementType, Signatures: make([]attest.Signature, 1)}
}
