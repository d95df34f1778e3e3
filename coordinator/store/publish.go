package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
)

// Publish stores a signed checkpoint and, in the same transaction, what follows
// from it: decisions below its size are logged, their signing jobs open.
func (w *Writer) Publish(ctx context.Context, tree coordinator.Tree, note []byte) error {
	return w.publish(ctx, tree, note, nil, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT r.id FROM log_entries i JOIN decisions d ON d.leaf = i.leaf JOIN releases r ON r.id = d.release
			 WHERE `+newlyPublished+` AND r.state = 'agreed' ORDER BY r.id FOR NO KEY UPDATE OF r`, tree.Size)
		logged, err := collect(rows, err, scanDigest)
		if err != nil {
			return err
		}
		return openLogged(ctx, tx, logged)
	})
}

// PublishSeen is Publish for a checkpoint that witnesses cosigned: of the
// decisions below its size those that hold by the witnesses' time are logged.
// The others expire.
func (w *Writer) PublishSeen(ctx context.Context, tree coordinator.Tree, note []byte, seen coordinator.Seen) error {
	at := seen.At.Time()
	return w.publish(ctx, tree, note, &at, func(tx pgx.Tx) error {
		decided, err := lockDecided(ctx, tx, tree.Size)
		if err != nil || len(decided) == 0 {
			return err
		}
		ids := make([]attest.Digest, len(decided))
		for i, d := range decided {
			ids[i] = d.release
		}
		cases, err := loadCases(ctx, tx, ids, false)
		if err != nil {
			return err
		}
		var logged []attest.Digest
		var late transitions
		for i, l := range cases {
			err := seen.Confirm(l.Case, decided[i].decision, policy.Seen{Opening: decided[i].opened, Decision: seen.At})
			switch {
			case err == nil:
				logged = append(logged, l.Release)
			case errors.Is(err, policy.ErrTooLate):
				late = append(late, move{release: l.Release, retries: l.attempt <= l.retries, Transition: coordinator.Transition{
					State: coordinator.Expired, Reason: err.Error(), Retry: true,
				}})
			default:
				return fmt.Errorf("confirming the decision on %s: %w", l.Release, err)
			}
		}
		if err := late.apply(ctx, tx, 0); err != nil {
			return err
		}
		return openLogged(ctx, tx, logged)
	})
}

// newlyPublished holds for the entries i that a checkpoint of size $1 is the first
// to cover. With each checkpoint that is stored, whatever waited for it has moved on.
const newlyPublished = `i.index < $1 AND i.index >= (SELECT COALESCE(max(c.size), 0) FROM log_checkpoints c WHERE c.size < $1)`

// publish stores a note and does what follows, unless it is stored already.
func (w *Writer) publish(ctx context.Context, tree coordinator.Tree, note []byte, seen *time.Time, follows func(pgx.Tx) error) error {
	return w.tx(ctx, fmt.Sprintf("storing the checkpoint of size %d", tree.Size), func(tx pgx.Tx) error {
		var state coordinator.Tree
		if err := tx.QueryRow(ctx, `SELECT size, root FROM log_state WHERE id = 1`).
			Scan(&state.Size, digest{(*attest.Digest)(&state.Root)}); err != nil {
			return err
		}
		if state.Size < tree.Size || state.Size == tree.Size && state.Root != tree.Root {
			return fmt.Errorf("%w: the log has size %d, and no such tree was ever committed", coordinator.ErrForked, state.Size)
		}
		tag, err := tx.Exec(ctx, `INSERT INTO log_checkpoints (size, root, note, seen_at) VALUES ($1, $2::bytea, $3, $4) ON CONFLICT DO NOTHING`,
			tree.Size, tree.Root[:], note, seen)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return sameTree(ctx, tx, tree, note)
		}
		if err := follows(tx); err != nil {
			return err
		}
		return notify(ctx, tx, coordinator.TopicLog)
	})
}

// sameTree accepts a checkpoint that another replica stored first, if it says
// the same: witnesses may have cosigned it twice, at different times.
func sameTree(ctx context.Context, tx pgx.Tx, tree coordinator.Tree, note []byte) error {
	var stored []byte
	if err := tx.QueryRow(ctx, `SELECT note FROM log_checkpoints WHERE size = $1`, tree.Size).Scan(&stored); err != nil {
		return err
	}
	text := func(note []byte) []byte { return note[:bytes.LastIndex(note, []byte("\n\n"))+1] }
	if !bytes.Equal(text(stored), text(note)) {
		return fmt.Errorf("%w: another checkpoint of this size is stored", coordinator.ErrForked)
	}
	return nil
}

// decided is a release whose decision is in the tree and not logged yet.
type decided struct {
	release  attest.Digest
	decision attest.Decision
	opened   attest.Time // when the witnesses had seen its opening; zero if they have not
}

// lockDecided locks the decided releases below a size, in the order of their
// ids, and reads what their witnesses' time is judged by.
func lockDecided(ctx context.Context, tx pgx.Tx, size int64) ([]decided, error) {
	rows, err := tx.Query(ctx, `
		SELECT r.id, v.envelope,
		       (SELECT c.seen_at FROM log_checkpoints c WHERE c.size > b.index AND c.seen_at IS NOT NULL ORDER BY c.size LIMIT 1)
		  FROM log_entries i
		  JOIN decisions d ON d.leaf = i.leaf
		  JOIN log_bodies v ON v.digest = d.body AND v.leaf = d.leaf
		  JOIN releases r ON r.id = d.release
		  JOIN openings o ON o.id = r.id
		  JOIN log_entries b ON b.leaf = o.leaf
		 WHERE `+newlyPublished+` AND r.state = 'agreed' ORDER BY r.id FOR NO KEY UPDATE OF r`, size)
	return collect(rows, err, func(row pgx.CollectableRow) (decided, error) {
		var d decided
		var encoded []byte
		var opened *time.Time
		if err := row.Scan(digest{&d.release}, &encoded, &opened); err != nil {
			return d, err
		}
		if opened != nil {
			d.opened = attest.At(*opened)
		}
		e, err := attest.ParseEnvelope(encoded)
		if err != nil {
			return d, fmt.Errorf("decision on %s: %w", d.release, err)
		}
		d.decision, err = attest.ParseDecision(e.Payload)
		return d, err
	})
}

// openLogged moves decided releases on to be signed, and makes the jobs for it.
func openLogged(ctx context.Context, tx pgx.Tx, ids []attest.Digest) error {
	if len(ids) == 0 {
		return nil
	}
	b := &pgx.Batch{}
	exec(b, `UPDATE releases SET state = 'logged', logged_at = now(), reason = 'logged' WHERE id = ANY($1)`, column(ids))
	exec(b, `INSERT INTO signing_jobs (release, certificate) SELECT DISTINCT release, unnest(certificates) FROM decisions WHERE release = ANY($1)`, column(ids))
	if err := send(ctx, tx, b); err != nil {
		return err
	}
	return notify(ctx, tx, coordinator.TopicSign)
}

// Await shows a reason at every decided release that is not logged yet.
// Releases that somebody else has locked are left out.
func (w *Writer) Await(ctx context.Context, reason string) error {
	return w.mark(ctx, "noting what decisions wait for", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE releases SET reason = $1
			 WHERE id IN (SELECT r.id
			                FROM (SELECT leaf FROM log_pending
			                      UNION ALL
			                      SELECT leaf FROM log_entries WHERE index >= (SELECT COALESCE(max(size), 0) FROM log_checkpoints)) i
			                JOIN decisions d ON d.leaf = i.leaf
			                JOIN releases r ON r.id = d.release
			               WHERE r.state = 'agreed' AND r.reason <> $1 ORDER BY r.id FOR NO KEY UPDATE OF r SKIP LOCKED)`,
			attest.CleanReason(reason))
		return err
	})
}

// Renew stores the newest checkpoint cosigned again. An older renewal than the
// one that is stored changes nothing.
func (w *Writer) Renew(ctx context.Context, size int64, note []byte, at attest.Time) error {
	return w.tx(ctx, fmt.Sprintf("renewing the checkpoint of size %d", size), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			INSERT INTO log_renewal AS r (id, size, note, seen_at) VALUES (1, $1, $2, $3)
			ON CONFLICT (id) DO UPDATE SET size = excluded.size, note = excluded.note, seen_at = excluded.seen_at
			 WHERE (excluded.size, excluded.seen_at) > (r.size, r.seen_at)`, size, note, at.Time()); err != nil {
			return err
		}
		return notify(ctx, tx, coordinator.TopicLog)
	})
}

// Checkpoint returns the newest stored checkpoint, as it was cosigned last.
func (w *Writer) Checkpoint(ctx context.Context) (tree coordinator.Tree, note []byte, err error) {
	err = w.pool.QueryRow(ctx, `
		SELECT c.size, c.root, COALESCE(n.note, c.note)
		  FROM log_checkpoints c LEFT JOIN log_renewal n ON n.size = c.size ORDER BY c.size DESC LIMIT 1`).
		Scan(&tree.Size, digest{(*attest.Digest)(&tree.Root)}, &note)
	return tree, note, wrap("reading the newest checkpoint", err)
}

// Covering returns the smallest stored checkpoint above an index, as it was
// cosigned first.
func (w *Writer) Covering(ctx context.Context, index int64, seen bool) (tree coordinator.Tree, note []byte, err error) {
	query := `SELECT size, root, note FROM log_checkpoints WHERE size > $1 ORDER BY size LIMIT 1`
	if seen {
		query = `SELECT size, root, note FROM log_checkpoints WHERE size > $1 AND seen_at IS NOT NULL ORDER BY size LIMIT 1`
	}
	err = w.pool.QueryRow(ctx, query, index).Scan(&tree.Size, digest{(*attest.Digest)(&tree.Root)}, &note)
	return tree, note, wrap(fmt.Sprintf("reading the checkpoint that covers entry %d", index), err)
}
