package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
)

func TestReleasesAreListedPageByPage(t *testing.T) {
	w := newWorld(t)
	ids := w.many(25, rules{invited: operators("alpha", "beta"), threshold: 2})
	seen := map[attest.Digest]int{}
	f := coordinator.Filter{Suite: suite, State: coordinator.Building}
	pages := 0
	for {
		page, err := w.reader.Releases(t.Context(), f, 10)
		must(t, err)
		if len(page) == 0 {
			break
		}
		pages++
		for _, v := range page {
			seen[v.Release]++
		}
		last := page[len(page)-1]
		f.Before = coordinator.Position{Opened: last.Opened, Release: last.Release}
	}
	if pages != 3 || len(seen) != len(ids) {
		t.Errorf("%d releases on %d pages, want %d on 3", len(seen), pages, len(ids))
	}
	one, err := w.reader.Releases(t.Context(), coordinator.Filter{Source: "package-7"}, 10)
	if err != nil || len(one) != 1 || one[0].Source != "package-7" {
		t.Errorf("releases of one source: %v, %v", one, err)
	}
	counts, err := w.reader.Counts(t.Context())
	if err != nil || counts[suite][coordinator.Building] != len(ids) {
		t.Errorf("counts %v, %v", counts, err)
	}
}

func TestEmbargoOfAnAttemptEndsWithTheLastAttempt(t *testing.T) {
	w := newWorld(t)
	b, other := build(t, "content", "hello.deb"), build(t, "other", "hello.deb")
	s := w.submission("hello", "1.0", nil)
	_, _, err := w.writer.Submit(t.Context(), s, 10)
	must(t, err)
	conflict := func(retry bool) func(coordinator.Case, attest.Time) coordinator.Transition {
		return func(coordinator.Case, attest.Time) coordinator.Transition {
			return coordinator.Transition{State: coordinator.Conflict, Reason: "no set can reach the threshold", Retry: retry}
		}
	}
	var first attest.Digest
	for attempt := 1; attempt <= 2; attempt++ {
		r := w.newRelease(s, rules{invited: operators("alpha", "beta", "gamma"), threshold: 3, retries: 1, attempt: attempt})
		must(t, w.writer.Open(t.Context(), r))
		w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b), w.vote(r.ID, "gamma", other))
		if attempt == 1 {
			first = r.ID
		}
		if n, _, err := w.writer.Evaluate(t.Context(), 10, 0, conflict(true)); err != nil || n != 1 {
			t.Fatalf("evaluated %d, %v", n, err)
		}
		v := w.view(first)
		over := attempt == 2
		if v.Disclosed != over || v.Final != over || v.Newest != r.ID || v.Attempts != attempt {
			t.Fatalf("after attempt %d: %+v", attempt, v)
		}
		want := map[bool][]policy.View{
			false: {coordinator.Reported, coordinator.Reported, coordinator.Reported},
			true:  {policy.ViewAgrees, policy.ViewAgrees, policy.ViewDiffers},
		}[over]
		for i, vote := range v.Votes {
			if vote.View != want[i] || vote.Set.IsZero() == over {
				t.Errorf("after attempt %d: %s is %s, want %s", attempt, vote.Rebuilder, vote.View, want[i])
			}
		}
		sets, err := w.reader.Sets(t.Context(), first)
		if err != nil || (len(sets) == 2) != over {
			t.Errorf("after attempt %d: %d lists, %v", attempt, len(sets), err)
		}
	}
}

func TestWhatIsNotPublishedIsNotFound(t *testing.T) {
	w := newWorld(t)
	if _, err := w.reader.Checkpoint(t.Context()); !errors.Is(err, coordinator.ErrNotFound) {
		t.Errorf("checkpoint of a new log: %v", err)
	}
	w.publish()
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	body := translog.BodyDigest(r.Envelope)
	two := tlog.Tile{H: translog.TileHeight, L: 0, N: 0, W: 2}
	entries := tlog.Tile{H: translog.TileHeight, L: translog.EntriesLevel, N: 0, W: 2}
	for _, tile := range []tlog.Tile{two, entries} {
		if _, err := w.reader.Tile(t.Context(), tile); !errors.Is(err, coordinator.ErrNotFound) {
			t.Errorf("tile %v before its checkpoint: %v", tile, err)
		}
	}
	if _, err := w.reader.Body(t.Context(), body); !errors.Is(err, coordinator.ErrNotFound) {
		t.Errorf("body before its checkpoint: %v", err)
	}
	w.publish()
	for _, tile := range []tlog.Tile{two, entries} {
		if _, err := w.reader.Tile(t.Context(), tile); err != nil {
			t.Errorf("tile %v: %v", tile, err)
		}
	}
	if _, err := w.reader.Body(t.Context(), body); err != nil {
		t.Errorf("body: %v", err)
	}
	unknown := attest.SHA256([]byte("unknown"))
	if _, err := w.reader.View(t.Context(), unknown); !errors.Is(err, coordinator.ErrNotFound) {
		t.Errorf("unknown release: %v", err)
	}
	if _, err := w.reader.ByArtifact(t.Context(), unknown); !errors.Is(err, coordinator.ErrNotFound) {
		t.Errorf("unknown artifact: %v", err)
	}
	if _, err := w.reader.Evidence(t.Context(), r.ID); !errors.Is(err, coordinator.ErrNotFound) {
		t.Errorf("evidence of an undecided release: %v", err)
	}
}

// Anybody may ask for it at any time: it must not cost more the longer the log is.
func TestNewestCheckpointIsReadWithoutTheOthers(t *testing.T) {
	w := newWorld(t)
	role := w.connect("reprosign_dashboard")
	_, err := role.Exec(t.Context(), `SET enable_seqscan = off`) // as if there were many
	must(t, err)
	rows, err := role.Query(t.Context(), `EXPLAIN SELECT note FROM public_face.checkpoints ORDER BY size DESC LIMIT 1`)
	must(t, err)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	if text := strings.Join(plan, "\n"); !strings.Contains(text, "Index Scan Backward") {
		t.Errorf("all checkpoints are read:\n%s", text)
	}
}
