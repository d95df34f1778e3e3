package nethsmtest

import (
	"crypto"
	"crypto/x509"
	"fmt"
)

// Setup is the content of a provisioned device. Tests state what they need and leave the rest empty.
type Setup struct {
	UnlockPassphrase string // "" is DefaultPassphrase
	AdminPassphrase  string // of the R-administrator "admin"; "" is DefaultPassphrase
	Namespaces       []string
	Users            []User
	Keys             []Key
}

// DefaultPassphrase is the unlock and administrator passphrase of a [Setup] that names none.
const DefaultPassphrase = "soft hsm passphrase"

// User is one user.
type User struct {
	ID         string // "namespace~id" in a namespace
	Role       string // Administrator, Operator, Metrics or Backup
	Passphrase string // "" is DefaultPassphrase
	Tags       []string
}

// Key is one key.
type Key struct {
	Namespace  string
	ID         string
	Private    crypto.Signer // nil: a new Ed25519 key
	Mechanisms []string      // nil: all that the key's type has
	Tags       []string
}

// Provisioned returns an operational device with this content.
func Provisioned(setup Setup, options ...Option) (*Server, error) {
	s := New(options...)
	s.contents.State = operational
	s.contents.Unlock = newPassphrase(orDefault(setup.UnlockPassphrase))
	s.contents.Users["admin"] = &user{RealName: "admin", Role: roleAdministrator, Passphrase: newPassphrase(orDefault(setup.AdminPassphrase))}
	s.contents.Keys[""] = make(map[string]*key)
	for _, namespace := range setup.Namespaces {
		s.contents.Namespaces[namespace] = true
		s.contents.Keys[namespace] = make(map[string]*key)
	}
	for _, u := range setup.Users {
		if !userPattern.MatchString(u.ID) {
			return nil, fmt.Errorf("setting up the soft HSM: user id %q", u.ID)
		}
		s.contents.Users[u.ID] = &user{RealName: u.ID, Role: u.Role, Passphrase: newPassphrase(orDefault(u.Passphrase)), Tags: u.Tags}
	}
	for _, k := range setup.Keys {
		if err := s.setUpKey(k); err != nil {
			return nil, fmt.Errorf("setting up key %q of the soft HSM: %w", k.ID, err)
		}
	}
	return s, nil
}

func (s *Server) setUpKey(wanted Key) error {
	keys, ok := s.contents.Keys[wanted.Namespace]
	if !ok || !idPattern.MatchString(wanted.ID) {
		return fmt.Errorf("no namespace %q, or a malformed id", wanted.Namespace)
	}
	var secret []byte
	var err error
	keyType := typeCurve25519
	if wanted.Private == nil {
		secret, err = newSecret(keyType, 0)
	} else {
		keyType = typeOf(wanted.Private)
		secret, err = x509.MarshalPKCS8PrivateKey(wanted.Private)
	}
	if err != nil {
		return err
	}
	mechanisms := wanted.Mechanisms
	if mechanisms == nil {
		mechanisms = mechanismsOf(keyType)
	}
	if fault := checkMechanisms(keyType, mechanisms); fault != "" {
		return fmt.Errorf("%s", fault)
	}
	k := &key{Type: keyType, Mechanisms: mechanisms, Tags: wanted.Tags, Secret: secret}
	keys[wanted.ID] = k
	return k.parse()
}

func orDefault(passphrase string) string {
	if passphrase == "" {
		return DefaultPassphrase
	}
	return passphrase
}
