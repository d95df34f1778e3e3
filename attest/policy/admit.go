package policy

import "github.com/reprosign/reprosign/attest"

// Admit reports why the policy admits no release of a request.
func (p *Policy) Admit(r attest.Request) error { return nil }

// InForce reports why nothing may be opened or decided under the policy at a time.
func (p *Policy) InForce(at attest.Time) error { return nil }

// Invited returns who may vote.
func (p *Policy) Invited(suite *Suite, architecture string) []*Rebuilder { return nil }

// CheckArtifacts reports why an artifact set is none that the suite admits.
func (s *Suite) CheckArtifacts(set attest.Artifacts) error { return nil }
