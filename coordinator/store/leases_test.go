package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/store"
)

// logged brings n releases with one artifact each into the log.
func (w *world) logged(n int, certificates ...string) []attest.Digest {
	w.t.Helper()
	ids := w.many(n, rules{invited: operators("alpha", "beta"), threshold: 2})
	for i, id := range ids {
		b := build(w.t, fmt.Sprint(i), fmt.Sprintf("file-%d.deb", i))
		w.ingest(w.vote(id, "alpha", b), w.vote(id, "beta", b))
	}
	w.evaluate()
	for {
		var decisions []coordinator.Decision
		for _, u := range w.claim(time.Minute) {
			decisions = append(decisions, w.decision(u, certificates...))
		}
		if len(decisions) == 0 {
			break
		}
		refused, err := w.writer.Decide(w.t.Context(), decisions)
		must(w.t, err)
		if len(refused) > 0 {
			w.t.Fatalf("%d decisions refused", len(refused))
		}
	}
	w.publish()
	return ids
}

func TestReplicasNeverClaimTheSameJob(t *testing.T) {
	const releases, workers = 150, 6
	w := newWorld(t)
	w.logged(releases, fingerprint)
	var mu sync.Mutex
	claimed := map[attest.Digest]int{}
	writers := []*store.Writer{w.writer, openWriter(t, w.dsn)}
	parallel(t, workers, workers, func(i int) error {
		for {
			jobs, err := writers[i%2].ClaimJobs(t.Context(), 7, time.Minute)
			if err != nil || len(jobs) == 0 {
				return err
			}
			mu.Lock()
			for _, j := range jobs {
				claimed[j.Release]++
			}
			mu.Unlock()
		}
	})
	// A claim that found all candidates locked by others ends a worker early.
	for _, j := range w.jobs() {
		claimed[j.Release]++
	}
	if len(claimed) != releases {
		t.Errorf("%d jobs claimed, want %d", len(claimed), releases)
	}
	for id, n := range claimed {
		if n != 1 {
			t.Errorf("job of %s claimed %d times", id.Short(), n)
		}
	}
}

func TestResultOfALostLeaseIsRefused(t *testing.T) {
	w := newWorld(t)
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	b := build(t, "content", "hello.deb")
	w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b))
	w.evaluate()
	slow := w.claim(0)[0] // its lease ends at once
	fast := w.claim(time.Minute)[0]
	if slow.Fence == fast.Fence {
		t.Fatal("two leases have the same fence")
	}
	if err := w.writer.Undecide(t.Context(), r.ID, slow.Fence, "late", time.Now(), true, false); !errors.Is(err, coordinator.ErrFenced) {
		t.Errorf("undecide with an old fence: %v, want ErrFenced", err)
	}
	if refused, err := w.writer.Decide(t.Context(), []coordinator.Decision{w.decision(slow)}); err != nil || len(refused) != 1 {
		t.Errorf("decision with an old fence: refused %v, %v", refused, err)
	}
	if refused, err := w.writer.Decide(t.Context(), []coordinator.Decision{w.decision(fast, fingerprint)}); err != nil || len(refused) != 0 {
		t.Fatalf("decision: refused %v, %v", refused, err)
	}
	w.publish()

	lost, err := w.writer.ClaimJobs(t.Context(), 1, 0)
	must(t, err)
	held := w.jobs()
	if len(lost) != 1 || len(held) != 1 || held[0].Attempts != 2 {
		t.Fatalf("claimed %d and %d jobs", len(lost), len(held))
	}
	if err := w.writer.FinishJob(t.Context(), w.made(lost[0])); !errors.Is(err, coordinator.ErrFenced) {
		t.Errorf("signatures with an old fence: %v, want ErrFenced", err)
	}
	if err := w.writer.RetryJob(t.Context(), lost[0], "device away", time.Now()); !errors.Is(err, coordinator.ErrFenced) {
		t.Errorf("retry with an old fence: %v, want ErrFenced", err)
	}
	later := w.now().Add(time.Hour)
	must(t, w.writer.RetryJob(t.Context(), held[0], "device away", later))
	if jobs := w.jobs(); len(jobs) != 0 {
		t.Error("a job is claimed before its back-off ends")
	}
	due, err := w.writer.NextDue(t.Context(), coordinator.TopicSign)
	if err != nil || due.Sub(later).Abs() > time.Millisecond {
		t.Errorf("next job due at %v, want %v, %v", due, later, err)
	}
}

// Two releases with the same bytes: the earliest decision in the log is signed
// on, the other reuses its signature.
func TestSameBytesAreSignedOnce(t *testing.T) {
	w := newWorld(t)
	rule := rules{invited: operators("alpha", "beta"), threshold: 2}
	b := build(t, "content", "hello_all.deb")
	var ids []attest.Digest
	for _, version := range []string{"1.0-amd64", "1.0-arm64"} {
		r := w.open("hello", version, rule)
		w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b))
		w.decide(r.ID, fingerprint)
		ids = append(ids, r.ID)
	}
	w.publish()
	jobs := w.jobs()
	if len(jobs) != 1 || jobs[0].Release != ids[0] {
		t.Fatalf("%d jobs ready, want the earlier release's alone", len(jobs))
	}
	if due, err := w.writer.NextDue(t.Context(), coordinator.TopicSign); err != nil || !due.After(w.now()) {
		t.Errorf("the blocked job keeps the loop awake: due %v, %v", due, err)
	}
	must(t, w.writer.FinishJob(t.Context(), w.made(jobs[0])))
	jobs = w.jobs()
	if len(jobs) != 1 || jobs[0].Release != ids[1] || len(jobs[0].Missing) != 0 {
		t.Fatalf("then %+v, want the later release's with nothing missing", jobs)
	}
	parts, err := w.writer.Parts(t.Context(), ids[1])
	must(t, err)
	if len(parts.Signatures) != 1 {
		t.Errorf("parts %+v, want the earlier release's signature", parts.Signatures)
	}
	earlier, err := w.writer.Parts(t.Context(), ids[0])
	must(t, err)
	if diff := cmp.Diff(earlier.Signatures, parts.Signatures); diff != "" {
		t.Errorf("signatures of the two releases (-earlier +later):\n%s", diff)
	}
	if _, err := w.writer.DecisionByDigest(t.Context(), ids[0]); !errors.Is(err, coordinator.ErrNotFound) {
		t.Errorf("a decision that there is not: %v", err)
	}
	if d, err := w.writer.DecisionByDigest(t.Context(), jobs[0].Decision.Digest()); err != nil || d.LogIndex != jobs[0].LogIndex {
		t.Errorf("the later decision: %+v, %v", d, err)
	}
	must(t, w.writer.FinishJob(t.Context(), w.made(jobs[0])))
	if n := w.count(`SELECT count(*) FROM signatures`); n != 1 {
		t.Errorf("%d signatures stored, want 1", n)
	}
	refusedWith(t, w.connect(""), restrictViolation, `
		INSERT INTO signatures (sha512, certificate, kind, signature, release) SELECT sha512, certificate, kind, 'another', release FROM signatures`)
}

func TestReplicasNeverClaimTheSameUndecidedRelease(t *testing.T) {
	const releases = 200
	w := newWorld(t)
	ids := w.many(releases, rules{invited: operators("alpha", "beta"), threshold: 2})
	for i, id := range ids {
		b := build(t, fmt.Sprint(i), fmt.Sprintf("file-%d.deb", i))
		w.ingest(w.vote(id, "alpha", b), w.vote(id, "beta", b))
	}
	var claimed sync.Map
	parallel(t, 4, 4, func(int) error {
		for {
			n, _, err := w.writer.Evaluate(t.Context(), 9, 0, judge(2))
			if err != nil || n == 0 {
				return err
			}
		}
	})
	w.evaluate()
	parallel(t, 4, 4, func(int) error {
		for {
			us, err := w.writer.ClaimUndecided(t.Context(), 9, time.Minute)
			if err != nil || len(us) == 0 {
				return err
			}
			for _, u := range us {
				if _, twice := claimed.LoadOrStore(u.Release, true); twice {
					return fmt.Errorf("%s claimed twice", u.Release.Short())
				}
			}
		}
	})
	for _, u := range w.claim(time.Minute) {
		claimed.Store(u.Release, true)
	}
	n := 0
	claimed.Range(func(any, any) bool { n++; return true })
	if n != releases {
		t.Errorf("%d of %d claimed", n, releases)
	}
}
