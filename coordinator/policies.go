package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// entry makes the log entry of a statement signed with a P-256 key.
func entry(e *attest.Envelope, key attest.VerifierKey) (Entry, error) {
	leaf, err := translog.Leaf(e, key)
	if err != nil {
		return Entry{}, err
	}
	body, err := e.Encode()
	if err != nil {
		return Entry{}, err
	}
	return Entry{Leaf: leaf, Bodies: map[attest.Digest][]byte{translog.BodyDigest(e): body}}, nil
}

// record makes the log entry of envelopes that are not signed with P-256: a
// record that names them, with them as further bodies.
func (c *Coordinator) record(kind attest.RecordKind, envelopes ...*attest.Envelope) (Entry, error) {
	r, err := attest.NewRecord(c.key.Name(), kind, envelopes...)
	if err != nil {
		return Entry{}, err
	}
	sealed, err := r.Seal(c.key)
	if err != nil {
		return Entry{}, err
	}
	out, err := entry(sealed, c.key.VerifierKey)
	if err != nil {
		return Entry{}, err
	}
	for _, e := range envelopes {
		if out.Bodies[e.Digest()], err = e.Encode(); err != nil {
			return Entry{}, err
		}
	}
	return out, nil
}

func (c *Coordinator) storePinned(ctx context.Context) error {
	return c.storePolicy(ctx, c.trust.Newest())
}

func (c *Coordinator) storePolicy(ctx context.Context, v *policy.Version) error {
	logged, err := c.record(attest.RecordPolicy, v.Envelope)
	if err != nil {
		return fmt.Errorf("logging policy %d: %w", v.Serial, err)
	}
	err = c.store.AddPolicy(ctx, v.Serial, v.Digest, v.Envelope, logged)
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// answersUnderWay is left to answers on their way, the one to who submitted the
// policy among them: a server that reloads its parties loses them.
const answersUnderWay = time.Second

// parties is how far the bus knows the parties of the newest policy.
type parties struct {
	onPolicy func(context.Context, *policy.Version) error
	first    uint64 // the serial that the bus was started with

	mu       sync.Mutex
	prepared uint64 // the newest serial whose parties the bus knows
}

// refresh adds policies that another replica stored, or we before a restart.
// Whoever judges by the newest policy calls it first: the notification of a
// policy reaches several loops at the same time, in no order.
func (c *Coordinator) refresh(ctx context.Context) error {
	before := c.trust.Newest().Serial
	stored, err := c.store.Policies(ctx, before)
	if err != nil {
		return err
	}
	for _, e := range stored {
		if err := c.trust.Add(e); err != nil {
			return fmt.Errorf("stored policy %s: %w", e.Digest().Short(), err)
		}
	}
	now := c.trust.Newest()
	c.metrics.policyExpires.Set(float64(now.Expires))
	if now.Serial != before {
		c.log.InfoContext(ctx, "policy in force", slog.Any("serial", now.Serial), slog.Any("policy", now.Digest))
	}
	return nil
}

// loadPolicies refreshes the policies and prepares the bus for the parties
// that they bring.
func (c *Coordinator) loadPolicies(ctx context.Context) error {
	if err := c.refresh(ctx); err != nil {
		return err
	}
	c.parties.mu.Lock()
	defer c.parties.mu.Unlock()
	now := c.trust.Newest()
	if now.Serial == c.parties.prepared {
		return nil
	}
	if c.parties.onPolicy != nil && now.Serial != c.parties.first {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(answersUnderWay):
		}
		if err := c.parties.onPolicy(ctx, now); err != nil {
			return fmt.Errorf("bringing policy %d to the bus: %w", now.Serial, err)
		}
	}
	for _, r := range now.Rebuilders {
		if err := c.bus.EnsureRebuilder(ctx, r.Key.Name()); err != nil {
			return fmt.Errorf("consumers of rebuilder %s: %w", r.Key.Name(), err)
		}
	}
	c.parties.prepared = now.Serial
	return nil
}

// submitPolicy stores a policy that follows from the newest one. It is in
// force once it is stored, not before: another replica may have been first
// with another.
func (c *Coordinator) submitPolicy(ctx context.Context, e *attest.Envelope) (attest.Digest, error) {
	if err := c.refresh(ctx); err != nil {
		return attest.Digest{}, err
	}
	if v, known := c.trust.ByDigest(e.Digest()); known {
		return v.Digest, nil
	}
	trial, err := c.trial()
	if err != nil {
		return attest.Digest{}, err
	}
	if err := trial.Add(e); err != nil {
		return attest.Digest{}, bus.Errorf(bus.KindDenied, "%v", err)
	}
	v := trial.Newest()
	if err := c.storePolicy(ctx, v); err != nil {
		return attest.Digest{}, err
	}
	// The bus learns of it from the loop that the store wakes, after the answer.
	return v.Digest, c.refresh(ctx)
}

// trial returns a copy of the chain, to see whether a policy would follow.
func (c *Coordinator) trial() (*policy.Chain, error) {
	known := c.trust.Since(0)
	chain, err := policy.Pin(known[0].Envelope)
	if err != nil {
		return nil, err
	}
	for _, v := range known[1:] {
		if err := chain.Add(v.Envelope); err != nil {
			return nil, err
		}
	}
	return chain, nil
}

// superseded says why nothing is decided under an older policy any more.
func superseded(version, newest *policy.Version) string {
	return fmt.Sprintf("policy %d was superseded by policy %d", version.Serial, newest.Serial)
}
