package bus

import (
	"fmt"

	"github.com/reprosign/reprosign/attest"
)

// Role is what a party does on the bus.
type Role string

// The roles. Admins have no connection of their own: any party may deliver
// what they signed.
const (
	RoleCoordinator Role = "coordinator"
	RoleSigner      Role = "signer"
	RoleRebuilder   Role = "rebuilder"
	RolePublisher   Role = "publisher"
)

// Identity is a party on the bus. Name is the name of its key in the policy.
type Identity struct {
	Role Role
	Name string
}

// String returns "role name".
func (id Identity) String() string { return string(id.Role) + " " + id.Name }

// Check reports why the identity cannot be on the bus.
func (id Identity) Check() error {
	switch id.Role {
	case RoleCoordinator, RoleSigner, RoleRebuilder, RolePublisher:
	default:
		return fmt.Errorf("bus identity: unknown role %q", id.Role)
	}
	if err := attest.CheckName(id.Name); err != nil {
		return fmt.Errorf("bus identity: %s: %w", id.Role, err)
	}
	if id.Role == RoleRebuilder && id.Name == everyone {
		return fmt.Errorf("bus identity: a rebuilder cannot be named %q, which addresses tasks to all of them", everyone)
	}
	return nil
}

// inbox is the prefix of the subjects on which the party hears answers. With
// the default of NATS, _INBOX, parties of one account could read each other's.
func (id Identity) inbox() string { return fmt.Sprintf("_INBOX_%s_%s", id.Role, id.Name) }

// account is the NATS account that the party connects to.
func (id Identity) account() string {
	if id.outside() {
		return fmt.Sprintf("%s-%s", id.Role, id.Name)
	}
	return houseAccount
}

// outside reports whether the party has an account of its own.
func (id Identity) outside() bool { return id.Role == RoleRebuilder || id.Role == RolePublisher }

// api is the prefix of the JetStream API for the party. The server answers
// $JS.API itself in every account, so the house's is imported under another name.
func (id Identity) api() string {
	if id.outside() {
		return outsideAPI
	}
	return houseAPI
}
