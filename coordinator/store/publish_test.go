package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
)

// seenStore publishes every checkpoint as one that witnesses cosigned.
type seenStore struct {
	*store.Writer

	seen coordinator.Seen
}

func (s seenStore) Publish(ctx context.Context, tree coordinator.Tree, note []byte) error {
	return s.PublishSeen(ctx, tree, note, s.seen)
}

// publishSeen integrates what waits and publishes it as seen at a time.
func (w *world) publishSeen(key attest.SigningKey, at attest.Time, confirm func(coordinator.Case, attest.Decision, policy.Seen) error) error {
	w.t.Helper()
	q, err := sequencer.New(seenStore{w.writer, coordinator.Seen{At: at, Confirm: confirm}}, key, nil)
	must(w.t, err)
	return q.Drain(w.t.Context())
}

func TestOfTheDecisionsThatWitnessesSawThoseInTimeAreLogged(t *testing.T) {
	w, key := newWorld(t), ed(t, "log.example.org")
	opened := attest.At(time.Now())
	must(t, w.publishSeen(key, opened, nil)) // nothing is decided yet, so nothing is judged
	decided := map[string]attest.Digest{}
	for _, source := range []string{"early", "late", "last"} {
		r := rules{invited: operators("alpha", "beta"), threshold: 2, retries: 1}
		if source == "last" {
			r.retries = 0
		}
		release := w.open(source, "1.0", r)
		b := build(t, source, source+"_1.0_amd64.deb")
		w.ingest(w.vote(release.ID, "alpha", b), w.vote(release.ID, "beta", b))
		w.decide(release.ID, fingerprint)
		decided[source] = release.ID
	}
	judged := map[attest.Digest]policy.Seen{}
	confirm := func(c coordinator.Case, d attest.Decision, seen policy.Seen) error {
		if d.Release != c.Release || len(c.Votes) != 2 {
			t.Errorf("decision on %s is judged with the case of %s and %d votes", d.Release.Short(), c.Release.Short(), len(c.Votes))
		}
		judged[c.Release] = seen
		if c.Release == decided["early"] {
			return nil
		}
		return fmt.Errorf("%w: seen at midnight", policy.ErrTooLate)
	}
	at := opened + 3600
	// Not if judging fails for another reason: then nothing is published.
	fault := errors.New("policy is not known here")
	if err := w.publishSeen(key, at, func(coordinator.Case, attest.Decision, policy.Seen) error { return fault }); !errors.Is(err, fault) {
		t.Fatalf("publishing: %v, want the fault", err)
	}
	if n := w.count(`SELECT count(*) FROM log_checkpoints c JOIN log_state s ON s.size = c.size`); n != 0 {
		t.Fatal("the checkpoint was stored nevertheless")
	}
	for range 2 { // again changes nothing
		must(t, w.publishSeen(key, at, confirm))
	}
	for source, want := range map[string]coordinator.State{"early": coordinator.Logged, "late": coordinator.Expired, "last": coordinator.Expired} {
		v := w.view(decided[source])
		if v.State != want {
			t.Errorf("%s: state %s, want %s", source, v.State, want)
		}
		if want == coordinator.Expired && !strings.Contains(v.Reason, "seen at midnight") {
			t.Errorf("%s: reason %q", source, v.Reason)
		}
		// Its opening came under the same checkpoint.
		if seen := judged[decided[source]]; seen != (policy.Seen{Opening: at, Decision: at}) {
			t.Errorf("%s: judged as seen at %v", source, seen)
		}
	}
	if jobs := w.jobs(); len(jobs) != 1 || jobs[0].Release != decided["early"] {
		t.Errorf("jobs %+v, want the one of what was seen in time", jobs)
	}
	next, attempts, err := w.writer.Unopened(t.Context(), 10, 0)
	must(t, err)
	if len(next) != 1 || next[0].Request.Source != "late" || attempts[0] != 2 {
		t.Errorf("next attempts %v of %+v, want the second one of late", attempts, next)
	}
	if n := w.count(`SELECT count(*) FROM events WHERE state = 'expired'`); n != 2 {
		t.Errorf("%d events tell of expiry, want 2", n)
	}
	// And for good: nothing is signed on it afterwards.
	if n := w.count(`SELECT count(*) FROM signing_jobs`); n != 1 {
		t.Errorf("%d jobs, want the one of what was seen in time", n)
	}
}

func TestWhatDecisionsWaitForIsShownUntilTheyAreLogged(t *testing.T) {
	w := newWorld(t)
	release := w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	b := build(t, "content", "hello_1.0_amd64.deb")
	w.ingest(w.vote(release.ID, "alpha", b), w.vote(release.ID, "beta", b))
	building := w.open("other", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	w.decide(release.ID, fingerprint)
	const reason = "decided, waiting for cosignatures: 1 of 2 witnesses, beta unreachable"
	must(t, w.writer.Await(t.Context(), reason))
	if v := w.view(release.ID); v.State != coordinator.Agreed || v.Reason != reason {
		t.Errorf("state %s, reason %q", v.State, v.Reason)
	}
	if v := w.view(building.ID); v.Reason == reason {
		t.Error("a release that is not decided waits for witnesses")
	}
	w.publish()
	must(t, w.writer.Await(t.Context(), reason))
	if v := w.view(release.ID); v.State != coordinator.Logged || v.Reason == reason {
		t.Errorf("state %s, reason %q", v.State, v.Reason)
	}
}

func TestRenewedCheckpointIsTheNewestAndNeverAnOlderOne(t *testing.T) {
	w := newWorld(t)
	w.publish()
	tree, first, err := w.writer.Checkpoint(t.Context())
	must(t, err)
	for _, renewal := range []struct {
		note, want string
		at         attest.Time
	}{{"second", "second", 200}, {"older", "second", 100}, {"third", "third", 300}} {
		must(t, w.writer.Renew(t.Context(), tree.Size, []byte(renewal.note), renewal.at))
		_, note, err := w.writer.Checkpoint(t.Context())
		must(t, err)
		public, err := w.reader.Checkpoint(t.Context())
		must(t, err)
		if string(note) != renewal.want || string(public) != renewal.want {
			t.Errorf("after %s: %q, public %q, want %q", renewal.note, note, public, renewal.want)
		}
	}
	if _, note, err := w.writer.Covering(t.Context(), 0, false); err != nil || string(note) != string(first) {
		t.Errorf("proofs are under %q, %v, want the first note", note, err)
	}
	if _, _, err := w.writer.Covering(t.Context(), 0, true); !errors.Is(err, coordinator.ErrNotFound) {
		t.Errorf("a checkpoint that no witness had to cosign counts as one: %v", err)
	}
	// The next size has its own note.
	w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	w.publish()
	if newest, note, err := w.writer.Checkpoint(t.Context()); err != nil || newest.Size <= tree.Size || string(note) == "third" {
		t.Errorf("newest is %q of size %d, %v", note, newest.Size, err)
	}
}

func TestADecisionThatIsTheFirstEntryOfItsCheckpointIsLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	w.publish() // up to the opening
	b := build(t, "content", "hello.deb")
	w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b))
	w.decide(r.ID, fingerprint)
	w.publish()
	if got := w.state(r.ID); got != coordinator.Logged {
		t.Errorf("state %s, want logged", got)
	}
}

func TestCheckpointsStoredOutOfTurnPassNoDecisionOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := build(t, "content", "hello.deb")
	grow := func(old coordinator.Tree, leaves []tlog.Hash, _ func([]tlog.Tile) ([][]byte, error)) (coordinator.Tree, []coordinator.Tile, error) {
		size := old.Size + int64(len(leaves))
		return coordinator.Tree{Size: size, Root: tlog.Hash(attest.SHA256(fmt.Append(nil, size)))}, nil, nil
	}
	var trees []coordinator.Tree
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		r := w.open("hello", version, rules{invited: operators("alpha", "beta"), threshold: 2})
		w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b))
		w.decide(r.ID, fingerprint)
		_, err := w.writer.Integrate(t.Context(), 100, grow)
		must(t, err)
		tree, _, err := w.writer.Committed(t.Context())
		must(t, err)
		trees = append(trees, tree)
	}
	for _, next := range []struct{ tree, logged int }{{1, 2}, {0, 2}, {2, 3}, {1, 3}} { // one replica was faster than the other
		must(t, w.writer.Publish(t.Context(), trees[next.tree], []byte("note\n\n")))
		if n := w.count(`SELECT count(*) FROM releases WHERE state = 'logged'`); n != next.logged {
			t.Errorf("%d releases are logged by checkpoint %d, want %d", n, next.tree, next.logged)
		}
	}
	if n := w.count(`SELECT count(*) FROM signing_jobs`); n != len(trees) {
		t.Errorf("%d jobs, want one for each of %d decisions", n, len(trees))
	}
}
