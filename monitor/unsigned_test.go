package monitor_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/monitor"
	"github.com/reprosign/reprosign/monitor/monitortest"
)

// decidedOnly returns a published log with one release on which nothing is signed.
func decidedOnly(t *testing.T, o evidencetest.Options) (*monitortest.Log, *evidencetest.Release) {
	t.Helper()
	l := monitortest.New(t, evidencetest.New(t, o))
	r := l.Decide(t, 1)
	l.Publish(t)
	return l, r
}

// evaluated wants log verify to have evaluated every decision again.
func evaluated(t *testing.T, l *monitortest.Log) {
	t.Helper()
	report, err := monitor.Verify(t.Context(), open(t, l.Serve(t)), pinned(l), monitor.VerifyOptions{})
	if err != nil || report.Decisions == 0 || report.Evaluated != report.Decisions {
		t.Errorf("log verify: %v, %d of %d decisions evaluated again", err, report.Evaluated, report.Decisions)
	}
}

func TestADecisionWithoutEvidenceIsAnAlarmAfterATimeAlsoIfNothingIsSigned(t *testing.T) {
	t.Parallel()
	l, r := decidedOnly(t, evidencetest.Options{})
	path := monitortest.EvidencePath(r.ID)
	data := l.File(path)
	l.Set(path, nil)
	// The log was not to be had for an hour after the decision: that is not the coordinator's fault.
	s := newScene(t, l, func(*monitor.Config) { l.World.Log.Now += 3600 })
	s.quiet(t)
	s.now += attest.Time(monitor.DefaultEvidence/time.Second) - 1
	s.quiet(t)
	s.now += 3600
	s.wants(t, "release "+r.ID.Short()+" of hello in suite stable is decided, and the evidence for it is not served", monitor.MissingEvidence)
	s.restart(t)
	s.quiet(t, monitor.MissingEvidence)
	l.Set(path, data)
	s.now += 3600
	s.quiet(t)
}

// A withdrawal is no excuse for a bad decision, nor is being late.
func TestDecisionsThatLedToNothingAreEvaluatedAgain(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]func(*testing.T, *monitortest.Log, *evidencetest.Release){
		"not signed yet": func(*testing.T, *monitortest.Log, *evidencetest.Release) {},
		"withdrawn": func(t *testing.T, l *monitortest.Log, r *evidencetest.Release) {
			l.Withdraw(t, r.ID)
		},
		"seen too late": func(t *testing.T, l *monitortest.Log, r *evidencetest.Release) {
			r.SeeLate(t)
			l.Show(t, r, r.UnsignedBundle(t))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, r := decidedOnly(t, evidencetest.Options{Witnesses: 3})
			ends(t, l, r)
			l.Publish(t)
			s := newScene(t, l, nil)
			s.quiet(t)
			s.now += 7200 - 120 // the checkpoint is not stale yet
			s.quiet(t)
			evaluated(t, l)

			bad := *r.UnsignedBundle(t)
			bad.Votes = bad.Votes[1:]
			l.Show(t, r, &bad)
			s = newScene(t, l, nil)
			s.wants(t, "decision on release "+r.ID.Short(), monitor.LoneDecision)
			s.quiet(t)
		})
	}
}

// The signer's key is in the wrong hands: two votes are listed that do not agree.
func TestAnUnsignedDecisionOfTooFewIsAnAlarm(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	r := l.Decide(t, 1)
	other := slices.Clone(r.Artifacts)
	other[0].SHA256[0] ^= 1
	votes := []*attest.Envelope{r.Votes[0], r.Vote(t, l.Rebuilders[1], other)}
	slices.SortFunc(votes, func(a, b *attest.Envelope) int { return strings.Compare(a.Digest().String(), b.Digest().String()) })
	forged := r.Decided()
	forged.Votes = []attest.Digest{votes[0].Digest(), votes[1].Digest()}
	statement, err := forged.Seal(l.Signer)
	if err != nil {
		t.Fatal(err)
	}
	again := rebuilt(t, l, l.World.Log.Entries[:r.DecisionIndex])
	index := again.Append(t, l.Signer, statement)
	b := *r.UnsignedBundle(t)
	b.Votes = votes
	if b.Decision, err = evidence.NewSigstore(statement, l.Signer.VerifierKey, l.World.Log.Key.VerifierKey, again.World.Log.Prove(t, index)); err != nil {
		t.Fatal(err)
	}
	again.Show(t, r, &b)
	again.Publish(t)
	s := newScene(t, again, nil)
	s.wants(t, "the votes do not agree", monitor.LoneDecision)
	s.quiet(t)
}

func TestASignatureOnADecisionThatCameTooLateIsAnAlarm(t *testing.T) {
	t.Parallel()
	for name, show := range map[string]func(*testing.T, *monitortest.Log, *evidencetest.Release){
		"and the evidence does not show it": func(*testing.T, *monitortest.Log, *evidencetest.Release) {},
		"and the evidence shows it": func(t *testing.T, l *monitortest.Log, r *evidencetest.Release) {
			b := *r.UnsignedBundle(t)
			b.Signatures, b.Certificates = r.Parts().Signatures, [][]byte{l.Certificate.Binary()}
			l.Show(t, r, &b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, r := decidedOnly(t, evidencetest.Options{Witnesses: 3})
			r.SeeLate(t)
			l.Show(t, r, r.UnsignedBundle(t))
			show(t, l, r)
			l.Made(t, attest.SignaturesMade{Release: r.ID, Decision: r.Decision.Digest(), LogIndex: r.DecisionIndex}, r)
			l.Publish(t)
			s := newScene(t, l, nil)
			s.wants(t, "release "+r.ID.Short()+" of hello in suite stable is signed, and its decision does not count", monitor.LoneSignature)
			s.quiet(t)
		})
	}
}

func TestEvidenceThatDoesNotShowTheSignaturesIsAnAlarmAfterATime(t *testing.T) {
	t.Parallel()
	l, r := decidedOnly(t, evidencetest.Options{})
	s := newScene(t, l, nil)
	s.quiet(t)
	l.Made(t, attest.SignaturesMade{Release: r.ID, Decision: r.Decision.Digest(), LogIndex: r.DecisionIndex}, r)
	l.Publish(t)
	s.quiet(t)
	s.now += 3600
	s.wants(t, "is signed, and the evidence that is served does not show it", monitor.MissingEvidence)
	s.quiet(t, monitor.MissingEvidence)
	l.Show(t, r, r.Bundle(t))
	s.now += 3600
	s.quiet(t)
}

func TestLogVerifyWantsTheEvidenceOfEveryDecisionThatIsNotNew(t *testing.T) {
	t.Parallel()
	l, r := decidedOnly(t, evidencetest.Options{})
	l.Set(monitortest.EvidencePath(r.ID), nil)
	verify := func(age time.Duration) (*monitor.Report, error) {
		return monitor.Verify(t.Context(), open(t, l.Serve(t)), pinned(l), monitor.VerifyOptions{
			Now: func() time.Time { return r.Decided().Decided.Time().Add(age) },
		})
	}
	report, err := verify(monitor.DefaultEvidence - time.Second)
	if err != nil || report.Steps[5].Detail != "1, of which 0 were evaluated again from their votes; 1 are so new that their evidence is not served yet" {
		t.Errorf("a new decision: %v, %+v", err, report.Steps)
	}
	report, err = verify(monitor.DefaultEvidence)
	if !errors.Is(err, monitor.ErrNotVerified) || len(report.Findings) != 1 || report.Findings[0].Kind != monitor.MissingEvidence {
		t.Errorf("an old decision: %v, %+v", err, report.Findings)
	}
}
