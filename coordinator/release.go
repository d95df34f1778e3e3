// Package coordinator is the domain of the coordinator: it opens releases,
// takes votes, closes vote sets, asks the signer for decisions and
// signatures, and keeps every release moving through its states (design §2).
//
// Its loops hold no state of their own: the truth is the store, and any number
// of replicas may run over one store. A loop is woken by a notification of the
// store, does all that is due, and sleeps until the next one.
package coordinator

import (
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// State is a release's place in the signing cycle.
type State string

// The states of a release (docs/state-machine.md).
const (
	Building  State = "building"
	Agreed    State = "agreed" // decided by the signer, not yet under a checkpoint
	Logged    State = "logged"
	Signed    State = "signed"
	Held      State = "held" // more dissent than the suite allows; the deadline ends it
	Conflict  State = "conflict"
	Expired   State = "expired"
	Withdrawn State = "withdrawn"
)

// Decided reports whether a release in this state has a logged or loggable
// decision, so that its digests may be shown once it is logged.
func (s State) Decided() bool { return s == Agreed || s == Logged || s == Signed }

// Release is one opening as the store keeps it.
type Release struct {
	ID       attest.Digest
	Request  attest.Digest
	Attempt  int
	State    State
	Reason   string // one sentence for people; holds no digest
	Opening  *attest.Envelope
	Body     *attest.Envelope // the request
	Opened   attest.Time
	Deadline attest.Time
	Closed   bool // the vote set is closed
}

// Submission is a verified release request on its way into the store.
type Submission struct {
	Digest   attest.Digest
	Envelope *attest.Envelope
	Request  attest.Request
	Claim    *attest.Claim
}

// NewRelease is a signed opening on its way into the store. Entry is its log
// entry. Threshold, Operators and MaxDissent let the store tell cheaply when a
// release may have become decidable; the verdict itself is policy.Evaluate's.
type NewRelease struct {
	ID         attest.Digest
	Opening    attest.Opening
	Envelope   *attest.Envelope
	Entry      Entry
	Suite      string
	Invited    []Invited // who may vote
	Operators  int       // m
	Threshold  int       // n
	MaxDissent int
	Settle     time.Duration
	Retries    int // attempts that may follow the first
}

// Invited is a rebuilder that may vote on a release, with its operator under
// the policy the opening names.
type Invited struct {
	Rebuilder string
	Operator  string
}

// Entry is one log entry on its way into the log: the leaf and the envelopes
// that must be served beside it, each under the digest that refers to it.
type Entry struct {
	Leaf   []byte
	Bodies map[attest.Digest][]byte
}

// Incoming is a verified rebuild statement on its way into the store.
type Incoming struct {
	Statement attest.Digest
	Envelope  *attest.Envelope
	Rebuild   attest.Rebuild
	Operator  string
	Artifacts attest.Artifacts // with Outcome Built
	States    []attest.State
}

// Disposition is what the store did with an incoming statement.
type Disposition string

// The dispositions. A repeated statement gets the disposition it got first.
const (
	Counted        Disposition = "counted"
	Late           Disposition = "late"            // vote set closed: kept, counts for nothing
	AfterDeadline  Disposition = "after-deadline"  // rejected
	UnknownRelease Disposition = "unknown-release" // rejected
	NotInvited     Disposition = "not-invited"     // rejected: not a rebuilder of this release
	TooMany        Disposition = "too-many"        // rejected: this rebuilder has said enough about this release
	Contradicts    Disposition = "contradicts"     // kept as proof of equivocation
)

// Case is a release with everything a verdict needs, read under its lock.
type Case struct {
	policy.Case

	Suite string
	Sets  map[attest.Digest]attest.Artifacts // the lists behind the votes' set digests
}

// Transition is what the coordinator makes of a case.
type Transition struct {
	// State is Building (keep waiting), Conflict, Held or Expired. With Close
	// the vote set closes and the release waits for the signer.
	State  State
	Close  bool
	Set    attest.Digest // with Close: the agreed set, whose names are reserved in the suite
	Reason string
	Due    attest.Time // when to evaluate again if no vote comes; zero for never
	Retry  bool        // with Expired: another attempt may help
}

// Undecided is a closed release that waits for the signer.
type Undecided struct {
	Release       attest.Digest
	RequestDigest attest.Digest
	Suite         string
	Terms         attest.Opening // what Opening says
	Claim         *attest.Claim
	Opening       *attest.Envelope
	Request       *attest.Envelope
	Votes         []*attest.Envelope // votes and reports, by digest
	Artifacts     attest.Artifacts   // the agreed set
	Fence         int64              // the lease's number
}

// Decision is a sealed decision on its way into the store.
type Decision struct {
	Release  attest.Digest
	Fence    int64
	Envelope *attest.Envelope
	Decision attest.Decision
	Entry    Entry
	// Certificates are the fingerprints that must sign once this is logged.
	Certificates []string
}

// Job is the signing of one decided release by one certificate.
type Job struct {
	Release     attest.Digest
	Certificate string
	Fence       int64
	Opening     *attest.Envelope
	Request     *attest.Envelope
	Decision    *attest.Envelope
	Artifacts   attest.Artifacts
	States      []attest.State
	Missing     []string // artifacts without their one signature
	LogIndex    int64    // where the decision is in the log
	Attempts    int      // how often the job was leased, this time included
}

// Made is what the signer answered to a job.
type Made struct {
	Job        Job
	Signatures map[string][]byte // by artifact name
	// Certificate is the certificate of the job, binary; it is kept for bundles.
	Certificate []byte
	Envelope    *attest.Envelope // signatures-made statement; nil when nothing was missing
	Entry       *Entry
	Evidence    []byte // the release's bundle
}

// Parts is what an evidence bundle holds beside a job's own envelopes.
type Parts struct {
	Claim        *attest.Claim
	Votes        []*attest.Envelope // the accepted ones, in the decision's order
	OpeningIndex int64              // log index of the opening
	Signatures   []PriorSignature   // stored already for these artifacts, by certificates that sign this release
	Certificates map[string][]byte  // binary, by fingerprint: those that sign this release, as far as they are known
}

// PriorSignature is a signature that an artifact has already. It names the
// decision about these bytes that first reached the log, which may be another
// release's.
type PriorSignature struct {
	Artifact    string // name in this release
	Certificate string
	Kind        attest.SignatureKind
	Signature   []byte
}

// LoggedDecision is a decision and where it is in the log.
type LoggedDecision struct {
	Envelope *attest.Envelope
	LogIndex int64
}
