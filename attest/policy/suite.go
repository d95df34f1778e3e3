package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/reprosign/reprosign/attest"
)

func (p Policy) checkSuites() error {
	names, fingerprints := map[string]bool{}, map[string]bool{}
	for i := range p.Suites {
		s := &p.Suites[i]
		if err := attest.CheckName(s.Name); err != nil {
			return fmt.Errorf("suite: %w", err)
		}
		if names[s.Name] {
			return malformed("two suites are named %q", s.Name)
		}
		names[s.Name] = true
		for _, check := range []func() error{s.checkRules, s.checkTimes, func() error { return p.checkQuorum(s) }} {
			if err := check(); err != nil {
				return fmt.Errorf("suite %q: %w", s.Name, err)
			}
		}
		for _, c := range s.Certificates {
			if fingerprints[c.Fingerprint] {
				return malformed("suite %q: certificate %s serves another suite or use already", s.Name, c.Fingerprint)
			}
			fingerprints[c.Fingerprint] = true
		}
	}
	return nil
}

// checkRules checks what a suite builds and signs with.
func (s *Suite) checkRules() error {
	if s.Mode != ModeEnforce {
		return malformed("mode %q, want %q", clip(string(s.Mode)), ModeEnforce)
	}
	if err := checkList("back-end", s.Backends, attest.CheckName); err != nil {
		return err
	}
	if err := checkList("artifact kind", s.Kinds, checkWord); err != nil {
		return err
	}
	if s.Recipes != nil {
		if err := checkCount("recipes", len(s.Recipes), 1, MaxEntries); err != nil {
			return fmt.Errorf("%w; leave the list out to allow all", err)
		}
	}
	for i, d := range s.Recipes {
		if d.IsZero() || slices.Contains(s.Recipes[:i], d) {
			return malformed("recipe %s is zero or listed twice", d.Short())
		}
	}
	if err := checkCount("certificates", len(s.Certificates), 1, MaxCertificates); err != nil {
		return err
	}
	for _, c := range s.Certificates {
		if err := attest.CheckFingerprint(c.Fingerprint); err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
		if c.Use != UseArtifacts {
			return malformed("certificate %s: use %q, want %q", c.Fingerprint, clip(string(c.Use)), UseArtifacts)
		}
	}
	return nil
}

func (s *Suite) checkTimes() error {
	const most = Seconds(MaxDeadline / time.Second)
	if s.Deadline < 1 || s.Deadline > most {
		return malformed("deadline %v, 1s to %v allowed", s.Deadline, most)
	}
	if s.Settle < 0 || s.Settle > s.Deadline {
		return malformed("settle time %v, 0s to the deadline of %v allowed", s.Settle, s.Deadline)
	}
	const oldest = Seconds(LongestCheckpointAge / time.Second)
	if s.MaxCheckpointAge < 0 || s.MaxCheckpointAge > oldest {
		return malformed("max_checkpoint_age %v, 1s to %v allowed", s.MaxCheckpointAge, oldest)
	}
	if s.Retries < 0 || s.Retries > MaxRetries {
		return malformed("%d retries, 0 to %d allowed", s.Retries, MaxRetries)
	}
	return nil
}

// checkQuorum checks n against m, the distinct operators among the suite's
// rebuilders. More than half of them must agree, or two sets could both reach n.
func (p Policy) checkQuorum(s *Suite) error {
	if err := checkList("rebuilder", s.Rebuilders, attest.CheckName); err != nil {
		return err
	}
	var members []*Rebuilder
	for _, name := range s.Rebuilders {
		r, err := p.Rebuilder(name)
		if err != nil {
			return fmt.Errorf("%w: %w", attest.ErrMalformed, err)
		}
		members = append(members, r)
	}
	n, m := s.Threshold, operators(members)
	if n < 1 || n > m {
		return malformed("threshold %d of %d operators", n, m)
	}
	if n < secureThreshold && !p.Insecure {
		return malformed("threshold %d, at least %d needed unless the policy is insecure", n, secureThreshold)
	}
	if 2*n <= m && !p.Insecure {
		return malformed("threshold %d of %d operators: more than half needed unless the policy is insecure", n, m)
	}
	if s.MaxDissent < 0 || s.MaxDissent > m-n || s.MaxDissent >= n {
		return malformed("max_dissent %d: at most %d operators can dissent from %d that agree, and fewer than agree", s.MaxDissent, m-n, n)
	}
	if !s.MinIsolation.Valid() {
		return malformed("minimum isolation %q is not a known level", clip(string(s.MinIsolation)))
	}
	if s.MinIsolation == attest.IsolationNone && !p.Insecure {
		return malformed("minimum isolation %q needs an insecure policy", s.MinIsolation)
	}
	return nil
}

// CheckArtifacts reports why a set is none that the suite admits: malformed,
// or with an artifact of a kind that the suite does not list.
func (s *Suite) CheckArtifacts(set attest.Artifacts) error {
	if err := set.Check(); err != nil {
		return fmt.Errorf("suite %q: %w", s.Name, err)
	}
	for _, a := range set {
		if !slices.Contains(s.Kinds, a.Kind) {
			return fmt.Errorf("suite %q: artifact %q is of kind %q, allowed are %s", s.Name, a.Name, a.Kind, strings.Join(s.Kinds, ", "))
		}
	}
	return nil
}
