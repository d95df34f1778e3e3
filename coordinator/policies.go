package coordinator

import (
	"context"
	"errors"
	"fmt"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
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
	r := attest.Record{Coordinator: c.key.Name(), Kind: kind}
	for _, e := range envelopes {
		r.Bodies = append(r.Bodies, e.Digest())
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

// loadPolicies adds policies that another replica stored, or we before a
// restart, and prepares the bus for rebuilders that they bring.
func (c *Coordinator) loadPolicies(ctx context.Context) error {
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
	for _, r := range now.Rebuilders {
		if err := c.bus.EnsureRebuilder(ctx, r.Key.Name()); err != nil {
			return fmt.Errorf("consumers of rebuilder %s: %w", r.Key.Name(), err)
		}
	}
	c.metrics.policyExpires.Set(float64(now.Expires))
	if now.Serial != before {
		c.log.Info("policy in force", "serial", now.Serial, "policy", now.Digest)
	}
	return nil
}
