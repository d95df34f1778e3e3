package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
)

func TestReleaseGoesThroughTheWholeCycle(t *testing.T) {
	w := newWorld(t)
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta", "gamma"), threshold: 2, maxDissent: 1})

	tasks, err := w.writer.UnpublishedTasks(t.Context(), 10)
	must(t, err)
	if len(tasks) != 1 || tasks[0].ID != r.ID || tasks[0].State != coordinator.Building {
		t.Fatalf("unpublished tasks %+v, want the release", tasks)
	}
	must(t, w.writer.TasksPublished(t.Context(), []attest.Digest{r.ID}))
	if tasks, err = w.writer.UnpublishedTasks(t.Context(), 10); err != nil || len(tasks) != 0 {
		t.Fatalf("after publication: tasks %v, %v", tasks, err)
	}

	b := build(t, "content", "hello_1.0_amd64.deb", "libhello_1.0_amd64.deb")
	batch := []coordinator.Incoming{w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b), w.report(r.ID, "gamma", attest.BuildFailed)}
	if d := w.ingest(batch...); d[0] != coordinator.Counted || d[1] != coordinator.Counted || d[2] != coordinator.Counted {
		t.Fatalf("dispositions %v, want counted", d)
	}
	if n := w.evaluate(); n != 1 {
		t.Fatalf("%d releases evaluated, want 1", n)
	}
	claimed := w.claim(time.Minute)
	if len(claimed) != 1 || len(claimed[0].Votes) != 3 {
		t.Fatalf("claimed %+v", claimed)
	}
	if diff := cmp.Diff(b.artifacts, claimed[0].Artifacts); diff != "" {
		t.Fatalf("agreed artifacts (-sent +claimed):\n%s", diff)
	}
	byDigest := map[attest.Digest]*attest.Envelope{}
	for _, e := range claimed[0].Votes {
		byDigest[e.Digest()] = e
	}
	for _, in := range batch {
		if diff := cmp.Diff(in.Envelope, byDigest[in.Statement]); diff != "" {
			t.Errorf("envelope of %s changed in the store:\n%s", in.Rebuild.Rebuilder, diff)
		}
	}
	d := w.decision(claimed[0], fingerprint, second)
	for range 2 { // the second time as after a lost answer
		if refused, err := w.writer.Decide(t.Context(), []coordinator.Decision{d}); err != nil || len(refused) > 0 {
			t.Fatalf("deciding: refused %v, %v", refused, err)
		}
	}
	if got := w.state(r.ID); got != coordinator.Agreed {
		t.Fatalf("state %s, want agreed", got)
	}
	if jobs := w.jobs(); len(jobs) != 0 {
		t.Fatal("a signing job is open before the decision is in the log")
	}
	w.publish()
	if got := w.state(r.ID); got != coordinator.Logged {
		t.Fatalf("state %s, want logged", got)
	}

	for i, certificate := range []string{fingerprint, second} {
		jobs := w.jobs()
		if len(jobs) != 1 || jobs[0].Certificate != certificate || len(jobs[0].Missing) != 2 {
			t.Fatalf("job %d: %+v, want one of certificate %s", i, jobs, certificate)
		}
		if err := attest.CheckStates(jobs[0].Artifacts, jobs[0].States); err != nil {
			t.Fatal(err)
		}
		parts, err := w.writer.Parts(t.Context(), r.ID)
		must(t, err)
		if len(parts.Votes) != 3 || len(parts.Signatures) != 2*i {
			t.Fatalf("parts: %d votes, %d signatures", len(parts.Votes), len(parts.Signatures))
		}
		m := w.made(jobs[0])
		for range 2 {
			must(t, w.writer.FinishJob(t.Context(), m))
		}
	}
	w.publish()
	v := w.view(r.ID)
	if v.State != coordinator.Signed || !v.Final || len(v.Artifacts) != 2 || len(v.Artifacts[0].Signatures) != 2 || !v.HasEvidence {
		t.Errorf("view %+v", v)
	}
	views := map[string]policy.View{}
	for _, vote := range v.Votes {
		views[vote.Rebuilder] = vote.View
	}
	if diff := cmp.Diff(map[string]policy.View{"alpha": policy.ViewAgrees, "beta": policy.ViewAgrees, "gamma": policy.ViewBuildFailed}, views); diff != "" {
		t.Errorf("views (-want +got):\n%s", diff)
	}
	if found, err := w.reader.ByArtifact(t.Context(), b.artifacts[1].SHA256); err != nil || found != r.ID {
		t.Errorf("release of the artifact: %s, %v", found, err)
	}
	assertEvents(t, w, r.ID, coordinator.Building, coordinator.Agreed, coordinator.Logged, coordinator.Signed)
}

func assertEvents(t *testing.T, w *world, release attest.Digest, want ...coordinator.State) {
	t.Helper()
	events, err := w.writer.UnpublishedEvents(t.Context(), 1000)
	must(t, err)
	var got []coordinator.State
	var sequences []int64
	for _, e := range events {
		if e.Release == release {
			got, sequences = append(got, e.State), append(sequences, e.Sequence)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	must(t, w.writer.EventsPublished(t.Context(), sequences))
	if events, err = w.writer.UnpublishedEvents(t.Context(), 1000); err != nil || len(events) != 0 {
		t.Errorf("events after publication: %v, %v", events, err)
	}
}

func TestSubmittingAgainAnswersWithTheSameRelease(t *testing.T) {
	w := newWorld(t)
	set := attest.SHA256([]byte("set"))
	s := w.submission("hello", "1.0", &attest.Claim{Salt: attest.SHA256([]byte("salt")), Set: set})
	newest, created, err := w.writer.Submit(t.Context(), s, 1)
	if err != nil || newest != nil || !created {
		t.Fatalf("first submission: %v, %v, %v", newest, created, err)
	}
	other := w.submission("other", "1.0", nil)
	if _, _, err := w.writer.Submit(t.Context(), other, 1); !errors.Is(err, coordinator.ErrQuota) {
		t.Fatalf("beyond the quota: %v, want ErrQuota", err)
	}
	if waiting, _, err := w.writer.Unopened(t.Context(), 10, time.Hour); err != nil || len(waiting) != 0 {
		t.Fatalf("%d fresh requests are taken from whoever submitted them, %v", len(waiting), err)
	}
	waiting, attempts, err := w.writer.Unopened(t.Context(), 10, 0)
	must(t, err)
	if len(waiting) != 1 || attempts[0] != 1 || waiting[0].Claim == nil || *waiting[0].Claim != *s.Claim {
		t.Fatalf("unopened %+v, attempts %v", waiting, attempts)
	}
	r := w.newRelease(s, rules{invited: operators("alpha", "beta"), threshold: 2})
	must(t, w.writer.Open(t.Context(), r))
	must(t, w.writer.Open(t.Context(), r)) // as after a lost answer
	if err := w.writer.Open(t.Context(), w.newRelease(s, rules{invited: operators("alpha", "beta"), threshold: 2})); !errors.Is(err, coordinator.ErrExists) {
		t.Fatalf("the same attempt by another replica: %v, want ErrExists", err)
	}
	newest, created, err = w.writer.Submit(t.Context(), s, 1)
	if err != nil || created || newest == nil || newest.ID != r.ID {
		t.Fatalf("again: %v, %v, %v", newest, created, err)
	}
}

func TestExpiredReleaseIsRetriedAsOftenAsItsSuiteAllows(t *testing.T) {
	w := newWorld(t)
	s := w.submission("hello", "1.0", nil)
	_, _, err := w.writer.Submit(t.Context(), s, 10)
	must(t, err)
	for attempt := 1; attempt <= 2; attempt++ {
		waiting, attempts, err := w.writer.Unopened(t.Context(), 10, 0)
		must(t, err)
		if len(waiting) != 1 || attempts[0] != attempt {
			t.Fatalf("before attempt %d: %d requests wait, attempts %v", attempt, len(waiting), attempts)
		}
		r := w.newRelease(s, rules{invited: operators("alpha", "beta"), threshold: 2, retries: 1, attempt: attempt, deadline: -time.Hour})
		must(t, w.writer.Open(t.Context(), r))
		if n := w.evaluate(); n != 1 || w.state(r.ID) != coordinator.Expired {
			t.Fatalf("attempt %d: %d evaluated, state %s", attempt, n, w.state(r.ID))
		}
		if final := w.view(r.ID).Final; final != (attempt == 2) {
			t.Errorf("attempt %d: final is %v", attempt, final)
		}
	}
	if waiting, _, err := w.writer.Unopened(t.Context(), 10, 0); err != nil || len(waiting) != 0 {
		t.Fatalf("after the last attempt %d requests wait, %v", len(waiting), err)
	}
}

func TestNewPolicyMakesOpenReleasesDue(t *testing.T) {
	w := newWorld(t)
	w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	if n := w.evaluate(); n != 0 {
		t.Fatalf("%d due before", n)
	}
	w.addPolicy(2)
	if n := w.evaluate(); n != 1 {
		t.Fatalf("%d due after the policy, want 1", n)
	}
	policies, err := w.writer.Policies(t.Context(), 1)
	if err != nil || len(policies) != 1 {
		t.Fatalf("policies after serial 1: %d, %v", len(policies), err)
	}
}

func TestAbandonedRequestEndsAndMayBeAskedForAgain(t *testing.T) {
	w := newWorld(t)
	s := w.submission("hello", "1.0", nil)
	_, _, err := w.writer.Submit(t.Context(), s, 1)
	must(t, err)
	must(t, w.writer.Abandon(t.Context(), s.Digest, "the policy does not admit it"))
	if waiting, _, err := w.writer.Unopened(t.Context(), 10, 0); err != nil || len(waiting) != 0 {
		t.Fatalf("%d wait after it was given up, %v", len(waiting), err)
	}
	_, _, err = w.writer.Submit(t.Context(), s, 1)
	must(t, err)
	if waiting, _, err := w.writer.Unopened(t.Context(), 10, 0); err != nil || len(waiting) != 1 {
		t.Fatalf("%d wait after it was asked for again, %v", len(waiting), err)
	}
}
