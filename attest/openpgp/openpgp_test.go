package openpgp_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	cryptorand "crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding"
	"encoding/pem"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest/openpgp"
)

// The fixed inputs of all golden files.
var (
	born   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	signed = born.Add(24 * time.Hour)

	fixedOptions = openpgp.Options{
		Created: signed,
		Notations: []openpgp.Notation{
			{Name: "evidence@reprosign.example", Value: "log.example.org 5b3d4f0e"},
			{Name: "ground@reprosign.example", Value: "quorum"},
		},
	}
)

const userID = "Test Suite <suite@example.org>"

func ed25519Key(tb testing.TB) crypto.Signer {
	tb.Helper()
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
}

var loadRSA = sync.OnceValues(func() (any, error) {
	data, err := os.ReadFile("testdata/rsa4096-test-key.pem")
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	return x509.ParsePKCS8PrivateKey(block.Bytes)
})

func rsaKey(tb testing.TB) crypto.Signer {
	tb.Helper()
	key, err := loadRSA()
	if err != nil {
		tb.Fatal(err)
	}
	return key.(crypto.Signer)
}

// keyKinds is what every behaviour is tested with.
var keyKinds = []struct {
	name string
	key  func(testing.TB) crypto.Signer
}{{"ed25519", ed25519Key}, {"rsa4096", rsaKey}}

func certify(tb testing.TB, key crypto.Signer) *openpgp.Certificate {
	tb.Helper()
	c, err := openpgp.Certify(openpgp.NewCertificate{UserID: userID, Created: born, Lifetime: 10 * 365 * 24 * time.Hour}, key)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func sign(tb testing.TB, c *openpgp.Certificate, key crypto.Signer, data []byte) []byte {
	tb.Helper()
	signature, err := openpgp.SignBytes(c, key, data, fixedOptions)
	if err != nil {
		tb.Fatal(err)
	}
	return signature
}

// stateOf is what a rebuilder computes while it hashes r.
func stateOf(tb testing.TB, r io.Reader) (state []byte, size uint64, digest [sha512.Size]byte) {
	tb.Helper()
	h := sha512.New()
	n, err := io.Copy(h, r)
	if err != nil {
		tb.Fatal(err)
	}
	state, err = h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	return state, uint64(n), [sha512.Size]byte(h.Sum(nil))
}

// stream returns n bytes that are always the same.
func stream(n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1}), n)
}

// signerFunc answers Sign in place of a key.
type signerFunc struct {
	crypto.Signer
	sign func(digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (s signerFunc) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(digest, opts)
}

// watch returns a key that notes whether it was asked.
func watch(key crypto.Signer) (crypto.Signer, *bool) {
	asked := new(bool)
	return signerFunc{key, func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		*asked = true
		return key.Sign(cryptorand.Reader, digest, opts)
	}}, asked
}
