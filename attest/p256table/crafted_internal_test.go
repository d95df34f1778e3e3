package p256table

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"testing"

	"filippo.io/nistec"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// order is n, that of the base point.
func order() *big.Int { return elliptic.P256().Params().N }

// modulo returns v modulo n.
func modulo(v *big.Int) *big.Int { return new(big.Int).Mod(v, order()) }

// product returns a·b, and quotient a/b, modulo n.
func product(a, b *big.Int) *big.Int  { return modulo(new(big.Int).Mul(a, b)) }
func quotient(a, b *big.Int) *big.Int { return product(a, new(big.Int).ModInverse(b, order())) }

// number returns the number below n that text stands for.
func number(text string) *big.Int {
	digest := sha256.Sum256([]byte(text))
	return modulo(new(big.Int).SetBytes(digest[:]))
}

// bytesOf returns a number as digests and scalars are spelt.
func bytesOf(v *big.Int) []byte { return v.FillBytes(make([]byte, scalarSize)) }

func privateKey(d *big.Int) *ecdsa.PrivateKey {
	return must(ecdsa.ParseRawPrivateKey(elliptic.P256(), bytesOf(d)))
}

func tableOf(tb testing.TB, public *ecdsa.PublicKey) *Table {
	tb.Helper()
	table, err := NewTable(public)
	if err != nil {
		tb.Fatal(err)
	}
	return table
}

// der spells two numbers as a signature.
func der(r, s *big.Int) []byte {
	return must(asn1.Marshal(struct{ R, S *big.Int }{r, s}))
}

// signatureOf returns the digest and the signature under the private key d for
// which [u1]G + [u2]Q is what a verifier computes. Who may choose the digest may
// choose them both. If there is no such signature, because the sum is the point at
// infinity or u2 is zero, it returns one that leads there all the same.
func signatureOf(d, u1, u2 *big.Int) (digest []byte, r, s *big.Int) {
	k := modulo(new(big.Int).Add(u1, product(u2, d))) // the sum is [k]G
	x, err := must(nistec.NewP256Point().ScalarBaseMult(bytesOf(k))).BytesX()
	if err != nil {
		x = []byte{1}
	}
	r = modulo(new(big.Int).SetBytes(x))
	if u2.Sign() == 0 {
		return bytesOf(u1), new(big.Int), big.NewInt(1)
	}
	s = quotient(r, u2)
	return bytesOf(product(u1, s)), r, s
}

// agrees returns the answer of a table, which must be that of crypto/ecdsa.
func agrees(tb testing.TB, table *Table, public *ecdsa.PublicKey, digest, signature []byte) bool {
	tb.Helper()
	got, want := table.verifyDigest((*[scalarSize]byte)(digest), signature), ecdsa.VerifyASN1(public, digest, signature)
	if got != want {
		tb.Fatalf("key %x, digest %x, signature %x: table says %v, crypto/ecdsa %v", Plain{public}.Bytes(), digest, signature, got, want)
	}
	return want
}
