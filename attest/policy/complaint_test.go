package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
)

// quarrel is a dispute with what it was made of, for tests to change.
type quarrel struct {
	policy.Dispute

	world   *evidencetest.World
	release *evidencetest.Release
	said    attest.Complaint
	receipt attest.Receipt
	by      attest.SigningKey // who complains: the third rebuilder
}

// newQuarrel has the signer decide without the third rebuilder's counted vote.
func newQuarrel(t testing.TB, changes ...func(*policy.Policy)) *quarrel {
	t.Helper()
	q := &quarrel{}
	var vote *attest.Envelope
	q.world = evidencetest.New(t, evidencetest.Options{
		Change: func(p *policy.Policy) {
			for _, change := range changes {
				change(p)
			}
		},
		Votes: func(tb testing.TB, r *evidencetest.Release) []*attest.Envelope {
			tb.Helper()
			vote = r.Vote(tb, r.World.Rebuilders[2], r.Artifacts)
			return []*attest.Envelope{r.Vote(tb, r.World.Rebuilders[0], r.Artifacts), r.Vote(tb, r.World.Rebuilders[1], r.Artifacts)}
		},
	})
	q.by = q.world.Rebuilders[2]
	q.release = q.world.Release(t, 1)
	q.Dispute = policy.Dispute{
		Policy: q.world.Version, Opening: q.release.Opening, Request: q.release.Request, Decision: q.release.Decision,
		Listed: q.release.Votes,
	}
	q.show(t, vote)
	return q
}

// show makes the quarrel about a statement.
func (q *quarrel) show(t testing.TB, statement *attest.Envelope) {
	t.Helper()
	q.Statement = statement
	q.receipt = attest.Receipt{
		Coordinator: q.world.Coordinator.Name(), Rebuilder: q.by.Name(), Issued: evidencetest.Opened + 70, Counted: []attest.Digest{statement.Digest()},
	}
	q.confirm(t, q.world.Coordinator)
}

// confirm seals the receipt and makes the complaint name it.
func (q *quarrel) confirm(t testing.TB, coordinator attest.SigningKey) {
	t.Helper()
	q.Receipt = must(q.receipt.Seal(coordinator))
	q.said = attest.Complaint{
		Rebuilder: q.by.Name(), Release: q.release.ID, Decision: q.Decision.Digest(), Statement: q.Statement.Digest(),
		Receipt: q.Receipt.Digest(), Issued: evidencetest.Opened + 120,
	}
	q.complain(t, q.by)
}

func (q *quarrel) complain(t testing.TB, key attest.SigningKey) {
	t.Helper()
	q.Complaint = must(q.said.Seal(key))
}

func TestACountedVoteThatADecisionLacksJustifiesAComplaint(t *testing.T) {
	t.Parallel()
	q := newQuarrel(t)
	got, err := q.Judge()
	if err != nil {
		t.Fatal(err)
	}
	if got != q.said {
		t.Errorf("got %+v, want %+v", got, q.said)
	}
	// A report that is left out is as bad as a vote.
	q.show(t, q.release.Report(t, q.by, attest.BuildFailed))
	if _, err := q.Judge(); err != nil {
		t.Errorf("report: %v", err)
	}
}

func TestAComplaintIsUnjustified(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(t *testing.T, q *quarrel)
		want   string
	}{
		"by somebody else": {func(t *testing.T, q *quarrel) {
			q.said.Rebuilder = "rebuilder-1"
			q.complain(t, q.world.Rebuilders[0])
		}, `the statement is of rebuilder "rebuilder-3"`},
		"by a stranger under the name": {func(t *testing.T, q *quarrel) {
			q.complain(t, evidencetest.Ed25519Key(t, "stranger", q.by.Name()))
		}, "signature"},
		"by a stranger": {func(t *testing.T, q *quarrel) {
			q.said.Rebuilder = "stranger"
			q.complain(t, evidencetest.Ed25519Key(t, "stranger", "stranger"))
		}, "not in the policy"},
		"without a complaint": {func(_ *testing.T, q *quarrel) { q.Complaint = nil }, "no envelope"},
		"without a receipt":   {func(_ *testing.T, q *quarrel) { q.Receipt = nil }, "no envelope"},
		"without a statement": {func(_ *testing.T, q *quarrel) { q.Statement = nil }, "no envelope"},
		"without a decision":  {func(_ *testing.T, q *quarrel) { q.Decision = nil }, "no envelope"},
		"without an opening":  {func(_ *testing.T, q *quarrel) { q.Opening = nil }, "no envelope"},
		"without a request":   {func(_ *testing.T, q *quarrel) { q.Request = nil }, "not the one that the opening names"},
		"without a policy":    {func(_ *testing.T, q *quarrel) { q.Policy = nil }, "policy of the release is not known"},
		"under another policy": {func(_ *testing.T, q *quarrel) {
			other := *q.Policy
			other.Digest = digest("other")
			q.Policy = &other
		}, "under another policy"},
		"with a receipt that nobody sealed": {func(t *testing.T, q *quarrel) {
			q.confirm(t, evidencetest.P256Key(t, "impostor", q.world.Coordinator.Name()))
		}, "signature"},
		"with a receipt that says late": {func(t *testing.T, q *quarrel) {
			q.receipt.Late, q.receipt.Counted = q.receipt.Counted, nil
			q.confirm(t, q.world.Coordinator)
		}, "came late"},
		"with a receipt for another statement": {func(t *testing.T, q *quarrel) {
			q.receipt.Counted = []attest.Digest{digest("other")}
			q.confirm(t, q.world.Coordinator)
		}, "does not name the statement"},
		"with a receipt for another rebuilder": {func(t *testing.T, q *quarrel) {
			q.receipt.Rebuilder = "rebuilder-1"
			q.confirm(t, q.world.Coordinator)
		}, `the receipt is for rebuilder "rebuilder-1"`},
		"with another receipt than it names": {func(t *testing.T, q *quarrel) {
			q.said.Receipt = digest("other")
			q.complain(t, q.by)
		}, "names receipt"},
		"with another statement than it names": {func(t *testing.T, q *quarrel) {
			q.said.Statement = digest("other")
			q.complain(t, q.by)
		}, "about statement"},
		"about another release": {func(t *testing.T, q *quarrel) {
			q.said.Release = digest("other")
			q.complain(t, q.by)
		}, "the complaint is about release"},
		"about another decision": {func(t *testing.T, q *quarrel) {
			q.said.Decision = digest("other")
			q.complain(t, q.by)
		}, "about decision"},
		"about a decision of another release": {func(t *testing.T, q *quarrel) {
			q.Decision = q.world.Release(t, 2).Decision
			q.said.Decision = q.Decision.Digest()
			q.complain(t, q.by)
		}, "the decision is about release"},
		"with a statement on another release": {func(t *testing.T, q *quarrel) {
			q.show(t, q.world.Release(t, 2).Vote(t, q.by, q.release.Artifacts))
		}, "the statement is about release"},
		"with a decision that no signer made": {func(t *testing.T, q *quarrel) {
			d := q.release.Decided()
			q.Decision = must(d.Seal(evidencetest.P256Key(t, "impostor", d.Signer)))
			q.said.Decision = q.Decision.Digest()
			q.complain(t, q.by)
		}, "signature"},
		"while the decision lists it": {func(t *testing.T, q *quarrel) {
			q.by = q.world.Rebuilders[0]
			q.show(t, q.release.Votes[0])
		}, "the decision lists the statement"},
		"about a vote of too little isolation": {func(t *testing.T, q *quarrel) {
			vote := must(attest.ParseRebuild(q.Statement.Payload))
			vote.Isolation = attest.IsolationNone
			q.show(t, must(vote.Seal(q.by)))
		}, "isolation"},
		"by one with enough statements listed": {func(t *testing.T, q *quarrel) {
			d := q.release.Decided()
			for i := range policy.MaxListed {
				vote := must(attest.ParseRebuild(q.Statement.Payload))
				vote.Log = digest(fmt.Sprint("build ", i))
				e := must(vote.Seal(q.by))
				q.Listed = append(q.Listed, e, e)
				d.Votes = append(d.Votes, e.Digest())
			}
			attest.SortDigests(d.Votes)
			q.Decision = must(d.Seal(q.world.Signer))
			q.said.Decision = q.Decision.Digest()
			q.complain(t, q.by)
		}, "lists 8 statements of this rebuilder"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQuarrel(t)
			test.change(t, q)
			_, err := q.Judge()
			if !errors.Is(err, policy.ErrUnjustified) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want a reason with %q", err, test.want)
			}
		})
	}
}

func TestAComplaintUnderALapsedKeyIsUnjustified(t *testing.T) {
	t.Parallel()
	q := newQuarrel(t, func(p *policy.Policy) { p.Rebuilders[2].ValidUntil = evidencetest.Opened + 90 })
	if _, err := q.Judge(); !errors.Is(err, policy.ErrUnjustified) || !strings.Contains(err.Error(), "lapsed") {
		t.Errorf("vote for the decided set: %v", err)
	}
	// Dissent stands also under such a key, and hiding it is the worse for it.
	other := append(attest.Artifacts{}, q.release.Artifacts...)
	other[0].SHA256 = digest("something else")
	q.show(t, q.release.Vote(t, q.by, other))
	if _, err := q.Judge(); err != nil {
		t.Errorf("dissent: %v", err)
	}
	q = newQuarrel(t, func(p *policy.Policy) { p.Rebuilders[2].ValidFrom = evidencetest.Opened + 1 })
	if _, err := q.Judge(); !errors.Is(err, policy.ErrUnjustified) || !strings.Contains(err.Error(), "not valid when the release was opened") {
		t.Errorf("key of later: %v", err)
	}
}

func TestPartiesMayHaveNewKeysWhenTheyComplain(t *testing.T) {
	t.Parallel()
	q := newQuarrel(t)
	rebuilder, coordinator := evidencetest.Ed25519Key(t, "next", q.by.Name()), evidencetest.P256Key(t, "next", q.world.Coordinator.Name())
	q.confirm(t, coordinator)
	q.complain(t, rebuilder)
	if _, err := q.Judge(); !errors.Is(err, policy.ErrUnjustified) {
		t.Errorf("keys of no policy: %v", err)
	}
	newest := *q.Policy
	newest.Rebuilders = append([]policy.Rebuilder{}, newest.Rebuilders...)
	newest.Rebuilders[2].Key = rebuilder.VerifierKey
	newest.Coordinators = []policy.Party{{Key: coordinator.VerifierKey}}
	q.Newest = &newest
	if _, err := q.Judge(); err != nil {
		t.Errorf("keys of the newest policy: %v", err)
	}
}

// Whatever is put in the place of an envelope's payload, signed by whoever
// should sign it, the verdict is the same or none.
func FuzzAComplaintIsJustifiedByTheTruthAlone(f *testing.F) {
	q := newQuarrel(f)
	for i, e := range []*attest.Envelope{q.Complaint, q.Receipt, q.Statement} {
		f.Add(uint8(i), e.Payload)
	}
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		d := q.Dispute
		parts := []struct {
			envelope **attest.Envelope
			key      attest.SigningKey
		}{{&d.Complaint, q.by}, {&d.Receipt, q.world.Coordinator}, {&d.Statement, q.by}}
		part := parts[int(which)%len(parts)]
		e, err := attest.Seal(attest.StatementType, payload, part.key)
		if err != nil {
			return
		}
		*part.envelope = e
		c, err := d.Judge()
		if err != nil {
			if !errors.Is(err, policy.ErrUnjustified) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		// All but its time is fixed by what it names.
		want := q.said
		want.Issued = c.Issued
		if c != want {
			t.Errorf("justified: %+v, true is %+v", c, q.said)
		}
	})
}
