package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/reprosign/reprosign/attest"
)

// ErrNotInForce says that nothing may be opened or decided under a policy at a time.
var ErrNotInForce = errors.New("policy is not in force")

// InForce reports why nothing may be opened or decided under the policy at a
// time: it expired, or it is of the future. An admin's clock may be ahead by [Grace].
func (p *Policy) InForce(at attest.Time) error {
	if at >= p.Expires {
		return fmt.Errorf("%w: policy %d expired at %v; the admins must sign its successor", ErrNotInForce, p.Serial, p.Expires)
	}
	if at.Add(Grace) < p.Issued {
		return fmt.Errorf("%w: policy %d is issued at %v, it is %v", ErrNotInForce, p.Serial, p.Issued, at)
	}
	return nil
}

// Invited returns who may vote on a release: the suite's rebuilders that list
// the architecture, in the policy's order.
func (p *Policy) Invited(suite *Suite, architecture string) []*Rebuilder {
	invited := make([]*Rebuilder, 0, len(suite.Rebuilders))
	for i := range p.Rebuilders {
		r := &p.Rebuilders[i]
		if slices.Contains(suite.Rebuilders, r.Key.Name()) && slices.Contains(r.Architectures, architecture) {
			invited = append(invited, r)
		}
	}
	return invited
}

// commandBackend is the back-end whose recipes name the digest of an
// executable, in the parameter commandDigest.
const (
	commandBackend = "command"
	commandDigest  = "sha256"
)

// Admit reports why no release may be opened for a request, which is
// well-formed and verified. The error says what to change.
func (p *Policy) Admit(r attest.Request) error {
	suite, err := p.admit(&r)
	if err != nil {
		return err
	}
	return suite.enough(operators(p.Invited(suite, r.Architecture)), r.Architecture)
}

// admit is Admit but for the number of operators.
func (p *Policy) admit(r *attest.Request) (*Suite, error) {
	publisher, err := p.Publisher(r.Publisher)
	if err != nil {
		return nil, err
	}
	suite, err := p.Suite(r.Suite)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(publisher.Suites, suite.Name) {
		return nil, fmt.Errorf("publisher %q may not request releases of suite %q; the policy lists its suites", r.Publisher, suite.Name)
	}
	if !slices.ContainsFunc(publisher.Sources, func(pattern string) bool { return matches(pattern, r.Source) }) {
		return nil, fmt.Errorf("publisher %q may not request releases of source %q; the policy lists its source names", r.Publisher, clip(r.Source))
	}
	backend := r.Recipe.Backend
	if !slices.Contains(suite.Backends, backend) {
		return nil, fmt.Errorf("suite %q does not build with back-end %q; the policy lists its back-ends", suite.Name, clip(backend))
	}
	if backend == commandBackend && suite.Recipes != nil {
		executable, err := attest.ParseDigest(r.Recipe.Parameters[commandDigest])
		if err != nil || !slices.Contains(suite.Recipes, executable) {
			return nil, fmt.Errorf("suite %q does not allow the executable of this recipe; the policy lists its recipes by their executable's SHA-256", suite.Name)
		}
	}
	return suite, nil
}

func (s *Suite) enough(operators int, architecture string) error {
	if operators < s.Threshold {
		return fmt.Errorf("%s suite %q for architecture %q, %d needed to agree; rebuilders list their architectures in the policy",
			plural(operators, "operator rebuilds", "operators rebuild"), s.Name, clip(architecture), s.Threshold)
	}
	return nil
}
