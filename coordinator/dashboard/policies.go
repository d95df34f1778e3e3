package dashboard

import (
	"context"
	"fmt"
	"sync"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
)

// policies remembers parsed policies by digest: they never change. Only
// digests that the database names are asked for, so nobody can make it grow.
type policies struct {
	read func(ctx context.Context) ([]*attest.Envelope, error)

	mu    sync.Mutex
	known map[attest.Digest]*policy.Policy
}

// byDigest returns a policy that a release names.
func (p *policies) byDigest(ctx context.Context, digest attest.Digest) (*policy.Policy, error) {
	p.mu.Lock()
	found := p.known[digest]
	p.mu.Unlock()
	if found != nil {
		return found, nil
	}
	if _, err := p.newest(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if found = p.known[digest]; found == nil {
		return nil, fmt.Errorf("policy %s: %w", digest.Short(), coordinator.ErrNotFound)
	}
	return found, nil
}

// newest reads all policies and returns the one with the highest serial.
func (p *policies) newest(ctx context.Context) (*policy.Policy, error) {
	envelopes, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	if len(envelopes) == 0 {
		return nil, fmt.Errorf("newest policy: %w", coordinator.ErrNotFound)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[attest.Digest]*policy.Policy{}
	}
	for _, e := range envelopes {
		digest := e.Digest()
		if p.known[digest] != nil {
			continue
		}
		parsed, err := policy.Parse(e.Payload)
		if err != nil {
			return nil, fmt.Errorf("parsing stored policy %s: %w", digest.Short(), err)
		}
		p.known[digest] = &parsed
	}
	return p.known[envelopes[0].Digest()], nil
}
