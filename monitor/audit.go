package monitor

import (
	"context"
	"errors"
	"fmt"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// auditor reads the entries of one log, from the first one on, and says what is
// wrong with them.
type auditor struct {
	log      *Log
	trust    evidence.Trust
	follower *translog.Follower
	signed   map[string]int64 // signatures that the log explains, by certificate

	complaints []complaint // read, and not taken yet
}

func newAuditor(l *Log, trust evidence.Trust, chain *policy.Chain) *auditor {
	return &auditor{log: l, trust: trust, follower: translog.NewFollower(chain), signed: map[string]int64{}}
}

// read reads the entries that follow and says what they mean, and what is wrong
// with each. At an error it has read those whose facts it returns.
func (a *auditor) read(entries []translog.Entry) (facts []translog.Fact, alarms []Alarm, err error) {
	for _, e := range entries {
		fact, err := a.follower.Read(e)
		if err != nil {
			return facts, alarms, err
		}
		alarms = append(alarms, a.examine(e.Index, &fact)...)
		a.complaintOf(&e, &fact)
		if err := a.learn(fact); err != nil {
			return facts, alarms, err
		}
		facts = append(facts, fact)
	}
	return facts, alarms, nil
}

// learn takes a fact that was examined.
func (a *auditor) learn(fact translog.Fact) error {
	if err := a.follower.Learn(fact); err != nil {
		return err
	}
	if s := fact.Signatures; s != nil {
		a.signed[s.Certificate] += int64(s.Count)
	}
	return nil
}

// halted says, as an alarm, why no entry behind the next one is read; ok is
// false if the reason lies elsewhere.
func (a *auditor) halted(err error) (Alarm, bool) {
	at := a.follower.Size()
	cause := fmt.Sprintf("entry %d", at)
	switch {
	case errors.Is(err, translog.ErrMissingBody):
		return alarm(MissingBody, cause, "%v", err).at(at, attest.Digest{}), true
	case errors.Is(err, translog.ErrOldPolicy):
		return alarm(OldPolicy, cause, "%v", err).at(at, attest.Digest{}), true
	}
	return Alarm{}, false
}

// examine says what is wrong with an entry, or worth telling. It is asked before
// the follower learns of it.
func (a *auditor) examine(index int64, fact *translog.Fact) []Alarm {
	cause := fmt.Sprintf("entry %d", index)
	about := func(kind Kind, release attest.Digest, format string, args ...any) []Alarm {
		return []Alarm{alarm(kind, cause, format, args...).at(index, release)}
	}
	if fact.Problem == "" {
		return a.announce(fact, about)
	}
	switch {
	case fact.Signatures != nil:
		s := fact.Signatures
		return about(LoneSignature, s.Release, "log entry %d: %d signatures by certificate %s for %s: %s",
			index, s.Count, s.Certificate, a.name(s.Release), fact.Problem)
	case fact.Decision != nil && a.namesTwice(fact.Decision):
		return about(NameTwice, fact.Decision.Release, "log entry %d: decision about %s: %s", index, a.name(fact.Decision.Release), fact.Problem)
	case fact.Decision != nil:
		return about(LoneDecision, fact.Decision.Release, "log entry %d: %s", index, fact.Problem)
	case fact.Record != nil && fact.Record.Contradicts:
		return about(TwoPolicies, attest.Digest{}, "log entry %d: %s", index, fact.Problem)
	}
	return about(ForeignEntry, attest.Digest{}, "log entry %d: %s: %s", index, fact.Kind, fact.Problem)
}

// announce says what is worth telling of a lawful entry.
func (a *auditor) announce(fact *translog.Fact, about func(Kind, attest.Digest, string, ...any) []Alarm) []Alarm {
	switch fact.Kind {
	case translog.KindEquivocation:
		r := fact.Record
		return about(Equivocation, r.Release, "the operator of rebuilder %s voted for two artifact sets in %s", r.By, a.name(r.Release))
	case translog.KindPolicy:
		p, err := policy.Parse(fact.Record.Policy.Payload)
		if _, known := a.follower.Chain().ByDigest(fact.Record.Policy.Digest()); known || err != nil {
			return nil // the pinned one, or an older one
		}
		return about(NewPolicy, attest.Digest{}, "policy %d, %s, is in force", p.Serial, fact.Record.Policy.Digest())
	default:
		return nil
	}
}

// namesTwice reports whether a decision is about a file name that has other
// content, or another source, already.
func (a *auditor) namesTwice(d *translog.DecisionFact) bool {
	r, known := a.follower.Release(d.Release)
	if !known {
		return false
	}
	for _, artifact := range d.Artifacts {
		if a.follower.CheckName(r.Suite, r.Source, artifact.Name, artifact.SHA256) != nil {
			return true
		}
	}
	return false
}

// name names a release for people, as far as the log does.
func (a *auditor) name(release attest.Digest) string {
	r, known := a.follower.Release(release)
	if !known {
		return "release " + release.Short() + ", which the log does not hold"
	}
	return fmt.Sprintf("release %s of %s in suite %s", release.Short(), r.Source, r.Suite)
}

// reevaluate evaluates a release's decision again, from the votes in its
// evidence; signed says that by the log something was signed on it. Errors wrap
// [ErrMissing] if there is no evidence, or none that shows the signatures, or
// [ErrUnreachable], or policy.ErrTooLate if something is signed on a decision that
// does not count; all others say that the votes do not carry the decision.
//
// What the witnesses saw too late, or the admins withdrew, was decided all the same
// and had to follow from its votes. That nothing comes of it is lawful.
func (a *auditor) reevaluate(ctx context.Context, release attest.Digest, signed bool) error {
	r, known := a.follower.Release(release)
	if !known || r.Decision == nil {
		return fmt.Errorf("%s is not decided", a.name(release))
	}
	bundle, err := a.log.Evidence(ctx, release)
	if err != nil {
		return err
	}
	if bundle.Opening.Digest() != release {
		return fmt.Errorf("%w: the evidence is of another release", evidence.ErrNotVerified)
	}
	report, err := evidence.Reevaluate(bundle, a.trustIn(bundle, r.Policy))
	if err != nil {
		return err
	}
	if bundle.Decision.Envelope.Digest() != r.Decision.Statement || report.LogIndex != r.Decision.Index {
		return fmt.Errorf("%w: it is about another decision than log entry %d", evidence.ErrNotVerified, r.Decision.Index)
	}
	switch {
	case signed && report.TooLate != nil:
		return fmt.Errorf("%w: %w", evidence.ErrNotVerified, report.TooLate)
	case signed && report.Unsigned():
		return fmt.Errorf("%w: %w", ErrMissing, evidence.ErrUnsigned)
	}
	return nil
}

// trustIn is what the evidence of a release is held against: the release's own
// policy, which the log's chain of policies holds, so that old releases verify as
// well as those under the pinned policy. Signatures that were made on an earlier
// decision name the log of that one, which had another origin if it has ended
// since: then it begins with the oldest policy in the evidence that the log holds,
// and the witnesses are the release's own all the same.
func (a *auditor) trustIn(bundle *evidence.Bundle, own *policy.Version) evidence.Trust {
	t := evidence.Trust{Policy: own.Envelope, Witnesses: a.trust.Witnesses}
	if len(bundle.Earlier) == 0 {
		return t
	}
	if t.Witnesses.IsZero() {
		t.Witnesses = own.Witnesses
	}
	for _, e := range bundle.Policies {
		v, known := a.follower.Chain().ByDigest(e.Digest())
		if known && v.Serial < own.Serial && (!t.Witnesses.IsZero() || v.Witnesses.IsZero()) {
			t.Policy = v.Envelope
			break
		}
	}
	return t
}

// judge turns the outcome of reevaluate into an alarm, if it is one. Evidence
// that is missing or out of reach is for the caller to wait for.
func (a *auditor) judge(release attest.Digest, err error) (Alarm, bool) {
	if err == nil || errors.Is(err, ErrMissing) || errors.Is(err, ErrUnreachable) || errors.Is(err, context.Canceled) {
		return Alarm{}, false
	}
	if errors.Is(err, policy.ErrTooLate) {
		return alarm(LoneSignature, release.String(), "%s is signed, and its decision does not count: %v", a.name(release), err).
			at(a.decidedAt(release), release), true
	}
	return alarm(LoneDecision, release.String(), "decision on %s: %v", a.name(release), err).at(a.decidedAt(release), release), true
}

// decidedAt returns the index of the entry with a release's decision, -1 if there is none.
func (a *auditor) decidedAt(release attest.Digest) int64 {
	if r, known := a.follower.Release(release); known && r.Decision != nil {
		return r.Decision.Index
	}
	return -1
}

// decidedTime returns when a release was decided, zero if it was not.
func (a *auditor) decidedTime(release attest.Digest) attest.Time {
	if r, known := a.follower.Release(release); known && r.Decision != nil {
		return r.Decision.At
	}
	return 0
}

// missingEvidence says, as an alarm, that there is no evidence of a decision, or
// none of its signatures.
func missingEvidence(a *auditor, release attest.Digest, signed bool, err error) Alarm {
	what := "%s is decided, and the evidence for it is not served"
	switch {
	case errors.Is(err, evidence.ErrUnsigned):
		what = "%s is signed, and the evidence that is served does not show it"
	case signed:
		what = "%s is signed, and its evidence is not served"
	}
	return alarm(MissingEvidence, release.String(), what, a.name(release)).at(a.decidedAt(release), release)
}
