package policy

import (
	"math"
	"slices"

	"github.com/reprosign/reprosign/attest"
)

// tally counts the operators of a case (rules 1 to 3 of [Evaluate]).
type tally struct {
	c     *Case
	suite *Suite
	at    attest.Time
	since attest.Time // when keys must have been valid already
	why   why

	invited   []*Rebuilder
	operators []operator
	seats     []seat // beside invited
	accepted  []accepted
	ignored   map[attest.Digest]string

	candidate attest.Digest // zero if there is none
	agree     int           // A: operators that stand for the candidate, or for each set that leads
	other     int           // the most operators that stand for one set, if not the claim's
	dissent   int           // D
	// outstanding and hopeful operators have not voted: the first may still
	// do so in this attempt, the second in another.
	outstanding, hopeful int
	lapse                attest.Time // when the next key lapses
}

// operator is one operator's standing.
type operator struct {
	name  string
	set   attest.Digest // of its votes
	voted bool
	valid bool // one of the votes is under a key still valid
	twice bool // votes for two sets
	able  bool // has a key still valid
	open  bool // has a rebuilder with such a key that has not answered
	ended ending
	class class
}

// ending is how the builds of an operator without vote ended, the most hopeful
// one counting: another attempt helps against all but the first.
type ending int

const (
	endedNot ending = iota
	endedFailed
	endedTimedOut
	endedErrored
)

// class says in which list of a verdict an operator is.
type class int

const (
	classWaiting class = iota
	classLapsed
	classAgree
	classDiffer
	classEquivocated
	classFailed
	classErrored
	classes // how many there are
)

// seat is one invited rebuilder's standing.
type seat struct {
	operator int
	lapsed   bool
	voted    bool
	ended    ending
	listed   int
}

// accepted is a statement accepted by rule 1.
type accepted struct {
	statement attest.Digest
	seat      int
	vote      bool
	set       attest.Digest // of a vote
}

func newTally(c *Case, suite *Suite, at, since attest.Time) *tally {
	t := &tally{
		c: c, suite: suite, at: at, since: since, lapse: math.MaxInt64,
		invited: c.Policy.Invited(suite, c.Request.Architecture),
	}
	t.operators = make([]operator, 0, len(t.invited))
	t.seats = make([]seat, len(t.invited))
	t.accepted = make([]accepted, 0, len(c.Votes))
	for i, r := range t.invited {
		at := slices.IndexFunc(t.operators, func(o operator) bool { return o.name == r.Operator })
		if at < 0 {
			at = len(t.operators)
			t.operators = append(t.operators, operator{name: r.Operator})
		}
		s := &t.seats[i]
		s.operator, s.lapsed = at, t.at >= r.ValidUntil
		if r.ValidFrom > since {
			s.lapsed = true // for this release it never was valid
		}
		if !s.lapsed {
			t.operators[at].able = true
			t.lapse = min(t.lapse, r.ValidUntil)
		}
	}
	return t
}

// count fills the tally from the case.
func (t *tally) count() {
	for i := range t.c.Votes {
		t.take(&t.c.Votes[i])
	}
	for _, o := range t.c.Objections {
		if o.Kind != ObjectionEquivocation {
			continue
		}
		if i := t.find(o.Rebuilder); i >= 0 {
			t.operators[t.seats[i].operator].twice = true
		}
	}
	for i := range t.seats {
		if s := &t.seats[i]; !s.lapsed && !s.voted && s.ended == endedNot {
			t.operators[s.operator].open = true
		}
	}
	t.nominate()
	for i := range t.operators {
		t.classify(&t.operators[i])
	}
}

func (t *tally) find(rebuilder string) int {
	return slices.IndexFunc(t.invited, func(r *Rebuilder) bool { return r.Key.Name() == rebuilder })
}

// refusal is rule 1: why a statement counts for nothing, or nothing.
func (t *tally) refusal(v *Vote, seat int) string {
	switch {
	case v.Release != t.c.Release:
		return "names another release"
	case seat < 0:
		return "its rebuilder is not invited"
	case t.invited[seat].ValidFrom > t.since || t.invited[seat].ValidUntil <= t.c.Opening.Opened:
		return "its key was not valid when the release was opened"
	case v.Outcome != attest.Built:
		return ""
	case !v.Isolation.AtLeast(t.suite.MinIsolation):
		return "built with less isolation than the suite demands"
	case v.Isolation == attest.IsolationNone && !t.c.Policy.Insecure:
		return "built without isolation"
	}
	return ""
}

func (t *tally) take(v *Vote) {
	i := t.find(v.Rebuilder)
	if reason := t.refusal(v, i); reason != "" {
		t.ignore(v.Statement, reason)
		return
	}
	s := &t.seats[i]
	if s.lapsed && v.Outcome != attest.Built {
		t.ignore(v.Statement, reasonLapsed)
		return
	}
	o := &t.operators[s.operator]
	t.accepted = append(t.accepted, accepted{v.Statement, i, v.Outcome == attest.Built, v.Set})
	if v.Outcome != attest.Built {
		s.ended = max(s.ended, endingOf(v.Outcome))
		o.ended = max(o.ended, s.ended)
		return
	}
	o.twice = o.twice || o.voted && o.set != v.Set
	o.set, o.voted, s.voted = v.Set, true, true
	o.valid = o.valid || !s.lapsed
}

func endingOf(o attest.Outcome) ending {
	switch o {
	case attest.InfraError, attest.FetchFailed:
		return endedErrored
	case attest.TimedOut:
		return endedTimedOut
	case attest.BuildFailed:
		return endedFailed
	case attest.Built:
	}
	return endedNot
}

// nominate finds the candidate.
func (t *tally) nominate() {
	leaders := 0
	for i := range t.operators {
		o := &t.operators[i]
		if !o.stands() || slices.ContainsFunc(t.operators[:i], func(p operator) bool { return p.stands() && p.set == o.set }) {
			continue
		}
		size := 0
		for j := range t.operators {
			if p := &t.operators[j]; p.stands() && p.set == o.set {
				size++
			}
		}
		switch {
		case t.c.Claim != nil && o.set == t.c.Claim.Set:
			t.agree = size
		case size > t.other:
			t.other, t.candidate, leaders = size, o.set, 1
		case size == t.other:
			leaders++
		}
	}
	switch {
	case t.c.Claim != nil:
		t.candidate = t.c.Claim.Set
	case leaders > 1:
		t.agree, t.other, t.candidate = t.other, 0, attest.Digest{}
	default:
		t.agree, t.other = t.other, 0
	}
}

// stands reports whether the operator may agree with its set.
func (o *operator) stands() bool { return o.valid && !o.twice }

func (t *tally) classify(o *operator) {
	switch {
	case o.twice:
		o.class = classEquivocated
	case o.voted && o.set != t.candidate:
		o.class = classDiffer
	case o.valid:
		o.class = classAgree
	case !o.able:
		o.class = classLapsed
	case o.open || o.ended == endedNot:
		o.class = classWaiting
	case o.ended == endedErrored:
		o.class = classErrored
	default:
		o.class = classFailed
	}
	switch {
	case o.class == classWaiting:
		t.outstanding++
	case o.class == classDiffer, o.class == classEquivocated:
		t.dissent++
	case o.class == classLapsed, o.class != classAgree && o.ended > endedFailed:
		t.hopeful++
	}
}
