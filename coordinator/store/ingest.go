package store

import (
	"bytes"
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
		known, now, err := w.lockBallots(ctx, tx, ids)
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

// lockBallots locks releases and reads them with all statements on them. What
// the lock returns of a release is as current as the lock. Unknown releases are
// missing in the result.
func (w *Writer) lockBallots(ctx context.Context, tx pgx.Tx, ids []attest.Digest) (map[attest.Digest]*ballot, time.Time, error) {
	var now time.Time
	ballots := make(map[attest.Digest]*ballot, len(ids))
	b := &pgx.Batch{}
	b.Queue(`
		SELECT id, closed_at IS NULL AND state IN ('building', 'held'), due_at
		  FROM releases WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`, column(ids)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			k := &ballot{votes: map[string]attest.Digest{}}
			if err := rows.Scan(digest{&k.release}, &k.open, &k.dueAt); err != nil {
				return err
			}
			ballots[k.release] = k
		}
		return rows.Err()
	})
	b.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	opened, unread := w.terms.recall(ids)
	if len(unread) > 0 {
		b.Queue(`SELECT `+termsColumns+` FROM openings WHERE id = ANY($1)`, column(unread)).Query(func(rows pgx.Rows) error {
			return w.terms.scan(rows, opened)
		})
	}
	// In no order, which the database would take more time for than for reading.
	b.Queue(`
		SELECT release, digest, rebuilder, operator, set_digest, disposition, vote
		  FROM statements WHERE release = ANY($1)`, column(ids)).Query(func(rows pgx.Rows) error {
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
	if err := send(ctx, tx, b); err != nil {
		return nil, now, err
	}
	for id, k := range ballots {
		if k.terms = opened[id]; k.terms == nil {
			return nil, now, errMissing("opening", id)
		}
	}
	w.terms.remember(unread, opened)
	return ballots, now, nil
}

// statementColumns are those of a row of statements, in the order in which they are copied.
var statementColumns = []string{
	"digest", "release", "rebuilder", "operator", "outcome", "set_digest", "isolation", "disposition", "received_at", "vote",
	"payload", "keyid", "signature",
}

// statementRow is a row of statements, with the release that it is about.
type statementRow struct {
	release attest.Digest
	values  []any // of statementColumns
}

// ingestWrites gathers what a batch adds to each table.
type ingestWrites struct {
	now time.Time

	statements []statementRow

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
	w.statements = append(w.statements, statementRow{k.release, []any{
		s.digest[:], k.release[:], s.rebuilder, s.operator, string(in.Rebuild.Outcome), nullable(s.set),
		string(in.Rebuild.Isolation), string(s.disposition), w.now, s.vote,
		in.Envelope.Payload, in.Envelope.Signatures[0].KeyID, in.Envelope.Signatures[0].Sig,
	}})
	if !s.set.IsZero() && !answer.listed {
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
		k := ballots[id]
		if at, due := k.due(w.now); due && k.dueAt != nil && at.Before(*k.dueAt) {
			w.due[id] = at
		}
	}
}

func (w *ingestWrites) write(ctx context.Context, tx pgx.Tx) error {
	if len(w.statements) == 0 {
		return nil
	}
	// Those of one release together, so that they are found in one place.
	slices.SortStableFunc(w.statements, func(a, b statementRow) int { return bytes.Compare(a.release[:], b.release[:]) })
	rows := pgx.CopyFromSlice(len(w.statements), func(i int) ([]any, error) { return w.statements[i].values, nil })
	// Copied, which takes half of what the database needs for a statement that inserts.
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"statements"}, statementColumns, rows); err != nil {
		return err
	}
	b := &pgx.Batch{}
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

// writeLists stores artifact lists that no vote on these releases brought before;
// another release's may have. They go in by
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
	exec(b, `
		INSERT INTO artifact_sets (digest, list, states)
		SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) ON CONFLICT DO NOTHING`, column(sets), encoded, states)
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
		UPDATE releases r SET due_at = u.at FROM unnest($1::bytea[], $2::timestamptz[]) AS u (id, at) WHERE r.id = u.id`, ids, at)
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
