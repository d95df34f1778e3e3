package openpgp

import (
	"crypto"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"time"
)

// Errors that a caller tells apart.
var (
	// ErrOtherKey says that a key or a signature is not of this certificate.
	ErrOtherKey = errors.New("not the signing key of the certificate")
	// ErrNotValidThen says that the certificate was not yet or no longer valid
	// at the creation time of a signature.
	ErrNotValidThen = errors.New("outside the certificate's validity")
)

// Options are what a signature says besides who and over what. They come from
// the logged decision, so that repeating the signing repeats the bytes.
type Options struct {
	// Created is a whole second at which the certificate is valid.
	Created time.Time
	// Notations are written in the given order; names differ.
	Notations []Notation
}

// SignState returns the binary signature of kind [DetachedBinary] over a file
// known by its strict SHA-512 state, size in bytes and SHA-512 digest. The state
// is checked against size and digest first ([ErrBadState]); key must be the
// private half of the certificate's signing key ([ErrOtherKey]).
//
// Equal arguments give equal bytes. An error of the key is returned wrapped,
// and no signature leaves that does not verify ([ErrBadSignature]).
func SignState(cert *Certificate, key crypto.Signer, state []byte, size uint64, digest [sha512.Size]byte, o Options) ([]byte, error) {
	signature, err := signState(cert, key, state, size, digest, o)
	if err != nil {
		return nil, fmt.Errorf("signing with certificate %s: %w", cert.Fingerprint(), err)
	}
	return signature, nil
}

// SignBytes is [SignState] over bytes at hand.
func SignBytes(cert *Certificate, key crypto.Signer, data []byte, o Options) ([]byte, error) {
	h := sha512.New()
	h.Write(data)
	state, err := suspend(h)
	if err != nil {
		return nil, fmt.Errorf("hashing: %w", err)
	}
	return SignState(cert, key, state, uint64(len(data)), sha512.Sum512(data), o)
}

func signState(cert *Certificate, key crypto.Signer, state []byte, size uint64, digest [sha512.Size]byte, o Options) ([]byte, error) {
	signing := cert.signing
	if !signing.belongsTo(key) {
		return nil, ErrOtherKey
	}
	created, err := seconds(o.Created)
	if err != nil {
		return nil, err
	}
	if err := cert.checkValidAt(o.Created); err != nil {
		return nil, err
	}
	if err := checkNotations(o.Notations); err != nil {
		return nil, err
	}
	h, err := resume(state, size, digest)
	if err != nil {
		return nil, err
	}
	b := body{algorithm: signing.algorithm, kind: typeBinary, hash: hashSHA512}
	b.hashed = appendHashed(nil, created, signing.fingerprint, o.Notations)
	if err := b.sign(signing, key, h); err != nil {
		return nil, err
	}
	signature := appendPacket(nil, tagSignature, b.encode())
	if err := selfVerify(cert, signature, state, size, digest); err != nil {
		return nil, fmt.Errorf("checking what the key answered: %w", err)
	}
	return signature, nil
}

// sign completes a body over a hash that has taken in what is signed.
func (b *body) sign(p publicKey, key crypto.Signer, h hash.Hash) error {
	digest := b.finish(h)
	copy(b.left[:], digest)
	raw, err := p.sign(key, digest)
	b.raw = raw
	return err
}

// selfVerify reads the finished bytes back with two implementations. It starts
// from the state again, so that nothing that went wrong while signing is reused.
func selfVerify(cert *Certificate, signature, state []byte, size uint64, digest [sha512.Size]byte) error {
	if _, err := VerifyState(cert, signature, state); err != nil {
		return err
	}
	h, err := resume(state, size, digest)
	if err != nil {
		return err
	}
	if err := secondOpinion(cert.signing, signature, h); err != nil {
		return fmt.Errorf("second opinion: %w: %w", ErrBadSignature, err)
	}
	return nil
}
