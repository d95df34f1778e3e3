package store

import (
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
)

// Bounds of what is remembered: with the most rebuilders that a policy admits, and
// the longest names, an electorate takes 40 KiB and all together under 10 MiB.
const (
	termsKept = 1 << 14 // releases: a mass rebuild's
	// There are as many electorates as there are suites with rebuilders of their own,
	// once more for each policy that changed them.
	electoratesKept = 128
)

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

	sent sentElectorate
}

// sentElectorate is an electorate's two columns as the database sent them.
type sentElectorate [2]string

// termsColumns are those of openings that recentTerms.scan reads.
const termsColumns = `rebuilders, operators, id, operator_count, threshold, max_dissent, settles_at, deadline`

// recentTerms remembers the terms of releases that votes came for: the same
// release comes once for each batch that holds a vote on it. A release's id is its
// opening's digest, so that what is remembered is never out of date. Releases
// with the same electorate share one.
type recentTerms struct {
	mu          sync.Mutex
	of          map[attest.Digest]*terms
	electorates map[sentElectorate]*electorate // those of the terms
}

// scan reads openings by their releases. An electorate that is known is not decoded
// again: that is most of what reading them costs.
func (r *recentTerms) scan(rows pgx.Rows, into map[attest.Digest]*terms) error {
	found := map[sentElectorate]*electorate{} // in these rows
	for rows.Next() {
		rebuilders, operatorOf := any(nil), any(nil) // skipped
		sent := rows.RawValues()
		e := found[sentElectorate{string(sent[0]), string(sent[1])}]
		if e == nil {
			e = r.electorate(sent[0], sent[1])
		}
		if e == nil {
			e = &electorate{sent: sentElectorate{string(sent[0]), string(sent[1])}}
			rebuilders, operatorOf = &e.rebuilders, &e.operatorOf
		}
		var release attest.Digest
		t := &terms{electorate: e}
		if err := rows.Scan(rebuilders, operatorOf, digest{&release}, &t.operators, &t.threshold, &t.maxDissent, &t.settles, &t.deadline); err != nil {
			return err
		}
		found[e.sent], into[release] = e, t
	}
	return rows.Err()
}

// electorate returns the one that is remembered of two columns, nil if none is.
func (r *recentTerms) electorate(rebuilders, operatorOf []byte) *electorate {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.electorates[sentElectorate{string(rebuilders), string(operatorOf)}]
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

// remember keeps the terms of some releases. When they or their electorates are too
// many, all others are forgotten, and read again.
func (r *recentTerms) remember(releases []attest.Digest, known map[attest.Digest]*terms) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil || len(r.of)+len(releases) > termsKept {
		r.forget()
	}
	for _, release := range releases {
		t := known[release]
		if t == nil {
			continue
		}
		e := r.electorates[t.sent]
		if e == nil {
			if len(r.electorates) == electoratesKept {
				r.forget()
			}
			e = t.electorate
			r.electorates[e.sent] = e
		}
		t.electorate = e // another batch may have read it at the same time
		r.of[release] = t
	}
}

func (r *recentTerms) forget() {
	r.of, r.electorates = map[attest.Digest]*terms{}, map[sentElectorate]*electorate{}
}
