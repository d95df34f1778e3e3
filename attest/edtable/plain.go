package edtable

import (
	"crypto/ed25519"

	"github.com/reprosign/reprosign/attest/keytable"
)

// Plain is a public key as [keytable.Tables] takes it. It has [ed25519.PublicKeySize] bytes.
type Plain ed25519.PublicKey

// Bytes returns the key.
func (p Plain) Bytes() []byte { return p }

// Verify is [ed25519.Verify].
func (p Plain) Verify(message, signature []byte) bool {
	return ed25519.Verify(ed25519.PublicKey(p), message, signature)
}

// Table is [NewTable].
func (p Plain) Table() (keytable.Verifier, error) { return NewTable(ed25519.PublicKey(p)) }
