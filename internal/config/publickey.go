package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/reprosign/reprosign/attest"
)

const (
	// publicPEMType is the PEM block of a SubjectPublicKeyInfo (RFC 7468).
	publicPEMType = "PUBLIC KEY"
	// maxPublicKey bounds a file with a public key, in bytes.
	maxPublicKey = 16 << 10
)

// LoadPublicKey reads a public key that others publish as one PEM block, Ed25519
// or ECDSA P-256, and gives it a name.
func LoadPublicKey(path, name string) (attest.VerifierKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return attest.VerifierKey{}, fmt.Errorf("loading the public key of %q: %w", name, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxPublicKey {
		return attest.VerifierKey{}, fmt.Errorf("loading the public key of %q: %s is no regular file of at most %d bytes", name, path, maxPublicKey)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return attest.VerifierKey{}, fmt.Errorf("loading the public key of %q: %w", name, err)
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != publicPEMType || len(bytes.TrimSpace(rest)) != 0 {
		return attest.VerifierKey{}, fmt.Errorf("loading the public key of %q: %s is not one PEM block of type %q", name, path, publicPEMType)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return attest.VerifierKey{}, fmt.Errorf("loading the public key of %q from %s: %w", name, path, err)
	}
	key, err := attest.NewVerifierKey(name, public)
	if err != nil {
		return attest.VerifierKey{}, fmt.Errorf("loading the public key of %q from %s: %w", name, path, err)
	}
	return key, nil
}
