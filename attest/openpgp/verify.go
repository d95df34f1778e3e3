package openpgp

import (
	"crypto/sha512"
	"fmt"
	"hash"
	"io"
)

// Verify checks a binary signature over everything that message gives, and
// returns what the signature says. Its error wraps [ErrMalformed], [ErrOtherKey],
// [ErrNotValidThen], [ErrBadSignature] or the error of message.
//
// A certificate is judged at the creation time that the signature states. Who
// needs a better time takes it from the log.
func Verify(cert *Certificate, signature []byte, message io.Reader) (*Signature, error) {
	s, err := ParseSignature(signature)
	if err != nil {
		return nil, err
	}
	h := sha512.New()
	if _, err := io.Copy(h, message); err != nil {
		return nil, fmt.Errorf("reading the signed bytes: %w", err)
	}
	return s.verify(cert, h)
}

// VerifyState is [Verify] over a file known by its strict SHA-512 state alone.
// It proves nothing about the file until the state is checked against it.
func VerifyState(cert *Certificate, signature, state []byte) (*Signature, error) {
	s, err := ParseSignature(signature)
	if err != nil {
		return nil, err
	}
	h, err := restore(state)
	if err != nil {
		return nil, fmt.Errorf("verifying OpenPGP signature: %w", err)
	}
	return s.verify(cert, h)
}

func (s *Signature) verify(cert *Certificate, h hash.Hash) (*Signature, error) {
	if err := s.check(cert, h); err != nil {
		return nil, fmt.Errorf("verifying OpenPGP signature by %s: %w", s.IssuerFingerprint, err)
	}
	return s, nil
}

func (s *Signature) check(cert *Certificate, h hash.Hash) error {
	if s.IssuerFingerprint != cert.Fingerprint() || s.body.id != cert.signing.id {
		return fmt.Errorf("%w: certificate has %s", ErrOtherKey, cert.Fingerprint())
	}
	if err := cert.checkValidAt(s.Created); err != nil {
		return err
	}
	digest := s.body.finish(h)
	if [2]byte(digest) != s.body.left {
		return ErrBadSignature
	}
	return cert.signing.verify(digest, s.body.raw)
}
