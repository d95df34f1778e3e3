package store

import (
	"fmt"
	"slices"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// maxStatements bounds what one rebuilder may say about one release: an honest
// one says one thing, and one more for every crash.
const maxStatements = 16

// ballot is a locked release with all statements on it, as ingest needs it.
type ballot struct {
	*terms

	release attest.Digest
	open    bool       // the vote set is
	dueAt   *time.Time // when it is evaluated; nil once that is over

	statements  []statement
	votes       map[string]attest.Digest // by operator: the set it is counted for
	equivocated []string                 // operators
}

// statement is one row of the table statements.
type statement struct {
	digest      attest.Digest
	rebuilder   string
	operator    string
	set         attest.Digest // zero in a report
	disposition coordinator.Disposition
	vote        bool // its operator's first in time
}

func (k *ballot) add(s statement) {
	if _, contradicts := k.contradicted(s); contradicts && !slices.Contains(k.equivocated, s.operator) {
		k.equivocated = append(k.equivocated, s.operator)
	}
	k.statements = append(k.statements, s)
	if s.vote {
		k.votes[s.operator] = s.set
	}
}

// contradicted returns a statement by which its operator said that the build
// gave another set: its vote, if that is one.
func (k *ballot) contradicted(s statement) (before statement, ok bool) {
	if s.set.IsZero() {
		return before, false
	}
	for _, said := range k.statements {
		if said.operator == s.operator && !said.set.IsZero() && said.set != s.set && (!ok || said.vote) {
			before, ok = said, true
		}
	}
	return before, ok
}

// placed tells more about a placed statement than its disposition.
type placed struct {
	known       bool // stored before: nothing to write
	listed      bool // its artifact list came with a statement before
	equivocates bool // the first to contradict its operator's vote
}

// place gives a statement its disposition and adds it to the ballot if it is
// kept. When it contradicts, first is a statement that it contradicts.
func (k *ballot) place(s *statement, now time.Time) (p placed, first attest.Digest) {
	said := 0
	for _, before := range k.statements {
		if before.digest == s.digest {
			s.disposition = before.disposition
			return placed{known: true}, first
		}
		if before.rebuilder == s.rebuilder {
			said++
		}
		p.listed = p.listed || before.set == s.set
	}
	invited := slices.Index(k.rebuilders, s.rebuilder)
	if invited < 0 {
		s.disposition = coordinator.NotInvited
		return p, first
	}
	s.operator = k.operatorOf[invited]
	switch {
	case now.After(k.deadline):
		s.disposition = coordinator.AfterDeadline
		return p, first
	case said >= maxStatements:
		s.disposition = coordinator.TooMany
		return p, first
	}
	s.disposition = coordinator.Counted
	if !k.open {
		s.disposition = coordinator.Late
	}
	if before, contradicts := k.contradicted(*s); contradicts {
		first = before.digest
		p.equivocates = !slices.Contains(k.equivocated, s.operator)
		if k.open {
			s.disposition = coordinator.Contradicts
		}
	}
	_, voted := k.votes[s.operator]
	s.vote = !s.set.IsZero() && !voted && s.disposition == coordinator.Counted
	k.add(*s)
	return p, first
}

// due tells when the release should be evaluated after the statements that were
// just added, if at all before it is due anyway. It may say so too often but
// never too seldom: the verdict is policy.Evaluate's, and what that ignores
// only makes agreement come later than counted here.
func (k *ballot) due(now time.Time) (time.Time, bool) {
	answered := map[string]bool{}
	for _, s := range k.statements {
		answered[s.operator] = true
	}
	sets := map[attest.Digest]int{}
	leading := 0
	for operator, set := range k.votes {
		if slices.Contains(k.equivocated, operator) {
			continue
		}
		sets[set]++
		leading = max(leading, sets[set])
	}
	valid := 0
	for _, n := range sets {
		valid += n
	}
	outstanding := max(k.operators-len(answered), 0)
	dissent := valid - leading
	switch {
	case outstanding == 0, // all have reported
		leading+outstanding < k.threshold, // nothing can reach n
		leading >= k.threshold && (outstanding+dissent <= k.maxDissent || !now.Before(k.settles)):
		return now, true
	case leading >= k.threshold:
		return k.settles, true
	}
	return time.Time{}, false
}

func errMissing(what string, d attest.Digest) error {
	return fmt.Errorf("%s %s is missing in the database: restore it from a backup or a mirror", what, d)
}
