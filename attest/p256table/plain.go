package p256table

import (
	"crypto/ecdsa"
	"crypto/sha256"

	"github.com/reprosign/reprosign/attest/keytable"
)

// Plain is a public key as [keytable.Tables] takes it.
type Plain struct{ Public *ecdsa.PublicKey }

// Bytes returns the uncompressed point, and nothing for a key that is none:
// those may all be the same, since crypto/ecdsa accepts nothing under them.
func (p Plain) Bytes() []byte {
	encoded, err := p.Public.Bytes()
	if err != nil {
		return nil
	}
	return encoded
}

// Verify is [ecdsa.VerifyASN1], with SHA-256.
func (p Plain) Verify(message, signature []byte) bool {
	digest := sha256.Sum256(message)
	return ecdsa.VerifyASN1(p.Public, digest[:], signature)
}

// Table is [NewTable].
func (p Plain) Table() (keytable.Verifier, error) { return NewTable(p.Public) }
