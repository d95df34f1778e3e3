package key_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/signer/key"
)

func TestOnlyEd25519AndSufficientRSAKeysAreAccepted(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaOf := func(bits uint) crypto.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1), E: 65537}
	}
	cases := []struct {
		name   string
		public crypto.PublicKey
		ok     bool
	}{
		{"Ed25519", make(ed25519.PublicKey, 32), true},
		{"short Ed25519", make(ed25519.PublicKey, 31), false},
		{"RSA-2048", rsaOf(2048), true},
		{"RSA-8192", rsaOf(8192), true},
		{"RSA-2047", rsaOf(2047), false},
		{"RSA-8193", rsaOf(8193), false},
		{"P-256", curve.Public(), false},
		{"nil", nil, false},
	}
	for _, c := range cases {
		if err := key.CheckPublic(c.public); (err == nil) != c.ok || err != nil && !errors.Is(err, key.ErrMisconfigured) {
			t.Errorf("%s: got %v, want accepted = %v", c.name, err, c.ok)
		}
	}
}

func TestIDsAreThoseOfNetHSM(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "0": true, "a_b.c-D9": true, "a..": true, strings.Repeat("a", 128): true,
		"": false, "_a": false, ".a": false, "-a": false, "a~b": false, "a/b": false, "a%2f": false, "ü": false, strings.Repeat("a", 129): false,
	} {
		if err := key.CheckID(id); (err == nil) != ok {
			t.Errorf("CheckID(%q) = %v, want accepted = %v", id, err, ok)
		}
	}
}

func TestVerifyRefusesAChangedSignatureOfEitherKind(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	digest := make([]byte, key.DigestSize)
	signature := ed25519.Sign(private, digest)
	if err := key.Verify(public, digest, signature); err != nil {
		t.Fatalf("good signature: %v", err)
	}
	signature[0] ^= 1
	for name, err := range map[string]error{
		"changed":     key.Verify(public, digest, signature),
		"empty":       key.Verify(public, digest, nil),
		"unknown key": key.Verify(nil, digest, signature),
		"RSA":         key.Verify(&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}, digest, make([]byte, 256)),
	} {
		if !errors.Is(err, key.ErrWrongSignature) {
			t.Errorf("%s: got %v, want ErrWrongSignature", name, err)
		}
	}
}
