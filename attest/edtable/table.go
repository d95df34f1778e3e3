package edtable

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"fmt"
	"sync"

	"filippo.io/edwards25519"
)

// Table verifies signatures by one public key, with multiples of the key that
// take as long to compute as some thirty-five signatures to verify without them. It
// never changes, and may be used concurrently.
type Table struct {
	public ed25519.PublicKey
	minusA *multiples // of the key's negative
}

// NewTable computes the table of a key. An error says that the bytes are no
// public key: crypto/ed25519 accepts no signature under it.
func NewTable(public ed25519.PublicKey) (*Table, error) {
	a, err := new(edwards25519.Point).SetBytes(public)
	if err != nil {
		return nil, fmt.Errorf("decoding Ed25519 key: %w", err)
	}
	// The point is negated, never k: scalars are numbers modulo the order of B, and
	// the order of A may be another (if it is of small or mixed order).
	return &Table{bytes.Clone(public), multiplesOf(a.Negate(a))}, nil
}

// ofBase holds the multiples of B, which all tables share.
var ofBase = sync.OnceValue(func() *multiples { return multiplesOf(edwards25519.NewGeneratorPoint()) })

// Verify reports whether signature is the key's over message (RFC 8032 §5.1.7).
func (t *Table) Verify(message, signature []byte) bool {
	var alone Batch
	alone.Add(t, message, signature)
	return alone.Good()[0]
}

// sum returns [S]B - [k]A, or false if no R would make the signature good: it has
// another length, S is not reduced, or what the tables add up to is no point.
func (t *Table) sum(message, signature []byte) (*sum, bool) {
	if len(signature) != ed25519.SignatureSize {
		return nil, false
	}
	s, err := new(edwards25519.Scalar).SetCanonicalBytes(signature[32:])
	if err != nil {
		return nil, false
	}
	hash := sha512.New()
	hash.Write(signature[:32])
	hash.Write(t.public)
	hash.Write(message)
	k, err := new(edwards25519.Scalar).SetUniformBytes(hash.Sum(make([]byte, 0, sha512.Size)))
	if err != nil {
		return nil, false
	}
	sum := newSum()
	sum.addMultiple(s, ofBase())
	sum.addMultiple(k, t.minusA)
	return sum, sum.isPoint()
}
