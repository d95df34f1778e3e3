package policy

import (
	"fmt"

	"github.com/reprosign/reprosign/attest"
)

// MaySign reports why the certificate with this fingerprint may not sign
// artifacts of the suite.
func (s *Suite) MaySign(fingerprint string) error {
	for _, c := range s.Certificates {
		if c.Fingerprint == fingerprint {
			if c.Use != UseArtifacts {
				return fmt.Errorf("certificate %s is for %s in suite %s, not for %s", fingerprint, c.Use, s.Name, UseArtifacts)
			}
			return nil
		}
	}
	return fmt.Errorf("certificate %s: %w of suite %s", clip(fingerprint), ErrUnknown, s.Name)
}

// To returns the chain of signed policies from the first known one to
// the one with this digest, both included, for an evidence bundle. It is nil if
// the policy is not known.
func (c *Chain) To(digest attest.Digest) []*attest.Envelope {
	target, ok := c.ByDigest(digest)
	if !ok {
		return nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := []*attest.Envelope{}
	for _, v := range c.versions {
		if v.Serial <= target.Serial {
			out = append(out, v.Envelope)
		}
	}
	return out
}
