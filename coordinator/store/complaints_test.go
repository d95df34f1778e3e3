package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
)

// complaint seals a complaint about a logged release, with any receipt.
func (w *world) complaint(d *coordinator.Disputed, statement coordinator.Incoming) (coordinator.Complaint, coordinator.Entry) {
	w.t.Helper()
	receipt, err := attest.Receipt{
		Coordinator: w.coordinator.Name(), Rebuilder: statement.Rebuild.Rebuilder, Issued: attest.At(w.now()), Counted: []attest.Digest{statement.Statement},
	}.Seal(w.coordinator)
	must(w.t, err)
	c := coordinator.Complaint{Vote: statement.Rebuild.Outcome == attest.Built, Complaint: attest.Complaint{
		Rebuilder: statement.Rebuild.Rebuilder, Release: statement.Rebuild.Release, Decision: d.Decision.Digest(),
		Statement: statement.Statement, Receipt: receipt.Digest(), Issued: attest.At(w.now()),
	}}
	e, err := c.Seal(w.agent(c.Rebuilder))
	must(w.t, err)
	c.Digest = e.Digest()
	return c, w.record(attest.RecordComplaint, e, receipt, statement.Envelope)
}

func TestAComplaintIsStoredOnceAndShownWhenTheLogShowsIt(t *testing.T) {
	w := newWorld(t)
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta", "gamma"), threshold: 2})
	b := build(t, "content", "hello.deb")
	known := w.vote(r.ID, "gamma", b)
	w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b), known)
	if _, err := w.writer.Disputed(t.Context(), r.ID, "gamma"); !errors.Is(err, coordinator.ErrNotFound) {
		t.Errorf("before there is a decision: %v, want ErrNotFound", err)
	}
	w.decide(r.ID, fingerprint)
	if _, err := w.writer.Disputed(t.Context(), r.ID, "gamma"); !errors.Is(err, coordinator.ErrNotFound) {
		t.Errorf("before the log shows the decision: %v, want ErrNotFound", err)
	}
	w.publish()
	d, err := w.writer.Disputed(t.Context(), r.ID, "gamma")
	must(t, err)
	if d.Opening.Digest() != r.ID || d.Request.Digest() != r.Opening.Request || len(d.Statements) != 1 || d.Statements[0].Digest() != known.Statement {
		t.Fatalf("got %+v", d)
	}

	lost := w.vote(r.ID, "gamma", b) // that the store has never seen, as after a restore
	c, entry := w.complaint(d, lost)
	var replicas sync.WaitGroup
	created := make(chan bool, 8)
	for range cap(created) {
		replicas.Go(func() {
			stored, first, err := w.writer.Complain(t.Context(), c, entry)
			if err != nil || stored != c.Digest {
				t.Errorf("stored as %s, %v", stored.Short(), err)
			}
			created <- first
		})
	}
	replicas.Wait()
	close(created)
	news := 0
	for first := range created {
		if first {
			news++
		}
	}
	again, second := w.complaint(d, lost)
	again.Issued++ // the agent has forgotten that it complained
	again.Digest = attest.SHA256([]byte("another complaint"))
	stored, first, err := w.writer.Complain(t.Context(), again, second)
	if err != nil || first || stored != c.Digest || news != 1 {
		t.Errorf("%d were first; another one about the statement: %s, %v, %v; want the first one's digest", news, stored.Short(), first, err)
	}
	report := w.report(r.ID, "alpha", attest.InfraError)
	other, third := w.complaint(d, report)
	if _, first, err := w.writer.Complain(t.Context(), other, third); err != nil || !first {
		t.Errorf("about another statement: %v, %v", first, err)
	}

	if shown, err := w.reader.Complaints(t.Context(), r.ID); err != nil || len(shown) != 0 {
		t.Errorf("before the log shows them: %v, %v", shown, err)
	}
	w.publish()
	shown, err := w.reader.Complaints(t.Context(), r.ID)
	must(t, err)
	want := []coordinator.ComplaintView{
		{Rebuilder: "gamma", Operator: "op-gamma", Vote: true, Complaint: c.Digest, Receipt: c.Receipt, Statement: lost.Statement},
		{Rebuilder: "alpha", Operator: "op-alpha", Complaint: other.Digest, Receipt: other.Receipt, Statement: report.Statement},
	}
	if diff := cmp.Diff(want, shown, cmpopts.IgnoreFields(coordinator.ComplaintView{}, "LogIndex", "At")); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	for _, c := range shown {
		for _, body := range []attest.Digest{c.Complaint, c.Receipt, c.Statement} {
			if _, err := w.reader.Body(t.Context(), body); err != nil || c.At.IsZero() || c.LogIndex == 0 {
				t.Errorf("body of %+v: %v", c, err)
			}
		}
	}
	if n := w.count(`SELECT count(*) FROM complaints`); n != 2 {
		t.Errorf("%d complaints stored, want 2", n)
	}
	refusedWith(t, w.connect(""), foreignKeyViolation, `
		INSERT INTO complaints SELECT sha256('x'), statement, sha256('y'), receipt, rebuilder, vote, 1 FROM complaints LIMIT 1`)
	refusedWith(t, w.connect(""), uniqueViolation, `
		INSERT INTO complaints SELECT decision, statement, sha256('y'), receipt, rebuilder, vote, 1 FROM complaints LIMIT 1`)
}

// A decision may stand in the log though its release came to another end.
func TestADecisionThatLedToNothingCanBeDisputedToo(t *testing.T) {
	w := newWorld(t)
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta", "gamma"), threshold: 2})
	b := build(t, "content", "hello.deb")
	w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b))
	w.decide(r.ID, fingerprint)
	x := attest.Withdrawal{Role: attest.RoleAdmin, By: "admin", Release: r.ID, Reason: "wrong", At: attest.At(w.now())}
	e, err := x.Seal(ed(t, "admin"))
	must(t, err)
	must(t, w.writer.Withdraw(t.Context(), e.Digest(), x, e, w.record(attest.RecordWithdrawal, e)))
	w.publish()
	if got := w.view(r.ID); got.State != coordinator.Withdrawn || got.LogIndex >= 0 {
		t.Fatalf("release %+v, want one that was withdrawn before its decision was logged", got)
	}
	d, err := w.writer.Disputed(t.Context(), r.ID, "gamma")
	must(t, err)
	c, entry := w.complaint(d, w.vote(r.ID, "gamma", b))
	if _, first, err := w.writer.Complain(t.Context(), c, entry); err != nil || !first {
		t.Fatalf("complaint: %v, %v", first, err)
	}
	w.publish()
	if shown, err := w.reader.Complaints(t.Context(), r.ID); err != nil || len(shown) != 1 {
		t.Errorf("shown: %v, %v", shown, err)
	}
}

// A decision that witnesses saw too late leads to another attempt. Until that
// has ended, what a rebuilder built stays with the coordinator.
func TestADisputeWaitsForTheEndOfTheEmbargo(t *testing.T) {
	w, key := newWorld(t), ed(t, "log.example.org")
	for retries, disputable := range map[int]bool{0: true, 1: false} {
		r := w.open("hello", fmt.Sprint(retries), rules{invited: operators("alpha", "beta", "gamma"), threshold: 2, retries: retries})
		b := build(t, "content", fmt.Sprintf("hello_%d.deb", retries))
		w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b))
		w.decide(r.ID, fingerprint)
		must(t, w.publishSeen(key, attest.At(w.now()), func(coordinator.Case, attest.Decision, policy.Seen) error {
			return fmt.Errorf("%w: seen at midnight", policy.ErrTooLate)
		}))
		if got := w.state(r.ID); got != coordinator.Expired {
			t.Fatalf("state %s, want expired", got)
		}
		_, err := w.writer.Disputed(t.Context(), r.ID, "gamma")
		if disputable && err != nil || !disputable && !errors.Is(err, coordinator.ErrNotFound) {
			t.Errorf("with %d retries: %v, disputable should be %v", retries, err, disputable)
		}
	}
}
