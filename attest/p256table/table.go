package p256table

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"filippo.io/nistec"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// scalarSize is the length of numbers modulo the order of G, and of a digest.
const scalarSize = 32

// Table verifies signatures by one public key, with multiples of the key that
// take as long to compute as some twenty-five signatures to verify without them. It
// never changes, and may be used concurrently.
type Table struct {
	ofQ *multiples
}

// NewTable computes the table of a key. An error says that it is on another curve
// than P-256, or on none: then crypto/ecdsa accepts no signature under it.
func NewTable(public *ecdsa.PublicKey) (*Table, error) {
	if public.Curve != elliptic.P256() {
		return nil, errors.New("ECDSA key on another curve than P-256")
	}
	encoded, err := public.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding P-256 key: %w", err)
	}
	q, err := nistec.NewP256Point().SetBytes(encoded)
	if err != nil {
		return nil, fmt.Errorf("decoding P-256 key: %w", err)
	}
	return &Table{multiplesOf(q)}, nil
}

// Verify reports whether signature, in DER, is the key's over the SHA-256 of
// message (FIPS 186-5 §6.4.2).
func (t *Table) Verify(message, signature []byte) bool {
	digest := sha256.Sum256(message)
	return t.verifyDigest(&digest, signature)
}

func (t *Table) verifyDigest(digest *[scalarSize]byte, signature []byte) bool {
	r, s, ok := parse(signature)
	n := elliptic.P256().Params().N
	if !ok || !isScalar(r, n) || !isScalar(s, n) {
		return false
	}
	e := new(big.Int).SetBytes(digest[:])
	inverse := new(big.Int).ModInverse(s, n)
	u1 := e.Mod(e.Mul(e, inverse), n)
	u2 := inverse.Mod(inverse.Mul(inverse, r), n)
	sum, err := nistec.NewP256Point().ScalarBaseMult(u1.FillBytes(make([]byte, scalarSize)))
	if err != nil {
		return false
	}
	t.ofQ.addMultiple(sum, u2)
	encoded, err := sum.BytesX()
	if err != nil { // the point at infinity
		return false
	}
	x := new(big.Int).SetBytes(encoded)
	return x.Mod(x, n).Cmp(r) == 0
}

// isScalar reports whether v is between 1 and n-1.
func isScalar(v, n *big.Int) bool { return v.Sign() > 0 && v.Cmp(n) < 0 }

// parse reads the ECDSA-Sig-Value of RFC 3279 §2.2.3, as strictly as crypto/ecdsa does.
func parse(signature []byte) (r, s *big.Int, ok bool) {
	var sequence cryptobyte.String
	rest := cryptobyte.String(signature)
	r, s = new(big.Int), new(big.Int)
	ok = rest.ReadASN1(&sequence, asn1.SEQUENCE) && rest.Empty() &&
		sequence.ReadASN1Integer(r) && sequence.ReadASN1Integer(s) && sequence.Empty()
	return r, s, ok
}
