package policy

import "fmt"

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
