package store

import (
	"bytes"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
)

// termsKept bounds the releases whose terms are remembered: a mass rebuild's, in
// a few megabytes.
const termsKept = 1 << 14

// terms are what a release's opening settles for good.
type terms struct {
	*electorate

	operators  int // m
	threshold  int // n
	maxDissent int
	settles    time.Time
	deadline   time.Time
}

// electorate is who was invited to vote.
type electorate struct {
	rebuilders []string
	operatorOf []string // each of them, under the policy that the opening names

	sent [2][]byte // both, as the database sent them
}

// termsColumns are those of openings that scanTerms reads.
const termsColumns = `rebuilders, operators, id, operator_count, threshold, max_dissent, settles_at, deadline`

// scanTerms reads openings by their releases. Most have the same electorate as the
// one before, which is then not decoded again: that is most of what reading them
// costs.
func scanTerms(rows pgx.Rows, into map[attest.Digest]*terms) error {
	e := &electorate{}
	for rows.Next() {
		rebuilders, operatorOf := any(nil), any(nil) // skipped
		if sent := rows.RawValues(); !bytes.Equal(sent[0], e.sent[0]) || !bytes.Equal(sent[1], e.sent[1]) {
			e = &electorate{sent: [2][]byte{bytes.Clone(sent[0]), bytes.Clone(sent[1])}}
			rebuilders, operatorOf = &e.rebuilders, &e.operatorOf
		}
		var release attest.Digest
		t := &terms{electorate: e}
		if err := rows.Scan(rebuilders, operatorOf, digest{&release}, &t.operators, &t.threshold, &t.maxDissent, &t.settles, &t.deadline); err != nil {
			return err
		}
		into[release] = t
	}
	return rows.Err()
}

// recentTerms remembers the terms of releases that votes came for: the same
// release comes once for each batch that holds a vote on it. A release's id is its
// opening's digest, so that what is remembered is never out of date.
type recentTerms struct {
	mu sync.Mutex
	of map[attest.Digest]*terms
}

// recall returns the terms of releases that are remembered, and the other releases.
func (r *recentTerms) recall(releases []attest.Digest) (known map[attest.Digest]*terms, others []attest.Digest) {
	known = make(map[attest.Digest]*terms, len(releases))
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, release := range releases {
		if t := r.of[release]; t != nil {
			known[release] = t
		} else {
			others = append(others, release)
		}
	}
	return known, others
}

// remember keeps the terms of some releases. When there are too many, all others
// are forgotten, and read again.
func (r *recentTerms) remember(releases []attest.Digest, known map[attest.Digest]*terms) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil || len(r.of)+len(releases) > termsKept {
		r.of = map[attest.Digest]*terms{}
	}
	for _, release := range releases {
		if t := known[release]; t != nil {
			r.of[release] = t
		}
	}
}
