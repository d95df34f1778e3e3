package edtable_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"testing"

	"filippo.io/edwards25519"

	"github.com/reprosign/reprosign/attest/edtable"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func privateKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func tableOf(tb testing.TB, public ed25519.PublicKey) *edtable.Table {
	tb.Helper()
	table, err := edtable.NewTable(public)
	if err != nil {
		tb.Fatal(err)
	}
	return table
}

// scalar returns a scalar that text stands for.
func scalar(text string) *edwards25519.Scalar {
	wide := sha512.Sum512([]byte(text))
	return must(new(edwards25519.Scalar).SetUniformBytes(wide[:]))
}

// order is that of the base point, L, in little endian.
var order = [32]byte{
	0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 31: 0x10,
}

// plusOrder spells a scalar as it must not be spelt: the same, and L more.
func plusOrder(s []byte) []byte {
	out, carry := make([]byte, len(s)), 0
	for i := range s {
		carry += int(s[i]) + int(order[i])
		out[i] = byte(carry)
		carry >>= 8
	}
	return out
}

// torsion returns the eight points of small order: [i]T for a T of order eight.
func torsion() (points [8]*edwards25519.Point) {
	minusOne := new(edwards25519.Scalar).Negate(must(new(edwards25519.Scalar).SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))))
	for y := byte(2); ; y++ {
		p, err := new(edwards25519.Point).SetBytes(append([]byte{y}, make([]byte, 31)...))
		if err != nil {
			continue
		}
		t := new(edwards25519.Point).ScalarMult(minusOne, p)
		t.Add(t, p) // [L-1]P + P: what is left of P has small order
		points[0] = edwards25519.NewIdentityPoint()
		for i := 1; i < len(points); i++ {
			points[i] = new(edwards25519.Point).Add(points[i-1], t)
		}
		if points[4].Equal(points[0]) == 0 {
			return points
		}
	}
}

// unreduced returns the 32 bytes of y + p, for a y below 19: above, it would not fit.
func unreduced(y byte) []byte {
	out := bytes.Repeat([]byte{0xff}, 32)
	out[0], out[31] = 0xed+y, 0x7f
	return out
}

// withSign returns an encoded point with its sign bit inverted.
func withSign(encoded []byte) []byte {
	out := bytes.Clone(encoded)
	out[31] ^= 0x80
	return out
}

// spellings returns all encodings that decode to p. The first one is canonical.
func spellings(p *edwards25519.Point) [][]byte {
	canonical := p.Bytes()
	candidates := [][]byte{withSign(canonical)}
	if y := withoutSign(canonical); y[0] < 19 && bytes.Equal(y[1:], make([]byte, 31)) {
		candidates = append(candidates, unreduced(y[0]), withSign(unreduced(y[0])))
	}
	all := [][]byte{canonical}
	for _, c := range candidates {
		if q, err := new(edwards25519.Point).SetBytes(c); err == nil && q.Equal(p) == 1 {
			all = append(all, c)
		}
	}
	return all
}

func withoutSign(encoded []byte) []byte {
	out := bytes.Clone(encoded)
	out[31] &^= 0x80
	return out
}
