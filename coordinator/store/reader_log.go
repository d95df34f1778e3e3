package store

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
)

// Checkpoint returns the newest signed checkpoint.
func (r *Reader) Checkpoint(ctx context.Context) ([]byte, error) {
	return r.bytes(ctx, "reading the newest checkpoint", `SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1`)
}

// Tile returns a tile's bytes as C2SP tlog-tiles serves them, exactly as wide
// as asked for: hashes, or an entry bundle for the level
// translog.EntriesLevel. ErrNotFound if the published log does not fill it.
func (r *Reader) Tile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.L == translog.EntriesLevel {
		return r.entries(ctx, t.N, t.W)
	}
	what := fmt.Sprintf("reading tile %d of level %d", t.N, t.L)
	data, err := r.bytes(ctx, what, `SELECT substring(data FOR $3) FROM tiles WHERE level = $1 AND n = $2`, t.L, t.N, t.W*hashSize)
	if err == nil && len(data) != t.W*hashSize {
		return nil, fmt.Errorf("%s: %w: it is not as wide yet", what, coordinator.ErrNotFound)
	}
	return data, err
}

// entries returns an entry bundle: width leaves from n times 256 on, each
// behind its length in two bytes.
func (r *Reader) entries(ctx context.Context, n int64, width int) ([]byte, error) {
	what := fmt.Sprintf("reading entry bundle %d", n)
	first := n << translog.TileHeight
	rows, err := r.pool.Query(ctx, `SELECT leaf FROM entries WHERE index >= $1 AND index < $2 ORDER BY index`, first, first+int64(width))
	leaves, err := collect(rows, err, pgx.RowTo[[]byte])
	if err != nil {
		return nil, wrap(what, err)
	}
	if len(leaves) != width {
		return nil, fmt.Errorf("%s: %w: it is not as wide yet", what, coordinator.ErrNotFound)
	}
	var bundle []byte
	for _, leaf := range leaves {
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(leaf)))
		bundle = append(bundle, leaf...)
	}
	return bundle, nil
}

// Body returns the envelope that the log refers to by digest, as canonical
// JSON. ErrNotFound also while its release is under embargo.
func (r *Reader) Body(ctx context.Context, d attest.Digest) ([]byte, error) {
	return r.bytes(ctx, "reading body "+d.Short(), `SELECT envelope FROM bodies WHERE digest = $1 LIMIT 1`, d[:])
}
