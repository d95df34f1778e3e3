package monitor_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/monitor"
	"github.com/reprosign/reprosign/monitor/monitortest"
)

// decidedWithout returns a log with a release whose decision lists the votes of
// all rebuilders but the last.
func decidedWithout(t *testing.T) (*monitortest.Log, *evidencetest.Release) {
	t.Helper()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{Votes: ofTheFirstTwo}))
	return l, l.Decide(t, 1)
}

func ofTheFirstTwo(tb testing.TB, r *evidencetest.Release) []*attest.Envelope {
	tb.Helper()
	var votes []*attest.Envelope
	for _, key := range r.World.Rebuilders[:2] {
		votes = append(votes, r.Vote(tb, key, r.Artifacts))
	}
	return votes
}

func TestAJustifiedComplaintIsAnAlarmThatSaysWhatWasLeftOut(t *testing.T) {
	t.Parallel()
	for want, statement := range map[string]func(*testing.T, *evidencetest.Release, attest.SigningKey) *attest.Envelope{
		"its counted vote for the decided files was left out": func(t *testing.T, r *evidencetest.Release, key attest.SigningKey) *attest.Envelope {
			return r.Vote(t, key, r.Artifacts)
		},
		"its counted vote for OTHER files was left out; dissent was hidden": func(t *testing.T, r *evidencetest.Release, key attest.SigningKey) *attest.Envelope {
			other := slices.Clone(r.Artifacts)
			other[0].SHA256[0] ^= 1
			return r.Vote(t, key, other)
		},
		"its counted report of build-failed was left out": func(t *testing.T, r *evidencetest.Release, key attest.SigningKey) *attest.Envelope {
			return r.Report(t, key, attest.BuildFailed)
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			l, r := decidedWithout(t)
			key := l.Rebuilders[2]
			counted := statement(t, r, key)
			complaint, receipt := r.Complain(t, key, counted)
			l.Record(t, attest.RecordComplaint, complaint, receipt, counted)
			l.Publish(t)
			s := newScene(t, l, nil)
			s.wants(t, "rebuilder "+key.Name()+" complains about the decision on release "+r.ID.Short()+" of hello in suite stable: "+want, monitor.Complaint)
			s.restart(t)
			s.quiet(t)
			report, err := monitor.Verify(t.Context(), open(t, l.Serve(t)), pinned(l), monitor.VerifyOptions{})
			if err != nil || len(report.Findings) != 1 || report.Findings[0].Kind != monitor.Complaint {
				t.Errorf("log verify: %v, findings %v", err, report.Findings)
			}
		})
	}
}

// The decision lists the statement: whoever took that complaint is not lawful.
func TestAComplaintThatIsNotJustifiedIsToldAsSuch(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	r := l.Release(t, 1)
	key := l.Rebuilders[2]
	complaint, receipt := r.Complain(t, key, r.Votes[2])
	l.Record(t, attest.RecordComplaint, complaint, receipt, r.Votes[2])
	l.Publish(t)
	s := newScene(t, l, nil)
	s.wants(t, "complaint is not justified: the decision lists the statement", monitor.UnjustifiedComplaint)
	s.quiet(t)
}

// complain publishes the lawful complaint of the rebuilder that was left out, and
// returns what the record brings.
func complain(t *testing.T, l *monitortest.Log, r *evidencetest.Release) []*attest.Envelope {
	t.Helper()
	key := l.Rebuilders[2]
	counted := r.Vote(t, key, r.Artifacts)
	complaint, receipt := r.Complain(t, key, counted)
	bodies := []*attest.Envelope{complaint, receipt, counted}
	l.Record(t, attest.RecordComplaint, bodies...)
	l.Publish(t)
	return bodies
}

// A coordinator cannot silence a complaint by keeping the evidence back.
func TestAComplaintWithoutEvidenceIsAnAlarmAfterATime(t *testing.T) {
	t.Parallel()
	for name, served := range map[string][]byte{"none": nil, "nonsense": []byte("{}")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, r := decidedWithout(t)
			complain(t, l, r)
			path := monitortest.EvidencePath(r.ID)
			data := l.File(path)
			l.Set(path, served)
			s := newScene(t, l, nil)
			first := s.pass(t)
			s.restart(t)
			s.now += 3600
			second := s.pass(t)
			want := []monitor.Kind{monitor.Complaint, monitor.LoneDecision}
			if served == nil {
				want[1] = monitor.MissingEvidence
			}
			if got := append(kinds(first.Raised), kinds(second.Raised)...); !slices.Equal(got, want) && !slices.Equal(got, []monitor.Kind{want[1], want[0]}) {
				t.Errorf("raised %v, want %v", got, want)
			}
			l.Set(path, data)
			report, err := monitor.Verify(t.Context(), open(t, l.Serve(t)), pinned(l), monitor.VerifyOptions{WithoutEvidence: true})
			if err != nil || len(report.Findings) != 1 || report.Findings[0].Kind != monitor.Complaint {
				t.Errorf("log verify without evidence: %v, findings %v", err, report.Findings)
			}
		})
	}
}

// Nor by serving, when it is judged, something with a signature that is not good.
func TestAComplaintIsNotCalledUnjustifiedForWhatIsServed(t *testing.T) {
	t.Parallel()
	unsigned := func(e *attest.Envelope) *attest.Envelope {
		bad := *e
		bad.Signatures = []attest.Signature{{Sig: make([]byte, len(e.Signatures[0].Sig))}}
		return &bad
	}
	body := func(i int) func(*testing.T, *monitortest.Log, *evidencetest.Release, []*attest.Envelope) {
		return func(t *testing.T, l *monitortest.Log, _ *evidencetest.Release, parts []*attest.Envelope) {
			data, err := unsigned(parts[i]).Encode()
			if err != nil {
				t.Fatal(err)
			}
			l.Set("body/"+parts[i].Digest().String(), data)
		}
	}
	for name, spoil := range map[string]func(*testing.T, *monitortest.Log, *evidencetest.Release, []*attest.Envelope){
		"complaint": body(0), "receipt": body(1), "statement": body(2),
		"opening": func(t *testing.T, l *monitortest.Log, r *evidencetest.Release, _ []*attest.Envelope) {
			b := *r.UnsignedBundle(t)
			b.Opening = unsigned(b.Opening)
			l.Show(t, r, &b)
		},
		"decision": func(t *testing.T, l *monitortest.Log, r *evidencetest.Release, _ []*attest.Envelope) {
			b := *r.UnsignedBundle(t)
			decision := *b.Decision
			decision.Envelope = unsigned(decision.Envelope)
			b.Decision = &decision
			l.Show(t, r, &b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, r := decidedWithout(t)
			bodies := complain(t, l, r)
			l.Away("api/")
			s := newScene(t, l, nil)
			s.quiet(t)
			l.Away("")
			spoil(t, l, r, bodies)
			raised := s.pass(t).Raised
			s.now += 3600
			raised = append(raised, s.pass(t).Raised...)
			if got := kinds(raised); !slices.Contains(got, monitor.Complaint) || slices.Contains(got, monitor.UnjustifiedComplaint) {
				t.Errorf("raised %v, want a complaint that cannot be judged", raised)
			}
		})
	}
}

func TestAComplaintIsJudgedWhenTheLogIsBack(t *testing.T) {
	t.Parallel()
	l, r := decidedWithout(t)
	l.Publish(t)
	s := newScene(t, l, nil)
	s.quiet(t)
	key := l.Rebuilders[2]
	counted := r.Vote(t, key, r.Artifacts)
	complaint, receipt := r.Complain(t, key, counted)
	l.Record(t, attest.RecordComplaint, complaint, receipt, counted)
	l.Publish(t)
	l.Away("api/")
	s.quiet(t)
	s.restart(t)
	l.Away("")
	s.wants(t, "its counted vote for the decided files was left out", monitor.Complaint)
	s.quiet(t)
}

// Of one rebuilder a decision lists so many statements and no more: the evidence
// shows that it does, and the signer had to leave out the rest.
func TestAComplaintOfARebuilderWithAllThatMayBeListedIsNotJustified(t *testing.T) {
	t.Parallel()
	another := func(tb testing.TB, e *attest.Envelope, key attest.SigningKey, i int) *attest.Envelope {
		vote, err := attest.ParseRebuild(e.Payload)
		if err != nil {
			tb.Fatal(err)
		}
		vote.Log = attest.SHA256(fmt.Appendf(nil, "build %d", i))
		if e, err = vote.Seal(key); err != nil {
			tb.Fatal(err)
		}
		return e
	}
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{
		Votes: func(tb testing.TB, r *evidencetest.Release) []*attest.Envelope {
			var votes []*attest.Envelope
			for _, key := range r.World.Rebuilders[:2] {
				votes = append(votes, r.Vote(tb, key, r.Artifacts))
			}
			key := r.World.Rebuilders[2]
			for i := range policy.MaxListed {
				votes = append(votes, another(tb, r.Vote(tb, key, r.Artifacts), key, i))
			}
			return votes
		},
	}))
	r := l.Decide(t, 1)
	key := l.Rebuilders[2]
	counted := another(t, r.Vote(t, key, r.Artifacts), key, policy.MaxListed)
	complaint, receipt := r.Complain(t, key, counted)
	l.Record(t, attest.RecordComplaint, complaint, receipt, counted)
	l.Publish(t)
	s := newScene(t, l, nil)
	s.wants(t, "complaint is not justified: the decision lists 8 statements of this rebuilder", monitor.UnjustifiedComplaint)
	s.quiet(t)
}
