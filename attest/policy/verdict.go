package policy

import (
	"bytes"
	"slices"

	"github.com/reprosign/reprosign/attest"
)

// verdict tells who said what. The outcome is judge's.
func (t *tally) verdict() Verdict {
	v := Verdict{Threshold: t.suite.Threshold, Operators: len(t.operators), Views: make(map[string]View, len(t.seats))}
	lists := v.lists()
	for i := range t.operators {
		o := &t.operators[i]
		*lists[o.class] = append(*lists[o.class], o.name)
	}
	for _, list := range lists {
		slices.Sort(*list)
	}
	for i := range t.seats {
		v.Views[t.invited[i].Key.Name()] = t.view(&t.seats[i])
	}
	v.Accepted = t.list()
	v.Ignored = t.ignored
	return v
}

// lists returns the lists of operators by class.
func (v *Verdict) lists() [classes]*[]string {
	return [classes]*[]string{
		classWaiting: &v.Waiting, classLapsed: &v.Lapsed, classAgree: &v.Agree, classDiffer: &v.Differ,
		classEquivocated: &v.Equivocated, classFailed: &v.Failed, classErrored: &v.Errored,
	}
}

// names returns the sorted names of some operators.
func (t *tally) names(of func(*operator) bool) []string {
	var names []string
	for i := range t.operators {
		if of(&t.operators[i]) {
			names = append(names, t.operators[i].name)
		}
	}
	slices.Sort(names)
	return names
}

func (t *tally) view(s *seat) View {
	o := &t.operators[s.operator]
	switch {
	case o.class == classEquivocated:
		return ViewEquivocated
	case s.voted && o.class == classDiffer:
		return ViewDiffers
	case s.lapsed:
		return ViewPending
	case s.voted:
		return ViewAgrees
	case s.ended == endedErrored:
		return ViewInfraError
	case s.ended != endedNot:
		return ViewBuildFailed
	}
	return ViewPending
}

// list returns the accepted statements: at most [MaxListed] of a rebuilder,
// votes before reports, so that nobody can make a decision too long to sign.
// Under a key no longer valid, dissent alone is listed.
func (t *tally) list() []attest.Digest {
	slices.SortFunc(t.accepted, func(a, b accepted) int {
		if a.vote != b.vote {
			if a.vote {
				return -1
			}
			return 1
		}
		return bytes.Compare(a.statement[:], b.statement[:])
	})
	out := make([]attest.Digest, 0, len(t.accepted))
	for _, a := range slices.Compact(t.accepted) {
		s := &t.seats[a.seat]
		switch {
		case s.lapsed && a.set == t.candidate:
			t.ignore(a.statement, reasonLapsed)
		case s.listed == MaxListed:
			t.ignore(a.statement, "its rebuilder has too many statements listed already")
		default:
			s.listed++
			out = append(out, a.statement)
		}
	}
	attest.SortDigests(out)
	return out
}

const reasonLapsed = "its key has lapsed"

func (t *tally) ignore(statement attest.Digest, reason string) {
	if t.ignored == nil {
		t.ignored = make(map[attest.Digest]string)
	}
	t.ignored[statement] = reason
}
