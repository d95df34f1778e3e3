package policy

import (
	"github.com/reprosign/reprosign/attest"
)

// Case is everything that a verdict follows from. Whoever makes one has
// verified every envelope under the case's policy before: the request, the
// opening, whose digest is Release, and the statements behind votes and objections.
type Case struct {
	Policy        *Version // the one that the opening names
	Request       attest.Request
	RequestDigest attest.Digest
	Opening       attest.Opening
	Release       attest.Digest
	Claim         *attest.Claim // what the request's salted digest hides; nil if it has none
	Votes         []Vote        // in any order; votes and reports
	Objections    []Objection
}

// Vote is a verified rebuild statement: a vote if its outcome is built, else a report.
type Vote struct {
	attest.Rebuild

	Statement attest.Digest
}

// ObjectionKind says what an objection objects to.
type ObjectionKind string

// The kinds of objections.
const (
	// ObjectionEquivocation: the operator of the named rebuilder voted for two
	// sets. It need not be raised for statements that are in the case themselves.
	ObjectionEquivocation ObjectionKind = "equivocation"
	// ObjectionWithdrawal: an admin, or the request's publisher, withdrew the release.
	ObjectionWithdrawal ObjectionKind = "withdrawal"
)

// Objection is what can only delay or deny.
type Objection struct {
	Kind      ObjectionKind
	Rebuilder string // of an equivocation
}

// Outcome is what a case comes to.
type Outcome string

// The outcomes. Only Agreed lets anything be signed.
const (
	Waiting   Outcome = "waiting"
	Agreed    Outcome = "agreed"
	Held      Outcome = "held"
	Conflict  Outcome = "conflict"
	Expired   Outcome = "expired"
	Withdrawn Outcome = "withdrawn"
)

// View is what one rebuilder made of a release, as everybody may see it.
type View string

// The views (design §2). Timed-out shows as build-failed, fetch-failed as infra-error.
const (
	ViewPending     View = "pending"
	ViewAgrees      View = "agrees"
	ViewDiffers     View = "differs"
	ViewBuildFailed View = "build-failed"
	ViewInfraError  View = "infra-error"
	ViewEquivocated View = "equivocated"
)

// Verdict is what [Evaluate] makes of a case. Lists of operators are sorted
// and name each operator once over all lists.
type Verdict struct {
	Outcome   Outcome
	Set       attest.Digest // the agreed set if Agreed, else zero
	Threshold int           // n
	Operators int           // m: distinct operators invited for this architecture

	Agree       []string // with the agreed set, the claim or the set that leads
	Differ      []string // voted for another set
	Failed      []string // build-failed or timed-out
	Errored     []string // infra-error or fetch-failed
	Equivocated []string // voted for two sets: void
	Waiting     []string // have not answered yet
	Lapsed      []string // have no key that is valid from the opening until now

	Accepted []attest.Digest          // accepted votes and reports, sorted: what the decision lists
	Ignored  map[attest.Digest]string // statements that count for nothing, and why
	Views    map[string]View          // by rebuilder; every invited one is there

	Next        attest.Time // when the verdict may next change if no statement comes; zero for never
	Retry       bool        // with Expired: another attempt may agree
	Explanation string      // one sentence for people; holds no digest
}
