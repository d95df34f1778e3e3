package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// appendEntries puts entries into the log's outbox with their bodies, in the
// transaction of what they are about, and returns their leaf ids. embargoed,
// unless zero, is the release whose digests the bodies hold.
func appendEntries(ctx context.Context, tx pgx.Tx, entries []coordinator.Entry, embargoed attest.Digest) ([]int64, error) {
	leaves, hashes := make([][]byte, len(entries)), make([][]byte, len(entries))
	for i, e := range entries {
		hash := tlog.RecordHash(e.Leaf)
		leaves[i], hashes[i] = e.Leaf, hash[:]
	}
	rows, err := tx.Query(ctx, `
		WITH leaf AS (INSERT INTO log_leaves (leaf, leaf_hash)
		              SELECT * FROM unnest($1::bytea[], $2::bytea[]) RETURNING id, leaf_hash),
		     pending AS (INSERT INTO log_pending (leaf, leaf_hash) SELECT id, leaf_hash FROM leaf)
		SELECT id, leaf_hash FROM leaf`, leaves, hashes)
	if err != nil {
		return nil, err
	}
	ids := make(map[tlog.Hash][]int64, len(entries)) // equal leaves may take each other's id
	var id int64
	var raw []byte
	if _, err := pgx.ForEachRow(rows, []any{&id, &raw}, func() error {
		ids[tlog.Hash(raw)] = append(ids[tlog.Hash(raw)], id)
		return nil
	}); err != nil {
		return nil, err
	}
	out := make([]int64, len(entries))
	var bodyLeaves []int64
	var digests, bodies [][]byte
	for i, e := range entries {
		left := ids[tlog.Hash(hashes[i])]
		if len(left) == 0 {
			return nil, fmt.Errorf("log leaf %d of %d got no id", i+1, len(entries))
		}
		out[i], ids[tlog.Hash(hashes[i])] = left[0], left[1:]
		for d, body := range e.Bodies {
			bodyLeaves, digests, bodies = append(bodyLeaves, out[i]), append(digests, d[:]), append(bodies, body)
		}
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO log_bodies (leaf, digest, envelope, release)
		SELECT leaf, digest, envelope, $4::bytea FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS b (leaf, digest, envelope)`,
		bodyLeaves, digests, bodies, nullable(embargoed))
	return out, err
}

func appendEntry(ctx context.Context, tx pgx.Tx, e coordinator.Entry, embargoed attest.Digest) (int64, error) {
	ids, err := appendEntries(ctx, tx, []coordinator.Entry{e}, embargoed)
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}
