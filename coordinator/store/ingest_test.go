package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// many opens n releases with the same rules, quickly.
func (w *world) many(n int, r rules) []attest.Digest {
	w.t.Helper()
	ids := make([]attest.Digest, n)
	parallel(w.t, 8, n, func(i int) error {
		s := w.submission(fmt.Sprintf("package-%d", i), "1.0", nil)
		if _, _, err := w.writer.Submit(w.t.Context(), s, 1<<20); err != nil {
			return err
		}
		release := w.newRelease(s, r)
		ids[i] = release.ID
		return w.writer.Open(w.t.Context(), release)
	})
	return ids
}

// parallel runs do for 0 to n-1 on some workers and fails on the first error.
func parallel(t testing.TB, workers, n int, do func(int) error) {
	t.Helper()
	var group sync.WaitGroup
	failures := make(chan error, workers)
	for worker := range workers {
		group.Go(func() {
			for i := worker; i < n; i += workers {
				if err := do(i); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// The trap of reference/ingest.md: with seven writers, one per rebuilder, and a
// threshold of seven, the last two voters must see each other.
func TestNoQuorumIsLostWhenLastVotesCommitAtTheSameTime(t *testing.T) {
	voteAtTheSameTime(t, 300, 30)
}

// voteAtTheSameTime has seven rebuilders vote for as many releases as said, in
// batches, all at once. TestLongNoQuorumIsLostWhenLastVotesCommitAtTheSameTime
// has more of both.
func voteAtTheSameTime(t *testing.T, releases, batch int) {
	t.Helper()
	const voters = 7
	w := newWorld(t)
	var names []string
	for i := range voters {
		names = append(names, fmt.Sprintf("rebuilder-%d", i))
		w.agent(names[i])
	}
	ids := w.many(releases, rules{invited: operators(names...), threshold: voters})
	b := build(t, "content", "file.deb")
	votes := make([][]coordinator.Incoming, voters)
	parallel(t, voters, voters, func(v int) error {
		for _, id := range ids {
			votes[v] = append(votes[v], w.vote(id, names[v], b))
		}
		return nil
	})
	parallel(t, voters, voters, func(v int) error {
		for start := 0; start < releases; start += batch {
			if _, err := w.writer.Ingest(t.Context(), votes[v][start:start+batch]); err != nil {
				return err
			}
		}
		return nil
	})
	if due := w.count(`SELECT count(*) FROM releases WHERE due_at <= now()`); due != releases {
		t.Errorf("%d of %d complete quorums are due for a verdict", due, releases)
	}
}

func TestStormOfRepeatedAndContradictingStatementsIsStoredExactly(t *testing.T) {
	const releases, repeats, writers = 100, 8, 8
	w := newWorld(t)
	names := []string{"alpha", "beta", "gamma", "delta"}
	for _, n := range names {
		w.agent(n)
	}
	ids := w.many(releases, rules{invited: operators(names...), threshold: 3})
	b, other := build(t, "content", "file.deb"), build(t, "other", "file.deb")
	var storm []coordinator.Incoming
	for _, id := range ids {
		for _, n := range names {
			storm = append(storm, w.vote(id, n, b))
		}
		storm = append(storm, w.vote(id, "delta", other))
	}
	var sent []coordinator.Incoming
	for range repeats {
		sent = append(sent, storm...)
	}
	rand.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
	const batch = 90
	parallel(t, writers, (len(sent)+batch-1)/batch, func(i int) error {
		_, err := w.writer.Ingest(t.Context(), sent[i*batch:min((i+1)*batch, len(sent))])
		return err
	})
	got := map[string]int{
		"statements":    w.count(`SELECT count(*) FROM statements`),
		"votes":         w.count(`SELECT count(*) FROM statements WHERE vote`),
		"contradicting": w.count(`SELECT count(*) FROM statements WHERE disposition = 'contradicts'`),
		"equivocations": w.count(`SELECT count(*) FROM equivocations WHERE operator = 'op-delta'`),
		"all":           w.count(`SELECT count(*) FROM equivocations`),
		"due":           w.count(`SELECT count(*) FROM releases WHERE due_at <= now()`),
		"sets":          w.count(`SELECT count(*) FROM artifact_sets`),
	}
	want := map[string]int{
		"statements": 5 * releases, "votes": 4 * releases, "contradicting": releases,
		"equivocations": releases, "all": releases, "due": releases, "sets": 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestStatementsGetTheirDispositions(t *testing.T) {
	w := newWorld(t)
	invited := append(operators("alpha", "beta", "gamma"), coordinator.Invited{Rebuilder: "alpha-2", Operator: "op-alpha"})
	open := w.open("hello", "1.0", rules{invited: invited, threshold: 3})
	over := w.open("over", "1.0", rules{invited: invited, threshold: 3, deadline: -time.Hour})
	b, other := build(t, "content", "file.deb"), build(t, "other", "file.deb")

	first := w.vote(open.ID, "alpha", b)
	again := w.vote(open.ID, "alpha-2", b)
	against := w.vote(open.ID, "alpha-2", other)
	for _, step := range []struct {
		what  string
		batch []coordinator.Incoming
		want  []coordinator.Disposition
	}{
		{"twice in one batch", []coordinator.Incoming{first, first}, []coordinator.Disposition{coordinator.Counted, coordinator.Counted}},
		{"again later", []coordinator.Incoming{first}, []coordinator.Disposition{coordinator.Counted}},
		{"same operator, same set", []coordinator.Incoming{again}, []coordinator.Disposition{coordinator.Counted}},
		{"same operator, other set", []coordinator.Incoming{against}, []coordinator.Disposition{coordinator.Contradicts}},
		{
			"both sets in one batch",
			[]coordinator.Incoming{w.vote(open.ID, "gamma", other), w.vote(open.ID, "gamma", b)},
			[]coordinator.Disposition{coordinator.Counted, coordinator.Contradicts},
		},
		{"contradiction repeated", []coordinator.Incoming{against}, []coordinator.Disposition{coordinator.Contradicts}},
		{
			"built after a report",
			[]coordinator.Incoming{w.report(open.ID, "beta", attest.InfraError), w.vote(open.ID, "beta", b)},
			[]coordinator.Disposition{coordinator.Counted, coordinator.Counted},
		},
		{"not invited", []coordinator.Incoming{w.vote(open.ID, "mallory", b)}, []coordinator.Disposition{coordinator.NotInvited}},
		{"unknown release", []coordinator.Incoming{w.vote(attest.SHA256([]byte("?")), "alpha", b)}, []coordinator.Disposition{coordinator.UnknownRelease}},
		{"after the deadline", []coordinator.Incoming{w.vote(over.ID, "alpha", b)}, []coordinator.Disposition{coordinator.AfterDeadline}},
	} {
		if diff := cmp.Diff(step.want, w.ingest(step.batch...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
	}
	if n := w.count(`SELECT count(*) FROM equivocations`); n != 2 {
		t.Errorf("%d equivocations recorded, want those of op-alpha and op-gamma", n)
	}

	known, _, err := w.writer.Statements(t.Context(), "alpha-2", []attest.Digest{again.Statement, against.Statement, first.Statement})
	must(t, err)
	if diff := cmp.Diff(map[attest.Digest]coordinator.Disposition{
		again.Statement: coordinator.Counted, against.Statement: coordinator.Contradicts,
	}, known); diff != "" {
		t.Errorf("what became of alpha-2's statements (-want +got):\n%s", diff)
	}
}

func TestVoteAfterTheSetIsClosedIsLateAndNeverCounted(t *testing.T) {
	w := newWorld(t)
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta", "gamma"), threshold: 2, maxDissent: 1})
	b := build(t, "content", "file.deb")
	w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b))
	w.evaluate()
	late, contradiction := w.vote(r.ID, "gamma", b), w.vote(r.ID, "beta", build(t, "other", "file.deb"))
	if diff := cmp.Diff([]coordinator.Disposition{coordinator.Late, coordinator.Late}, w.ingest(late, contradiction)); diff != "" {
		t.Errorf("dispositions (-want +got):\n%s", diff)
	}
	if n := w.count(`SELECT count(*) FROM equivocations`); n != 1 {
		t.Errorf("%d equivocations kept as proof, want 1", n)
	}
	claimed := w.claim(time.Minute)
	if len(claimed) != 1 || len(claimed[0].Votes) != 2 {
		t.Errorf("the signer would see %+v, want the closed set of two votes", claimed)
	}
}

func TestOneRebuilderCannotFillTheStore(t *testing.T) {
	w := newWorld(t)
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	counted := 0
	for range 40 {
		if w.ingest(w.report(r.ID, "alpha", attest.InfraError))[0] == coordinator.Counted {
			counted++
		}
	}
	if counted != 16 {
		t.Errorf("%d reports of one rebuilder kept, want 16", counted)
	}
	if d := w.ingest(w.vote(r.ID, "beta", build(t, "content", "file.deb"))); d[0] != coordinator.Counted {
		t.Errorf("another rebuilder's vote is %s", d[0])
	}
}

func TestReleaseFallsDueExactlyWhenItMayBeDecided(t *testing.T) {
	b, other := "content", "other"
	for _, test := range []struct {
		name  string
		rules rules
		votes []string // content by rebuilder: alpha, beta, gamma, delta; "-" reports a failure
		due   bool
	}{
		{"below the threshold", rules{threshold: 3}, []string{b, b}, false},
		{"agreed, others outstanding", rules{threshold: 2, settle: time.Minute}, []string{b, b}, false},
		{"agreed, outstanding within dissent", rules{threshold: 3, maxDissent: 1, settle: time.Minute}, []string{b, b, b}, true},
		{"agreed, outstanding and dissent beyond", rules{threshold: 2, maxDissent: 1, settle: time.Minute}, []string{b, b, other}, false},
		{"agreed, settled", rules{threshold: 2}, []string{b, b}, true},
		{"all reported", rules{threshold: 3, settle: time.Minute}, []string{b, b, "-", "-"}, true},
		{"nothing can reach n", rules{threshold: 4, settle: time.Minute}, []string{b, other}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			names := []string{"alpha", "beta", "gamma", "delta"}
			test.rules.invited = operators(names...)
			r := w.open("hello", "1.0", test.rules)
			for i, content := range test.votes {
				in := w.report(r.ID, names[i], attest.BuildFailed)
				if content != "-" {
					in = w.vote(r.ID, names[i], build(t, content, "file.deb"))
				}
				w.ingest(in)
			}
			if due := w.count(`SELECT count(*) FROM releases WHERE due_at <= clock_timestamp()`) == 1; due != test.due {
				t.Errorf("due is %v, want %v", due, test.due)
			}
		})
	}
}

// BenchmarkIngest measures votes of seven rebuilders on releases of one artifact,
// in batches of 500 by two writers, on a server that syncs its commits.
func BenchmarkIngest(b *testing.B) {
	const voters, batch = 7, 500
	w := worldOn(b, durable(b))
	var names []string
	for i := range voters {
		names = append(names, fmt.Sprintf("rebuilder-%d", i))
		w.agent(names[i])
	}
	releases := (b.N + voters - 1) / voters
	ids := w.many(releases, rules{invited: operators(names...), threshold: 3, settle: time.Minute})
	var votes []coordinator.Incoming
	for i, id := range ids {
		built := build(b, fmt.Sprint(i), "file.deb")
		for _, n := range names {
			votes = append(votes, w.vote(id, n, built))
		}
	}
	b.ResetTimer()
	parallel(b, 2, (len(votes)+batch-1)/batch, func(i int) error {
		_, err := w.writer.Ingest(context.Background(), votes[i*batch:min((i+1)*batch, len(votes))])
		return err
	})
	b.ReportMetric(float64(len(votes))/b.Elapsed().Seconds(), "votes/s")
}

func durable(b testing.TB) string {
	b.Helper()
	return migrated(b, newPostgres(b))
}

func TestEachReleaseOfABatchHasItsOwnElectorate(t *testing.T) {
	w := newWorld(t)
	var releases []coordinator.NewRelease
	for i, invited := range [][]string{{"alpha", "beta"}, {"alpha", "beta"}, {"beta", "gamma"}, {"alpha", "beta"}} {
		releases = append(releases, w.open("hello", fmt.Sprint(i), rules{invited: operators(invited...), threshold: 2}))
	}
	for _, again := range []string{"read", "remembered"} {
		var batch []coordinator.Incoming
		var want, got []string
		for _, r := range releases {
			for _, rebuilder := range []string{"alpha", "beta", "gamma"} {
				batch = append(batch, w.report(r.ID, rebuilder, attest.InfraError))
				disposition := coordinator.NotInvited
				if slices.ContainsFunc(r.Invited, func(i coordinator.Invited) bool { return i.Rebuilder == rebuilder }) {
					disposition = coordinator.Counted
				}
				want = append(want, r.ID.Short()+rebuilder+string(disposition))
			}
		}
		for i, d := range w.ingest(batch...) {
			got = append(got, batch[i].Rebuild.Release.Short()+batch[i].Rebuild.Rebuilder+string(d))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("terms %s (-want +got):\n%s", again, diff)
		}
	}
	if n := w.count(`SELECT count(*) FROM statements WHERE operator <> 'op-' || rebuilder`); n != 0 {
		t.Errorf("%d statements have another's operator", n)
	}
}

func TestReleasesReadInDifferentBatchesShareTheirElectorate(t *testing.T) {
	w := newWorld(t)
	for i, invited := range [][]string{{"alpha", "beta"}, {"alpha", "beta"}, {"beta", "gamma"}} {
		r := w.open("hello", fmt.Sprint(i), rules{invited: operators(invited...), threshold: 2})
		w.ingest(w.report(r.ID, "beta", attest.InfraError))
	}
	if releases, electorates := w.writer.Remembered(); releases != 3 || electorates != 2 {
		t.Errorf("%d releases are remembered with %d electorates, want 3 with 2", releases, electorates)
	}
}

func TestOpeningIsReadForTheFirstVoteOnly(t *testing.T) {
	w := newWorld(t)
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	w.ingest(w.report(r.ID, "beta", attest.InfraError))
	// What no opening ever does: it changes, so that it is seen who reads it.
	owner := w.connect("")
	_, err := owner.Exec(t.Context(), `SET session_replication_role = replica`)
	must(t, err)
	_, err = owner.Exec(t.Context(), `UPDATE openings SET rebuilders = '{beta,gamma}'`)
	must(t, err)
	if d := w.ingest(w.report(r.ID, "alpha", attest.InfraError)); d[0] != coordinator.Counted {
		t.Errorf("second vote: %s, so the opening was read again", d[0])
	}
	w.writer = openWriter(t, w.dsn)
	if d := w.ingest(w.report(r.ID, "alpha", attest.TimedOut)); d[0] != coordinator.NotInvited {
		t.Errorf("vote of who is not in the opening that another writer reads: %s", d[0])
	}
}
