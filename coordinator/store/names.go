package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// wish is a file name that a closing release needs in its suite.
type wish struct {
	release             attest.Digest
	suite, source, name string
	sha256              attest.Digest
}

// reservation is what the closing releases of one transaction wish for.
type reservation struct{ wishes []wish }

func (r *reservation) add(release attest.Digest, suite, source string, artifacts attest.Artifacts) {
	for _, a := range artifacts {
		r.wishes = append(r.wishes, wish{release, suite, source, a.Name, a.SHA256})
	}
}

// problem is why a release cannot have a name.
type problem struct {
	name  string
	bound bool // for good; else an undecided release holds it
	why   string
}

// transition replaces a closing release's transition.
func (p problem) transition(now attest.Time) coordinator.Transition {
	if p.bound {
		return coordinator.Transition{
			State:  coordinator.Conflict,
			Reason: fmt.Sprintf("agreed, but %s: publish it under another name or version", p.why),
		}
	}
	return coordinator.Transition{
		State: coordinator.Building, Due: now.Add(reservationPause),
		Reason: fmt.Sprintf("agreed, waiting because %s", p.why),
	}
}

// reserve takes the names and returns the releases that cannot have theirs. A
// name is free if nobody has it, or a release had it that ended undecided. The
// same content of the same source may be shared: that is what architecture
// independent packages do.
func (r *reservation) reserve(ctx context.Context, tx pgx.Tx) (map[attest.Digest]problem, error) {
	if len(r.wishes) == 0 {
		return nil, nil
	}
	c := r.distinct()
	owners := map[fileName]owner{}
	rows, err := tx.Query(ctx, `
		INSERT INTO names AS n (suite, name, sha256, source, release)
		SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::bytea[])
		ON CONFLICT (suite, name) DO UPDATE
		   SET sha256 = excluded.sha256, source = excluded.source, release = excluded.release, held = true
		 WHERE NOT n.held
		RETURNING n.suite, n.name, n.sha256, n.source, n.held, n.bound`, c.suites, c.names, c.sha256s, c.sources, c.releases)
	if err := readOwners(rows, err, owners); err != nil {
		return nil, err
	}
	if len(owners) < len(c.names) { // the others are somebody's; they are locked by now
		rows, err := tx.Query(ctx, `
			SELECT n.suite, n.name, n.sha256, n.source, n.held, n.bound
			  FROM names n JOIN unnest($1::text[], $2::text[]) AS u (suite, name) ON n.suite = u.suite AND n.name = u.name`, c.suites, c.names)
		if err := readOwners(rows, err, owners); err != nil {
			return nil, err
		}
	}
	return r.problems(owners), nil
}

// confirm is reserve for releases that have taken their names. They have them
// still, unless they shared them with a release that ended meanwhile.
func (r *reservation) confirm(ctx context.Context, tx pgx.Tx) (map[attest.Digest]problem, error) {
	c := r.distinct()
	owners := map[fileName]owner{}
	rows, err := tx.Query(ctx, `
		SELECT n.suite, n.name, n.sha256, n.source, n.held, n.bound
		  FROM names n
		  JOIN unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (suite, name, position) ON n.suite = u.suite AND n.name = u.name
		 ORDER BY u.position FOR NO KEY UPDATE OF n`, c.suites, c.names)
	if err := readOwners(rows, err, owners); err != nil {
		return nil, err
	}
	free := func(w wish) bool { return !owners[fileName{w.suite, w.name}].held }
	if slices.ContainsFunc(r.wishes, free) {
		return r.reserve(ctx, tx)
	}
	return r.problems(owners), nil
}

// fileName is what the content of one file is bound to.
type fileName struct{ suite, name string }

// owner is who has a file name, and with what content.
type owner struct {
	sha256 attest.Digest
	source string
	held   bool
	bound  bool
}

func readOwners(rows pgx.Rows, err error, into map[fileName]owner) error {
	if err != nil {
		return err
	}
	var n fileName
	var o owner
	_, err = pgx.ForEachRow(rows, []any{&n.suite, &n.name, digest{&o.sha256}, &o.source, &o.held, &o.bound}, func() error {
		into[n] = o
		return nil
	})
	return err
}

// problems tells who of those that wish for names cannot have them.
func (r *reservation) problems(owners map[fileName]owner) map[attest.Digest]problem {
	problems := map[attest.Digest]problem{}
	for _, w := range r.wishes {
		o := owners[fileName{w.suite, w.name}]
		p := problem{name: w.name, bound: o.bound}
		switch {
		case o.source != w.source:
			p.why = fmt.Sprintf("the file name %s belongs to the source %s in this suite", w.name, o.source)
		case o.sha256 != w.sha256:
			p.why = fmt.Sprintf("the file name %s has other content in this suite already", w.name)
		default:
			continue
		}
		if known, ok := problems[w.release]; !ok || p.bound && !known.bound {
			problems[w.release] = p
		}
	}
	return problems
}

// distinct returns the wishes with one for each name, in one order for all
// transactions, so that they wait for and not on each other.
func (r *reservation) distinct() columns {
	slices.SortFunc(r.wishes, func(a, b wish) int {
		return cmp.Or(strings.Compare(a.suite, b.suite), strings.Compare(a.name, b.name),
			strings.Compare(string(a.release[:]), string(b.release[:])))
	})
	return wishColumns(slices.CompactFunc(slices.Clone(r.wishes), func(a, b wish) bool { return a.suite == b.suite && a.name == b.name }))
}

// columns holds wishes column by column.
type columns struct {
	suites, names, sources []string
	sha256s, releases      [][]byte
}

func wishColumns(wishes []wish) columns {
	var c columns
	for i := range wishes {
		w := &wishes[i]
		c.suites, c.names, c.sources = append(c.suites, w.suite), append(c.names, w.name), append(c.sources, w.source)
		c.sha256s, c.releases = append(c.sha256s, w.sha256[:]), append(c.releases, w.release[:])
	}
	return c
}

// freeNames lets go of the names that releases held and ended without a decision.
func freeNames(b *pgx.Batch, releases [][]byte) {
	exec(b, `UPDATE names SET held = false WHERE release = ANY($1) AND held AND NOT bound`, releases)
}
