// Package key is the one seam between the signer and the devices that hold its OpenPGP keys.
//
// A device is opened once; keys in it are opened by id; a key makes one kind of signature, over one size of
// digest:
//
//	device, err := nethsm.Open(config)
//	k, err := device.Open(ctx, "stable-artifacts")
//	signature, err := k.Sign(ctx, digest) // 64 bytes in, a signature that was checked with k.Public() out
//
// Only Ed25519 and RSA keys exist here, and RSA signs with PKCS#1 v1.5 (design §2.7, §3): both are deterministic, so
// asking twice for the same digest gives the same bytes and a request may be repeated after a crash. ECDSA and PSS
// would break that promise, hence neither is reachable through this package.
//
// What goes wrong is one of a few kinds ([ErrUnavailable], [ErrLocked], …), because the caller has only a few things it
// can do: wait, alert, stop. Package keytest is the conformance suite that every device passes.
package key

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha512"
	"fmt"
)

const (
	// DigestSize is the length in bytes of what a [Key] signs: the SHA-512 digest of an OpenPGP v4 signature. Anything
	// longer or shorter is refused, for Ed25519 too, so that a key behind this interface cannot be made to sign a
	// message of the caller's choice.
	DigestSize = sha512.Size

	// MinRSABits is the shortest modulus of an RSA key: below it no verifier should be asked to trust a signature. Which
	// length a certificate needs (4096) is the certificate's rule, not the device's.
	MinRSABits = 2048

	// MaxRSABits is the longest modulus of an RSA key, and the largest a NetHSM holds.
	MaxRSABits = 8192
)

// Key is one private key in a device. Implementations are safe for concurrent use.
type Key interface {
	// Public returns the key's public half, an ed25519.PublicKey or *rsa.PublicKey, as read when the key was opened.
	// The caller must not change it.
	Public() crypto.PublicKey

	// Sign signs a digest of exactly [DigestSize] bytes and returns the signature: for Ed25519 the 64 bytes R‖S with
	// the digest as the message (OpenPGP algorithm 22); for RSA the big-endian block, as long as the modulus, of PKCS#1
	// v1.5 with the SHA-512 DigestInfo. The same digest gives the same bytes each time.
	//
	// The device's answer has been verified with Public before it is returned; an answer that does not verify is
	// ErrWrongSignature and is never handed out. Sign may ask the device more than once for one call; it changes
	// nothing in the device but its count of signatures.
	Sign(ctx context.Context, digest []byte) ([]byte, error)
}

// Device opens keys and reports the device's own count of signatures. Implementations are safe for concurrent use.
type Device interface {
	// Open finds the key and reads its public half. It refuses, with ErrMisconfigured, keys that do not exist, may not
	// sign, or are of a kind this package does not know.
	Open(ctx context.Context, id string) (Key, error)

	// Signatures returns how often the device itself says the key was used: a number the signer does not keep and can
	// hold against the log (design §6, invariant 11). It counts attempts whose answer was lost as well. It never falls
	// while the device keeps its state.
	Signatures(ctx context.Context, id string) (count uint64, err error)

	// Close gives up connections. Calls made afterwards, on the device or on keys it opened, answer ErrClosed.
	// Close may be called twice.
	Close() error
}

// CheckPublic refuses public keys that are neither Ed25519 nor RSA of [MinRSABits] to [MaxRSABits]. The error is
// ErrMisconfigured.
func CheckPublic(public crypto.PublicKey) error {
	switch public := public.(type) {
	case ed25519.PublicKey:
		if len(public) != ed25519.PublicKeySize {
			return fmt.Errorf("%w: Ed25519 public key of %d bytes", ErrMisconfigured, len(public))
		}
		return nil
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < MinRSABits || bits > MaxRSABits {
			return fmt.Errorf("%w: RSA key of %d bits, want %d to %d: create another key", ErrMisconfigured, bits, MinRSABits, MaxRSABits)
		}
		return nil
	default:
		return fmt.Errorf("%w: public key of type %T, want Ed25519 or RSA", ErrMisconfigured, public)
	}
}

// CheckDigest refuses digests that are not [DigestSize] bytes long. The error is ErrMisconfigured.
func CheckDigest(digest []byte) error {
	if len(digest) != DigestSize {
		return fmt.Errorf("%w: digest of %d bytes, want %d (SHA-512)", ErrMisconfigured, len(digest), DigestSize)
	}
	return nil
}

// Verify checks a signature exactly as [Key].Sign makes it. The error is ErrWrongSignature; it names neither digest nor
// signature, which may belong to a release under embargo.
func Verify(public crypto.PublicKey, digest, signature []byte) error {
	switch public := public.(type) {
	case ed25519.PublicKey:
		if ed25519.Verify(public, digest, signature) {
			return nil
		}
		return fmt.Errorf("%w: Ed25519 answer of %d bytes", ErrWrongSignature, len(signature))
	case *rsa.PublicKey:
		if err := rsa.VerifyPKCS1v15(public, crypto.SHA512, digest, signature); err != nil {
			return fmt.Errorf("%w: RSA answer of %d bytes", ErrWrongSignature, len(signature))
		}
		return nil
	default:
		return fmt.Errorf("%w: public key of type %T", ErrWrongSignature, public)
	}
}
