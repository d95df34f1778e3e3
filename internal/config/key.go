package config

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/reprosign/reprosign/attest"
)

// pemType is the PEM block of an unencrypted PKCS#8 key (RFC 5958).
const pemType = "PRIVATE KEY"

// GenerateKey makes a private key. Opening and statement keys are ECDSA P-256,
// all others Ed25519.
func GenerateKey(alg attest.Algorithm) (crypto.Signer, error) {
	switch alg {
	case attest.Ed25519, attest.Cosignature:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case attest.ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return nil, fmt.Errorf("generating a key: unknown %v", alg)
}

// PublicKey names the public half of a private key that is for an algorithm.
// A witness's private key is an Ed25519 key like others: only its name tells.
func PublicKey(alg attest.Algorithm, name string, private crypto.Signer) (attest.VerifierKey, error) {
	if alg == attest.Cosignature {
		key, err := attest.NewCosigningKey(name, private)
		return key.VerifierKey, err
	}
	return attest.NewVerifierKey(name, private.Public())
}

// LoadKey reads the private key that signs statements or checkpoints under a
// name: one PKCS#8 block in PEM, Ed25519 or ECDSA P-256, in a secret file or
// credential (ReadSecretFile).
func LoadKey(path, name string) (attest.SigningKey, error) {
	return loadKey(path, name, attest.NewSigningKey)
}

// LoadWitnessKey reads the private key that cosigns under a name: the same form
// as LoadKey's, Ed25519 only.
func LoadWitnessKey(path, name string) (attest.SigningKey, error) {
	return loadKey(path, name, attest.NewCosigningKey)
}

func loadKey(path, name string, named func(string, crypto.Signer) (attest.SigningKey, error)) (attest.SigningKey, error) {
	data, err := ReadSecretFile(path)
	if err != nil {
		return attest.SigningKey{}, fmt.Errorf("loading the key of %q: %w", name, err)
	}
	defer clear(data)
	block, rest := pem.Decode(data)
	if block == nil || block.Type != pemType || len(block.Headers) != 0 || len(bytes.TrimSpace(rest)) != 0 {
		return attest.SigningKey{}, fmt.Errorf("loading the key of %q: %s is not one PEM block of type %q", name, path, pemType)
	}
	defer clear(block.Bytes)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		// The parser's error may describe the key's bytes.
		return attest.SigningKey{}, fmt.Errorf("loading the key of %q: %s holds no PKCS#8 key", name, path)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return attest.SigningKey{}, fmt.Errorf("loading the key of %q: %s holds a key that cannot sign", name, path)
	}
	key, err := named(name, signer)
	if err != nil {
		return attest.SigningKey{}, fmt.Errorf("loading the key of %q from %s: %w", name, path, err)
	}
	return key, nil
}

// WriteKey writes a private key in the form that LoadKey reads, to a new file
// of mode 0600.
func WriteKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("writing a key: %T cannot be written as PKCS#8", key)
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	defer clear(text)
	return WriteSecretFile(path, text)
}
