package config

import (
	"bytes"
	"fmt"
	"os"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// LoadPolicy reads the pinned policy that a process trusts: one signed policy
// envelope, as `reprosign policy sign` writes it.
func LoadPolicy(path string) (*policy.Chain, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the pinned policy: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > attest.MaxEnvelope+1 {
		return nil, fmt.Errorf("reading the pinned policy: %s is no regular file of at most %d bytes", path, attest.MaxEnvelope)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the pinned policy: %w", err)
	}
	// The command writes a line end behind the envelope; it is no part of it.
	e, err := attest.ParseEnvelope(bytes.TrimSuffix(data, []byte("\n")))
	if err != nil {
		return nil, fmt.Errorf("pinned policy %s: %w", path, err)
	}
	chain, err := policy.Pin(e)
	if err != nil {
		return nil, fmt.Errorf("pinned policy %s: %w", path, err)
	}
	return chain, nil
}
