package store

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// integratorLock is the key of the advisory lock that keeps replicas from
// queueing on the log's state row. Correctness is the row's, not the lock's.
const integratorLock = 0x72657072_6f6c6f67

// hashSize is the size of a node hash in a tile.
const hashSize = 32

// Integrate moves up to limit leaves from the outbox into the tree.
func (w *Writer) Integrate(ctx context.Context, limit int, grow coordinator.Grow) (int, error) {
	n := 0
	err := w.tx(ctx, "integrating log entries", func(tx pgx.Tx) error {
		n = 0
		var free bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, int64(integratorLock)).Scan(&free); err != nil || !free {
			return err
		}
		var old coordinator.Tree
		if err := tx.QueryRow(ctx, `SELECT size, root FROM log_state WHERE id = 1 FOR UPDATE`).
			Scan(&old.Size, digest{(*attest.Digest)(&old.Root)}); err != nil {
			return err
		}
		ids, leaves, err := takePending(ctx, tx, limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		tree, tiles, err := grow(old, leaves, func(want []tlog.Tile) ([][]byte, error) { return readTiles(ctx, tx, want) })
		if err != nil {
			return err
		}
		if tree.Size != old.Size+int64(len(leaves)) {
			return fmt.Errorf("tree of size %d grew by %d leaves to %d", old.Size, len(leaves), tree.Size)
		}
		n = len(ids)
		return writeTree(ctx, tx, old, tree, ids, tiles)
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func takePending(ctx context.Context, tx pgx.Tx, limit int) ([]int64, []tlog.Hash, error) {
	rows, err := tx.Query(ctx, `SELECT leaf, leaf_hash FROM log_pending ORDER BY leaf LIMIT $1`, limit)
	var leaves []tlog.Hash
	ids, err := collect(rows, err, func(row pgx.CollectableRow) (int64, error) {
		var id int64
		var h attest.Digest
		err := row.Scan(&id, digest{&h})
		leaves = append(leaves, tlog.Hash(h))
		return id, err
	})
	return ids, leaves, err
}

func writeTree(ctx context.Context, tx pgx.Tx, old, tree coordinator.Tree, ids []int64, tiles []coordinator.Tile) error {
	levels, numbers, data := make([]int16, len(tiles)), make([]int64, len(tiles)), make([][]byte, len(tiles))
	for i, t := range tiles {
		levels[i], numbers[i], data[i] = int16(t.Level), t.N, t.Data
	}
	b := &pgx.Batch{}
	// By an array of keys: a subquery here costs a second per thousand rows
	// while the table's statistics are stale.
	exec(b, `DELETE FROM log_pending WHERE leaf = ANY($1)`, ids)
	exec(b, `
		INSERT INTO log_entries (index, leaf) SELECT $2::bigint + u.position - 1, u.leaf
		  FROM unnest($1::bigint[]) WITH ORDINALITY AS u (leaf, position)`, ids, old.Size)
	exec(b, `
		INSERT INTO log_tiles AS t (level, n, data) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
		ON CONFLICT (level, n) DO UPDATE SET data = excluded.data WHERE octet_length(excluded.data) > octet_length(t.data)`,
		levels, numbers, data)
	if err := send(ctx, tx, b); err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `UPDATE log_state SET size = $1, root = $2 WHERE id = 1 AND size = $3 AND root = $4`,
		tree.Size, tree.Root[:], old.Size, old.Root[:])
	if err != nil {
		return err
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("log of size %d was grown by somebody else: %w", old.Size, coordinator.ErrUnavailable)
	}
	return nil
}

// Committed returns the committed tree, and whether a checkpoint of its size is stored.
func (w *Writer) Committed(ctx context.Context) (tree coordinator.Tree, published bool, err error) {
	err = w.pool.QueryRow(ctx, `
		SELECT s.size, s.root, EXISTS (SELECT FROM log_checkpoints c WHERE c.size = s.size) FROM log_state s WHERE s.id = 1`).
		Scan(&tree.Size, digest{(*attest.Digest)(&tree.Root)}, &published)
	return tree, published, wrap("reading the log's state", err)
}

// Tiles returns stored tiles, each at least as long as asked for.
func (w *Writer) Tiles(ctx context.Context, want []tlog.Tile) ([][]byte, error) {
	tiles, err := readTiles(ctx, w.pool, want)
	return tiles, wrap("reading log tiles", err)
}

func readTiles(ctx context.Context, q querier, want []tlog.Tile) ([][]byte, error) {
	if len(want) == 0 {
		return nil, nil
	}
	type key struct{ level, n int64 }
	levels, numbers := make([]int16, len(want)), make([]int64, len(want))
	for i, t := range want {
		if t.L < 0 || t.L > math.MaxInt8 {
			return nil, fmt.Errorf("tile of level %d", t.L)
		}
		levels[i], numbers[i] = int16(t.L), t.N
	}
	rows, err := q.Query(ctx, `
		SELECT t.level, t.n, t.data FROM log_tiles t
		  JOIN unnest($1::smallint[], $2::bigint[]) AS u (level, n) ON t.level = u.level AND t.n = u.n`, levels, numbers)
	if err != nil {
		return nil, err
	}
	found := map[key][]byte{}
	for rows.Next() {
		var k key
		var data []byte
		if err := rows.Scan(&k.level, &k.n, &data); err != nil {
			rows.Close()
			return nil, err
		}
		found[k] = data
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	out := make([][]byte, len(want))
	for i, t := range want {
		out[i] = found[key{int64(t.L), t.N}]
		if len(out[i]) < t.W*hashSize {
			return nil, fmt.Errorf("%w: tile %d of level %d has %d hashes, %d wanted", coordinator.ErrNotFound, t.N, t.L, len(out[i])/hashSize, t.W)
		}
	}
	return out, nil
}
