package coordinator

import (
	"context"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// View is all that anybody may know of a release: the embargo is applied
// already. Pages, the JSON API and the bus show it.
type View struct {
	Release      attest.Digest
	Request      attest.Digest
	Attempt      int
	Attempts     int           // so far, of the same request
	Newest       attest.Digest // the newest attempt's release id
	Suite        string
	Source       string
	Version      string
	Architecture string
	Publisher    string
	State        State
	Final        bool   // neither another state nor another attempt will come
	Reason       string // one sentence; holds no digest
	PolicySerial uint64
	Policy       attest.Digest
	Threshold    int
	Operators    int
	Blind        bool
	Claimed      bool // the request compares with a candidate
	Disclosed    bool // the embargo is over: digests are shown
	Opened       attest.Time
	Deadline     attest.Time
	DecidedAt    attest.Time // zero until then, as the others below
	LoggedAt     attest.Time
	SignedAt     attest.Time
	EndedAt      attest.Time // conflict, expired, withdrawn
	Votes        []VoteView  // every invited rebuilder, by name
	Decision     attest.Digest
	LogIndex     int64 // -1 until logged
	TreeSize     int64 // of the first checkpoint that covers the decision
	Artifacts    []ArtifactView
	Withdrawn    string // the withdrawal's reason
	HasEvidence  bool
}

// Reported is the view of a rebuilder that has answered while the embargo
// hides what.
const Reported policy.View = "reported"

// VoteView is one rebuilder's view of a release.
type VoteView struct {
	Rebuilder string
	Operator  string
	View      policy.View
	Statement attest.Digest // after the embargo
	Set       attest.Digest // after the embargo, of votes
	At        attest.Time   // when it was committed; zero while pending
}

// ArtifactView is a decided artifact and its signatures.
type ArtifactView struct {
	attest.Artifact

	Signatures []SignatureView
}

// SignatureView is a stored signature. Release is the one whose decision it was made on.
type SignatureView struct {
	Certificate string
	Kind        attest.SignatureKind
	Signature   []byte
	Release     attest.Digest
	At          attest.Time
}

// Filter narrows a list of releases. Empty fields narrow nothing.
type Filter struct {
	Request                              attest.Digest
	Suite, Source, Version, Architecture string
	State                                State
	// Before continues a list behind its last release: only releases opened
	// earlier, or at the same time with a lower id, are listed.
	Before Position
}

// Position is a release's place in the list of all, newest first.
type Position struct {
	Opened  attest.Time
	Release attest.Digest
}

// Reader reads what is public, through views that cannot show what is not.
type Reader interface {
	// View returns a release; ErrNotFound if there is none.
	View(ctx context.Context, release attest.Digest) (*View, error)
	// NewestOf returns the newest release of a request.
	NewestOf(ctx context.Context, request attest.Digest) (attest.Digest, error)
	// ByArtifact returns the release, decided and logged, that first holds an
	// artifact with this SHA-256; ErrNotFound also if it is undecided.
	ByArtifact(ctx context.Context, sha256 attest.Digest) (attest.Digest, error)
	// Evidence returns a signed release's bundle.
	Evidence(ctx context.Context, release attest.Digest) ([]byte, error)
}
