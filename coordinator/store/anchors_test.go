package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
)

// decided brings a release to its decision, which the log does not show yet.
func (w *world) decided(version string) attest.Digest {
	w.t.Helper()
	r := w.open("hello", version, rules{invited: operators("alpha", "beta", "gamma"), threshold: 2})
	b := build(w.t, "content", "hello_"+version+"_amd64.deb")
	w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b))
	w.decide(r.ID, fingerprint)
	return r.ID
}

func (w *world) unanchored(lease time.Duration) []coordinator.Unanchored {
	w.t.Helper()
	u, err := w.writer.ClaimAnchors(w.t.Context(), 10, lease)
	must(w.t, err)
	return u
}

func TestDecisionsAreAnchoredOnceTheLogShowsThem(t *testing.T) {
	w := newWorld(t)
	if u := w.unanchored(time.Minute); len(u) != 0 {
		t.Fatalf("an empty log has %d decisions to anchor", len(u))
	}
	release := w.decided("1.0")
	if u := w.unanchored(time.Minute); len(u) != 0 {
		t.Fatal("a decision may be anchored while it is under embargo")
	}
	w.publish()
	u := w.unanchored(time.Minute)
	if len(u) != 1 || u[0].Release != release || u[0].Attempts != 1 {
		t.Fatalf("to anchor: %+v, want the release", u)
	}
	if leaf, err := translog.Leaf(u[0].Decision, w.signer.VerifierKey); err != nil || !cmp.Equal(leaf, u[0].Leaf) {
		t.Errorf("leaf %s is not the decision's, %v", u[0].Leaf, err)
	}
	if again := w.unanchored(time.Minute); len(again) != 0 {
		t.Error("a leased decision is leased again")
	}
	must(t, w.writer.RetryAnchor(t.Context(), release, "the log is away", 0))
	if u = w.unanchored(0); len(u) != 1 || u[0].Attempts != 2 {
		t.Fatalf("after an attempt that failed: %+v", u)
	}
	if _, err := w.reader.Anchor(t.Context(), release); !errors.Is(err, coordinator.ErrNotFound) {
		t.Errorf("anchor before there is one: %v", err)
	}
	if n, err := w.writer.AnchorsWaiting(t.Context()); err != nil || n != 1 {
		t.Errorf("%d decisions wait, %v", n, err)
	}
	first := coordinator.Anchor{Release: release, Log: "rekor.example.org", Index: 7, Bundle: []byte("{}")}
	second := first
	second.Index = 8
	must(t, w.writer.Anchored(t.Context(), first))
	must(t, w.writer.Anchored(t.Context(), second)) // another replica, a moment later
	must(t, w.writer.RetryAnchor(t.Context(), release, "late news", 0))
	got, err := w.reader.Anchor(t.Context(), release)
	must(t, err)
	if first.At = got.At; got.At.IsZero() || !cmp.Equal(*got, first) {
		t.Errorf("stored %+v, want the first anchor", got)
	}
	if u := w.unanchored(0); len(u) != 0 {
		t.Error("an anchored decision is leased again")
	}
	refusedWith(t, w.connect(""), restrictViolation, `UPDATE anchors SET bundle = '{"other": 1}'`)
	refusedWith(t, w.connect(""), restrictViolation, `DELETE FROM anchors`)
}

func TestAnchoringThatBeginsLateFindsEarlierDecisions(t *testing.T) {
	w := newWorld(t)
	want := map[attest.Digest]bool{}
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		want[w.decided(version)] = true
		w.publish()
	}
	for _, u := range w.unanchored(time.Minute) {
		delete(want, u.Release)
	}
	if len(want) != 0 {
		t.Errorf("%d decisions of the past are not found", len(want))
	}
}

func TestDecisionsThatLedToNothingAreNotAnchored(t *testing.T) {
	w := newWorld(t)
	release := w.decided("1.0")
	x := attest.Withdrawal{Role: attest.RoleAdmin, By: "admin", Release: release, Reason: "wrong source", At: attest.At(w.now())}
	e, err := x.Seal(ed(t, "admin"))
	must(t, err)
	must(t, w.writer.Withdraw(t.Context(), e.Digest(), x, e, w.record(attest.RecordWithdrawal, e)))
	w.publish()
	if u := w.unanchored(time.Minute); len(u) != 0 {
		t.Errorf("%d decisions to anchor, the only one was withdrawn before it was logged", len(u))
	}
}
