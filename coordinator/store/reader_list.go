package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// MaxPage bounds the releases on one page.
const MaxPage = 200

// Releases lists at most limit releases, at most [MaxPage], newest first,
// without their votes and artifacts.
func (r *Reader) Releases(ctx context.Context, f coordinator.Filter, limit int) ([]*coordinator.View, error) {
	var where []string
	var args []any
	for _, c := range []struct{ column, value string }{
		{"suite", f.Suite}, {"source", f.Source}, {"version", f.Version}, {"architecture", f.Architecture}, {"state", string(f.State)},
	} {
		if c.value != "" {
			args = append(args, c.value)
			where = append(where, fmt.Sprintf("%s = $%d", c.column, len(args)))
		}
	}
	if !f.Request.IsZero() {
		args = append(args, f.Request[:])
		where = append(where, fmt.Sprintf("request = $%d", len(args)))
	}
	if !f.Before.Opened.IsZero() {
		args = append(args, f.Before.Opened.Time(), f.Before.Release[:])
		where = append(where, fmt.Sprintf("(opened_at, id) < ($%d, $%d)", len(args)-1, len(args)))
	}
	query := selectView
	if len(where) > 0 {
		query += "WHERE " + strings.Join(where, " AND ")
	}
	args = append(args, min(max(limit, 1), MaxPage))
	rows, err := r.pool.Query(ctx, fmt.Sprintf("%s ORDER BY opened_at DESC, id DESC LIMIT $%d", query, len(args)), args...)
	found, err := collect(rows, err, scanView)
	if err != nil {
		return nil, wrap("listing releases", err)
	}
	out := make([]*coordinator.View, len(found))
	for i, v := range found {
		out[i] = &v.View
	}
	return out, nil
}

// Counts returns how many releases of each suite are in each state.
func (r *Reader) Counts(ctx context.Context) (map[string]map[coordinator.State]int, error) {
	const doing = "counting releases"
	rows, err := r.pool.Query(ctx, `SELECT suite, state, count(*) FROM release_states GROUP BY suite, state`)
	if err != nil {
		return nil, wrap(doing, err)
	}
	defer rows.Close()
	counts := map[string]map[coordinator.State]int{}
	for rows.Next() {
		var suite string
		var state coordinator.State
		var n int
		if err := rows.Scan(&suite, &state, &n); err != nil {
			return nil, wrap(doing, err)
		}
		if counts[suite] == nil {
			counts[suite] = map[coordinator.State]int{}
		}
		counts[suite][state] = n
	}
	return counts, wrap(doing, rows.Err())
}

// Policies returns the signed policies, newest first.
func (r *Reader) Policies(ctx context.Context) ([]*attest.Envelope, error) {
	const doing = "reading policies"
	rows, err := r.pool.Query(ctx, `SELECT envelope FROM policies ORDER BY serial DESC`)
	encoded, err := collect(rows, err, pgx.RowTo[[]byte])
	if err != nil {
		return nil, wrap(doing, err)
	}
	out := make([]*attest.Envelope, len(encoded))
	for i, e := range encoded {
		if out[i], err = attest.ParseEnvelope(e); err != nil {
			return nil, wrap(doing, err)
		}
	}
	return out, nil
}

// Sets returns the artifact lists that were built in a release whose embargo
// is over, by set digest.
func (r *Reader) Sets(ctx context.Context, release attest.Digest) (map[attest.Digest]attest.Artifacts, error) {
	doing := "reading the artifact sets of release " + release.Short()
	rows, err := r.pool.Query(ctx, `SELECT list FROM sets WHERE release = $1`, release[:])
	lists, err := collect(rows, err, pgx.RowTo[[]byte])
	if err != nil {
		return nil, wrap(doing, err)
	}
	sets := make(map[attest.Digest]attest.Artifacts, len(lists))
	for _, list := range lists {
		artifacts, err := attest.ParseArtifacts(list)
		if err != nil {
			return nil, wrap(doing, err)
		}
		sets[attest.SHA256(list)] = artifacts
	}
	return sets, nil
}

// Certificate returns an OpenPGP certificate, binary, by its signing key's fingerprint.
func (r *Reader) Certificate(ctx context.Context, fingerprint string) ([]byte, error) {
	return r.bytes(ctx, "reading certificate "+fingerprint, `SELECT certificate FROM certificates WHERE fingerprint = $1`, fingerprint)
}
