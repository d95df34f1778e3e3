package policy

import (
	"fmt"

	"github.com/reprosign/reprosign/attest"
)

// Parse reads what admins signed: the canonical JSON of a valid policy.
func Parse(payload []byte) (Policy, error) {
	var p Policy
	if err := attest.UnmarshalStrict(payload, MaxPolicy, &p); err != nil {
		return Policy{}, fmt.Errorf("parsing policy: %w", err)
	}
	if err := p.Check(); err != nil {
		return Policy{}, fmt.Errorf("parsing %w", err)
	}
	return p, nil
}

// Encode returns the canonical JSON of a valid policy.
func (p Policy) Encode() ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	data, err := attest.MarshalCanonical(p)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxPolicy {
		return nil, fmt.Errorf("policy: %w", malformed("%d bytes, at most %d allowed", len(data), MaxPolicy))
	}
	return data, nil
}

// Seal signs the policy as its first admin. The others add their signatures
// with [attest.Envelope.AddSignature]. Any key can seal; [Chain.Add] knows whose count.
func (p Policy) Seal(key attest.SigningKey) (*attest.Envelope, error) {
	payload, err := p.Encode()
	if err != nil {
		return nil, fmt.Errorf("sealing %w", err)
	}
	e, err := attest.Seal(attest.PolicyType, payload, key)
	if err != nil {
		return nil, fmt.Errorf("sealing policy: %w", err)
	}
	return e, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", attest.ErrMalformed, fmt.Errorf(format, args...))
}

// clip keeps hostile words from filling a log line.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
