package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
)

func (w *world) unsigned(after, lease time.Duration) []coordinator.Unsigned {
	w.t.Helper()
	u, err := w.writer.ClaimUnsigned(w.t.Context(), after, 10, lease)
	must(w.t, err)
	return u
}

func (w *world) evidence(release attest.Digest) string {
	w.t.Helper()
	b, err := w.reader.Evidence(w.t.Context(), release)
	if errors.Is(err, coordinator.ErrNotFound) {
		return ""
	}
	must(w.t, err)
	return string(b)
}

func TestALoggedDecisionWithoutEvidenceIsFoundOnceItIsOldEnough(t *testing.T) {
	w := newWorld(t)
	signed, waits := w.decided("1.0"), w.decided("2.0")
	if u := w.unsigned(0, time.Minute); len(u) != 0 {
		t.Fatalf("%d decisions to show, none is in the published log", len(u))
	}
	w.publish()
	for _, j := range w.jobs() {
		if j.Release == signed {
			must(t, w.writer.FinishJob(t.Context(), w.made(j)))
		}
	}
	if u := w.unsigned(time.Hour, time.Minute); len(u) != 0 {
		t.Fatalf("%d decisions to show, none has been in the log for an hour", len(u))
	}
	u := w.unsigned(0, time.Minute)
	if len(u) != 1 || u[0].Release != waits {
		t.Fatalf("to show: %+v, want the release that is not signed", u)
	}
	v := w.view(waits)
	if u[0].LogIndex != v.LogIndex || u[0].Decision.Digest() != v.Decision || u[0].Opening.Digest() != waits ||
		u[0].Request.Digest() != v.Request || u[0].Artifacts[0].SHA256 != v.Artifacts[0].SHA256 {
		t.Errorf("to show: %+v, want what was decided", u[0])
	}
	if again := w.unsigned(0, time.Minute); len(again) != 0 {
		t.Error("a leased decision is leased again")
	}
	must(t, w.writer.StoreUnsigned(t.Context(), waits, []byte("evidence")))
	if got := w.evidence(waits); got != "evidence" || !w.view(waits).HasEvidence {
		t.Errorf("shown is %q", got)
	}
	if n := w.count(`SELECT count(*) FROM evidence_wanted`); n != 0 {
		t.Errorf("%d decisions are still wanted", n)
	}
}

func TestALeaseThatEndsWithoutEvidenceIsGivenAgain(t *testing.T) {
	w := newWorld(t)
	release := w.decided("1.0")
	w.publish()
	for range 2 {
		if u := w.unsigned(0, 0); len(u) != 1 || u[0].Release != release {
			t.Fatalf("to show: %+v, want the release", u)
		}
	}
}

func TestDecisionsThatDoNotCountAreShownToo(t *testing.T) {
	w, key := newWorld(t), ed(t, "log.example.org")
	withdrawn, late := w.decided("1.0"), w.decided("2.0")
	x := attest.Withdrawal{Role: attest.RoleAdmin, By: "admin", Release: withdrawn, Reason: "wrong source", At: attest.At(w.now())}
	e, err := x.Seal(ed(t, "admin"))
	must(t, err)
	must(t, w.writer.Withdraw(t.Context(), e.Digest(), x, e, w.record(attest.RecordWithdrawal, e)))
	must(t, w.publishSeen(key, attest.At(w.now()), func(coordinator.Case, attest.Decision, policy.Seen) error {
		return fmt.Errorf("%w: seen at midnight", policy.ErrTooLate)
	}))
	if w.state(withdrawn) != coordinator.Withdrawn || w.state(late) != coordinator.Expired {
		t.Fatalf("states %s and %s", w.state(withdrawn), w.state(late))
	}
	for _, u := range w.unsigned(0, time.Minute) {
		must(t, w.writer.StoreUnsigned(t.Context(), u.Release, []byte(u.Release.String())))
	}
	for what, release := range map[string]attest.Digest{"withdrawn": withdrawn, "late": late} {
		if got := w.evidence(release); got != release.String() {
			t.Errorf("%s: evidence %q", what, got)
		}
		if v := w.view(release); !v.HasEvidence || len(v.Artifacts) != 0 {
			t.Errorf("%s: has evidence %v, artifacts %v; a decision that does not count decides nothing", what, v.HasEvidence, v.Artifacts)
		}
	}
}

func TestEvidenceWithSignaturesReplacesThatWithoutAndNeverTheOtherWayRound(t *testing.T) {
	w := newWorld(t)
	release := w.decided("1.0")
	w.publish()
	w.unsigned(0, time.Minute)
	must(t, w.writer.StoreUnsigned(t.Context(), release, []byte("without")))
	made := w.made(w.jobs()[0])
	made.Evidence = []byte("with")
	must(t, w.writer.FinishJob(t.Context(), made))
	if got := w.evidence(release); got != "with" {
		t.Errorf("evidence %q after the signatures", got)
	}
	must(t, w.writer.StoreUnsigned(t.Context(), release, []byte("without"))) // by a replica that was slow
	if got := w.evidence(release); got != "with" {
		t.Errorf("evidence %q, the signatures are lost", got)
	}
}

func TestReplicasShareTheDecisionsToShow(t *testing.T) {
	w := newWorld(t)
	want := map[attest.Digest]int{}
	for i := range 20 {
		want[w.decided(fmt.Sprintf("1.%d", i))] = 1
		if i%5 == 4 {
			w.publish()
		}
	}
	got := map[attest.Digest]int{}
	var mu sync.Mutex
	var replicas sync.WaitGroup
	for range 4 {
		replicas.Go(func() {
			writer := openWriter(t, w.dsn)
			for range 10_000 { // tries at most, of which most find nothing
				claimed, err := writer.ClaimUnsigned(t.Context(), 0, 3, time.Minute)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, u := range claimed {
					got[u.Release]++
				}
				enough := len(got) == len(want)
				mu.Unlock()
				if err != nil || enough {
					return
				}
			}
		})
	}
	replicas.Wait()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("leased (-want +got):\n%s", diff)
	}
}
