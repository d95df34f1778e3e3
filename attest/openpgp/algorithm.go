package openpgp

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
)

// The two kinds of keys (design §3).
const (
	// RSABits is the one length of RSA keys.
	RSABits = 4096
	// rsaExponent is the one public exponent of RSA keys.
	rsaExponent = 65537

	algorithmRSA     = 1
	algorithmEd25519 = 22 // "EdDSALegacy"; gpg 2.2 and rpm 4.18 do not know 27
)

// ErrBadSignature says that a signature does not verify: it belongs to another
// key or other data, or it was damaged.
var ErrBadSignature = errors.New("OpenPGP signature does not verify")

// algorithm is how a raw signature value is spelled: as one or several
// multiprecision integers of the same width in bytes.
type algorithm struct {
	id              byte
	integers, width int
}

func algorithmByID(id byte) (algorithm, error) {
	switch id {
	case algorithmRSA:
		return algorithm{id: id, integers: 1, width: RSABits / 8}, nil
	case algorithmEd25519:
		return algorithm{id: id, integers: 2, width: ed25519.SignatureSize / 2}, nil
	default:
		return algorithm{}, malformed("public-key algorithm %d; only RSA (1) and Ed25519 (22) are used", id)
	}
}

func (a algorithm) appendValue(b, raw []byte) []byte {
	for i := range a.integers {
		b = appendMPI(b, raw[i*a.width:(i+1)*a.width])
	}
	return b
}

// readValue reads the integers, which must be all of b, and restores the
// leading zeros they lost.
func (a algorithm) readValue(b []byte) ([]byte, error) {
	raw := make([]byte, a.integers*a.width)
	for i := range a.integers {
		value, rest, err := readMPI(b)
		if err != nil {
			return nil, err
		}
		if len(value) > a.width {
			return nil, malformed("signature integer of %d bytes, at most %d possible", len(value), a.width)
		}
		copy(raw[(i+1)*a.width-len(value):], value)
		b = rest
	}
	if len(b) != 0 {
		return nil, malformed("%d bytes behind the signature", len(b))
	}
	return raw, nil
}

// belongsTo reports whether signer holds the private half.
func (p publicKey) belongsTo(signer crypto.Signer) bool {
	k, ok := p.key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(signer.Public())
}

// sign asks the key for a raw signature value over a SHA-512 digest. The answer
// is not to be trusted: hardware and the protocols before it do fail, and the
// finished packet is verified by whoever calls.
func (p publicKey) sign(key crypto.Signer, digest []byte) ([]byte, error) {
	var options crypto.SignerOpts = crypto.SHA512
	if p.id == algorithmEd25519 {
		options = crypto.Hash(0) // the digest is the message
	}
	raw, err := key.Sign(rand.Reader, digest, options)
	if err != nil {
		return nil, fmt.Errorf("asking key %s for a signature: %w", p.fingerprint, err)
	}
	if want := p.integers * p.width; len(raw) != want {
		return nil, fmt.Errorf("%w: key %s answered %d bytes, %d expected", ErrBadSignature, p.fingerprint, len(raw), want)
	}
	return raw, nil
}

func (p publicKey) verify(digest, raw []byte) error {
	switch k := p.key.(type) {
	case ed25519.PublicKey:
		if ed25519.Verify(k, digest, raw) {
			return nil
		}
	case *rsa.PublicKey:
		if rsa.VerifyPKCS1v15(k, crypto.SHA512, digest, raw) == nil {
			return nil
		}
	}
	return ErrBadSignature
}
