package coordinator

import (
	"context"
	"time"

	"github.com/reprosign/reprosign/attest"
)

// Unanchored is a logged decision that no other log holds yet.
type Unanchored struct {
	Release  attest.Digest
	Decision *attest.Envelope
	Leaf     []byte // the decision's entry in our log
	Attempts int    // to anchor it, this one included
}

// Anchor is a decision's entry in another log.
type Anchor struct {
	Release attest.Digest
	Log     string // that log's origin
	Index   int64
	// Bundle is a Sigstore bundle v0.3 of the decision with that log's proof
	// in the place of ours.
	Bundle []byte
	At     attest.Time // when it was stored; the store's to set
}

// AnchorStore is the outbox of decisions for another log. Nothing else waits
// for it. Its methods may be called from several replicas at once.
type AnchorStore interface {
	// ClaimAnchors leases decisions that a published checkpoint of our log
	// covers, the longest waiting first. A lost lease does no harm: two
	// replicas that anchor one decision find the same entry, or the first to
	// store its anchor wins.
	ClaimAnchors(ctx context.Context, limit int, lease time.Duration) ([]Unanchored, error)
	// Anchored stores an anchor. A decision that has one keeps it.
	Anchored(ctx context.Context, a Anchor) error
	// RetryAnchor ends a lease without an anchor; the decision is claimed
	// again after a pause.
	RetryAnchor(ctx context.Context, release attest.Digest, reason string, pause time.Duration) error
	// AnchorsWaiting counts the decisions without an anchor that were found so far.
	AnchorsWaiting(ctx context.Context) (int, error)
}
