package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
)

// LogEntries returns the newest checkpoint, nil if there is none, and entries
// below it from an index on: at most limit of them, and at most size bytes of
// leaves and envelopes unless the first entry alone is larger.
func (w *Writer) LogEntries(ctx context.Context, from int64, limit, size int) ([]byte, []translog.Entry, error) {
	const what = "reading log entries"
	tree, note, err := w.Checkpoint(ctx)
	if errors.Is(err, coordinator.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil || tree.Size <= from {
		return note, nil, err
	}
	// What is taken is settled by lengths alone, before an envelope is read. A leaf
	// with several bodies counts with each.
	rows, err := w.pool.Query(ctx, `
		SELECT index, leaf, digest, envelope
		  FROM (SELECT i.index, l.leaf, b.digest, b.envelope,
		               sum(octet_length(l.leaf) + COALESCE(octet_length(b.envelope), 0)) OVER (ORDER BY i.index) AS bytes
		          FROM log_entries i
		          JOIN log_leaves l ON l.id = i.leaf
		          LEFT JOIN log_bodies b ON b.leaf = i.leaf
		         WHERE i.index >= $1 AND i.index < $2) sized
		 WHERE bytes <= $3 OR index = $1
		 ORDER BY index, digest`, from, min(from+int64(limit), tree.Size), size)
	if err != nil {
		return nil, nil, wrap(what, err)
	}
	var entries []translog.Entry
	var index int64
	var leaf, envelope []byte
	var d attest.Digest
	if _, err := pgx.ForEachRow(rows, []any{&index, &leaf, digest{&d}, &envelope}, func() error {
		if len(entries) == 0 || entries[len(entries)-1].Index != index {
			entries = append(entries, translog.Entry{Index: index, Leaf: leaf})
		}
		if envelope == nil {
			return nil
		}
		e, err := attest.ParseEnvelope(envelope)
		if err != nil {
			return err
		}
		entry := &entries[len(entries)-1]
		if translog.BodyDigest(e) == d {
			entry.Envelope = e
		} else {
			entry.Bodies = append(entry.Bodies, e)
		}
		return nil
	}); err != nil {
		return nil, nil, wrap(what, err)
	}
	return note, entries, nil
}
