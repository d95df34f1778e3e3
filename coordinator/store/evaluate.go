package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// reservationPause is how long a release waits that agreed on a name which
// another, undecided release holds with other content.
const reservationPause = 30 * time.Second

// Evaluate judges up to limit due releases. Releases that somebody else has
// locked are left out: they are either judged there already or get a vote that
// makes them due again. Those that close are leased to the caller, as
// ClaimUndecided does it, in the same transaction.
func (w *Writer) Evaluate(ctx context.Context, limit int, lease time.Duration, judge func(coordinator.Case, attest.Time) coordinator.Transition) (n int, closed []coordinator.Undecided, err error) {
	err = w.mark(ctx, "evaluating releases", func(tx pgx.Tx) error {
		closed = nil
		rows, err := tx.Query(ctx, `
			SELECT id FROM releases WHERE due_at <= `+asOf+`
			 ORDER BY due_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED`, limit)
		ids, err := collect(rows, err, scanDigest)
		n = len(ids)
		if err != nil || n == 0 {
			return err
		}
		// The clock is read after the locks: a vote that was counted before has
		// an earlier time.
		var now time.Time
		if err := tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
			return err
		}
		cases, err := loadCases(ctx, tx, ids, lease > 0)
		if err != nil {
			return err
		}
		var moves transitions
		closing := &reservation{}
		for _, l := range cases {
			m := move{release: l.Release, Transition: judge(l.Case, attest.At(now)), retries: l.attempt <= l.retries}
			if m.Close {
				closing.add(l.Release, l.Suite, l.source, l.Sets[m.Set])
			}
			moves = append(moves, m)
		}
		problems, err := closing.reserve(ctx, tx)
		if err != nil {
			return err
		}
		for i := range moves {
			if p, ok := problems[moves[i].release]; ok {
				moves[i].Transition = p.transition(attest.At(now))
			}
		}
		if err := moves.apply(ctx, tx, lease); err != nil || lease == 0 {
			return err
		}
		for i, m := range moves {
			if m.Close {
				closed = append(closed, cases[i].leased(m.Set))
			}
		}
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	return n, closed, nil
}

func scanDigest(row pgx.CollectableRow) (attest.Digest, error) {
	var d attest.Digest
	err := row.Scan(digest{&d})
	return d, err
}

// move is what becomes of one release.
type move struct {
	coordinator.Transition

	release attest.Digest
	retries bool // the suite allows another attempt after this one
}

type transitions []move

// apply writes transitions set by set. The releases are locked. Without a lease
// those that close wait for whoever claims them first.
func (ts transitions) apply(ctx context.Context, tx pgx.Tx, lease time.Duration) error {
	if len(ts) == 0 {
		return nil
	}
	ids, sets := make([][]byte, len(ts)), make([][]byte, len(ts))
	states, reasons := make([]string, len(ts)), make([]string, len(ts))
	due := make([]*time.Time, len(ts))
	ended, retry := make([]bool, len(ts)), make([]bool, len(ts))
	var topics topicSet
	for i, t := range ts {
		ids[i], states[i], reasons[i] = t.release[:], string(t.State), attest.CleanReason(t.Reason)
		switch {
		case t.Close:
			states[i], sets[i] = string(coordinator.Building), t.Set[:]
			if lease == 0 {
				topics.add(coordinator.TopicDecide)
			}
		case t.State == coordinator.Building || t.State == coordinator.Held:
			// GREATEST ignores null, so that a judge that names no time is asked
			// again soon rather than never: a deadline must not be missed.
			if !t.Due.IsZero() {
				at := t.Due.Time()
				due[i] = &at
			}
		default:
			ended[i], retry[i] = true, t.Retry && t.retries
			if retry[i] {
				topics.add(coordinator.TopicRetry)
			}
		}
	}
	b := &pgx.Batch{}
	exec(b, `
		UPDATE releases r
		   SET state = u.state, reason = u.reason,
		       due_at = CASE WHEN u.set_digest IS NULL AND NOT u.ended THEN GREATEST(u.due, now() + interval '1 second') END,
		       closed_at = CASE WHEN u.set_digest IS NOT NULL THEN now() ELSE r.closed_at END,
		       agreed_set = COALESCE(u.set_digest, r.agreed_set),
		       claimable_at = CASE WHEN u.set_digest IS NOT NULL THEN now() + $7 END,
		       fence = CASE WHEN u.set_digest IS NOT NULL THEN r.fence + 1 ELSE r.fence END,
		       ended_at = CASE WHEN u.ended THEN now() END
		  FROM unnest($1::bytea[], $2::text[], $3::text[], $4::timestamptz[], $5::bytea[], $6::boolean[])
		           AS u (id, state, reason, due, set_digest, ended)
		 WHERE r.id = u.id`, ids, states, reasons, due, sets, ended, lease)
	exec(b, `
		UPDATE request_progress p SET wanted = u.retry AND NOT p.withdrawn, open = u.retry AND NOT p.withdrawn
		  FROM unnest($1::bytea[], $2::boolean[], $3::boolean[]) AS u (id, ended, retry)
		  JOIN openings o ON o.id = u.id
		 WHERE u.ended AND p.request = o.request AND o.attempt = p.attempts`, ids, ended, retry)
	freeNames(b, endedOf(ids, ended))
	if err := send(ctx, tx, b); err != nil {
		return err
	}
	return notify(ctx, tx, topics...)
}

func endedOf(ids [][]byte, ended []bool) [][]byte {
	var out [][]byte
	for i, id := range ids {
		if ended[i] {
			out = append(out, id)
		}
	}
	return out
}

// topicSet is a list of distinct topics.
type topicSet []coordinator.Topic

func (s *topicSet) add(t coordinator.Topic) {
	if slices.Contains(*s, t) {
		return
	}
	*s = append(*s, t)
}

// NextDue returns when the earliest item of a topic falls due that no
// notification will announce, zero if there is none. It may lie in the past
// while somebody else works on that item.
func (w *Writer) NextDue(ctx context.Context, topic coordinator.Topic) (time.Time, error) {
	var query string
	switch topic {
	case coordinator.TopicEvaluate:
		query = `SELECT min(due_at) FROM releases WHERE due_at IS NOT NULL`
	case coordinator.TopicDecide:
		query = `SELECT min(claimable_at) FROM releases WHERE claimable_at IS NOT NULL`
	case coordinator.TopicSign:
		query = `SELECT (SELECT k.claimable_at FROM signing_jobs k WHERE k.state = 'open' AND ` + jobIsReady + ` ORDER BY k.claimable_at LIMIT 1)`
	default:
		return time.Time{}, nil
	}
	var at *time.Time
	if err := w.pool.QueryRow(ctx, query).Scan(&at); err != nil || at == nil {
		return time.Time{}, wrap("reading when work falls due", err)
	}
	return *at, nil
}
