package policy

import (
	"errors"
	"fmt"

	"github.com/reprosign/reprosign/attest"
)

// ErrUnknown is wrapped by every error that says: the policy knows no such
// party or suite.
var ErrUnknown = errors.New("not in the policy")

func unknown(what, name string) error { return fmt.Errorf("%s %q: %w", what, clip(name), ErrUnknown) }

// Suite returns the suite called name.
func (p *Policy) Suite(name string) (*Suite, error) {
	for i := range p.Suites {
		if p.Suites[i].Name == name {
			return &p.Suites[i], nil
		}
	}
	return nil, unknown("suite", name)
}

// Publisher returns the publisher called name.
func (p *Policy) Publisher(name string) (*Publisher, error) {
	for i := range p.Publishers {
		if p.Publishers[i].Key.Name() == name {
			return &p.Publishers[i], nil
		}
	}
	return nil, unknown("publisher", name)
}

// Rebuilder returns the rebuilder called name.
func (p *Policy) Rebuilder(name string) (*Rebuilder, error) {
	for i := range p.Rebuilders {
		if p.Rebuilders[i].Key.Name() == name {
			return &p.Rebuilders[i], nil
		}
	}
	return nil, unknown("rebuilder", name)
}

// PublisherKey returns the key of a publisher. It is an attest.Keys, as the
// four beside it are.
func (p *Policy) PublisherKey(name string) (attest.VerifierKey, error) {
	publisher, err := p.Publisher(name)
	if err != nil {
		return attest.VerifierKey{}, err
	}
	return publisher.Key, nil
}

// RebuilderKey returns the key of a rebuilder, whether or not it is valid now:
// when a vote counts is for [Evaluate] to say.
func (p *Policy) RebuilderKey(name string) (attest.VerifierKey, error) {
	rebuilder, err := p.Rebuilder(name)
	if err != nil {
		return attest.VerifierKey{}, err
	}
	return rebuilder.Key, nil
}

// CoordinatorKey returns the opening key of a coordinator.
func (p *Policy) CoordinatorKey(name string) (attest.VerifierKey, error) {
	return partyKey("coordinator", p.Coordinators, name)
}

// SignerKey returns the statement key of a signer.
func (p *Policy) SignerKey(name string) (attest.VerifierKey, error) {
	return partyKey("signer", p.Signers, name)
}

func partyKey(what string, parties []Party, name string) (attest.VerifierKey, error) {
	for _, party := range parties {
		if party.Key.Name() == name {
			return party.Key, nil
		}
	}
	return attest.VerifierKey{}, unknown(what, name)
}

// AdminKey returns the key of an admin.
func (p *Policy) AdminKey(name string) (attest.VerifierKey, error) {
	for _, key := range p.Admins.Keys {
		if key.Name() == name {
			return key, nil
		}
	}
	return attest.VerifierKey{}, unknown("admin", name)
}

// AuthorKey returns the key of whoever may withdraw a release, in the role
// that the withdrawal names.
func (p *Policy) AuthorKey(role attest.Role, name string) (attest.VerifierKey, error) {
	switch role {
	case attest.RoleAdmin:
		return p.AdminKey(name)
	case attest.RolePublisher:
		return p.PublisherKey(name)
	}
	return attest.VerifierKey{}, unknown("role", string(role))
}
