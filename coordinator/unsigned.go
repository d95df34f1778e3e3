package coordinator

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
)

// UnsignedAfter is how long a decision may be in the published log before its
// evidence is shown without signatures. A release in the normal cycle is signed,
// and brings its evidence itself, within seconds. Monitors wait longer than this
// before they alarm, with room for outages.
const UnsignedAfter = 5 * time.Minute

// Bounds of the evidence without signatures.
const (
	// unsignedBatch is as many bundles as are built between two looks at the clock.
	unsignedBatch = 16
	// unsignedLease is also how soon a bundle that could not be built is tried
	// again, for instance when the policy of its decision was not loaded yet.
	unsignedLease = time.Minute
)

// Unsigned is a decision in the published log that has no evidence yet, because
// nothing was signed on it: its release was withdrawn, its witnesses saw it too
// late, its suite only observes, or the signer is away.
type Unsigned struct {
	Release   attest.Digest
	Opening   *attest.Envelope
	Request   *attest.Envelope
	Decision  *attest.Envelope
	Artifacts attest.Artifacts
	LogIndex  int64 // where the decision is in the log
}

// UnsignedStore is the outbox of decisions whose evidence is shown without
// signatures, so that everybody can evaluate every decision again. Nothing else
// waits for it. Its methods may be called from several replicas at once.
type UnsignedStore interface {
	// ClaimUnsigned leases decisions that a checkpoint has shown for at least after
	// and that have no evidence, the longest waiting first. A lost lease does no
	// harm: two replicas build the same bundle.
	ClaimUnsigned(ctx context.Context, after time.Duration, limit int, lease time.Duration) ([]Unsigned, error)
	// StoreUnsigned stores the evidence of one. A release that has evidence keeps
	// it: nothing takes back a signature that was shown.
	StoreUnsigned(ctx context.Context, release attest.Digest, bundle []byte) error
}

// showUnsigned publishes the evidence of decisions that led to no signature.
func (c *Coordinator) showUnsigned(ctx context.Context) error {
	for {
		claimed, err := c.store.ClaimUnsigned(ctx, c.unsignedAfter, unsignedBatch, unsignedLease)
		if err != nil || len(claimed) == 0 {
			return err
		}
		for _, u := range claimed {
			err := c.showOne(ctx, u)
			switch {
			case errors.Is(err, ErrUnavailable) || ctx.Err() != nil:
				return err
			case err != nil:
				c.metrics.failures.WithLabelValues(string(TopicUnsigned)).Inc()
				c.log.WarnContext(ctx, "evidence not built, repeating when the lease ends", slog.Any("release", u.Release), slog.Any("reason", err))
			default:
				c.log.InfoContext(ctx, "evidence shown without signatures", slog.Any("release", u.Release))
			}
		}
	}
}

func (c *Coordinator) showOne(ctx context.Context, u Unsigned) error {
	parts, err := c.store.Parts(ctx, u.Release)
	if err != nil {
		return err
	}
	proven, err := c.prove(ctx, u.Decision, u.LogIndex, parts.OpeningIndex)
	if err != nil {
		return err
	}
	// Signatures over the same bytes on other decisions are those decisions' own.
	b, err := evidence.Build(evidence.Parts{
		Request: u.Request, Opening: u.Opening, OpeningProof: proven.opening,
		Claim: parts.Claim, Votes: parts.Votes, Artifacts: u.Artifacts,
		Decision: evidence.Logged{Envelope: u.Decision, Proof: proven.decision},
		Policies: c.trust.To(proven.under.Digest),
	})
	if err != nil {
		return err
	}
	bundle, err := b.Encode()
	if err != nil {
		return err
	}
	return c.store.StoreUnsigned(ctx, u.Release, bundle)
}
