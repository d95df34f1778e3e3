package attest

import (
	"crypto"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
)

// Cosignature is the type of a witness's key: an Ed25519 key that signs nothing
// but checkpoints, each together with the time (C2SP tlog-cosignature,
// "timestamped Ed25519 cosignature", signed-note type 0x04). [VerifierKey.Verify]
// accepts nothing under such a key and [SigningKey.Sign] signs nothing with it,
// so that a witness can never vote and a voter never witnesses.
const Cosignature Algorithm = 0x04

// cosignatureSize is the length of a cosignature: the time in seconds in eight
// bytes, big-endian, and the Ed25519 signature.
const cosignatureSize = 8 + ed25519.SignatureSize

// NewCosignatureKey names a witness's public key.
func NewCosignatureKey(name string, public ed25519.PublicKey) (VerifierKey, error) {
	k, err := NewVerifierKey(name, public)
	if err != nil {
		return VerifierKey{}, err
	}
	k.alg = Cosignature
	return k, nil
}

// NewCosigningKey names a witness's private key, which must be Ed25519.
func NewCosigningKey(name string, signer crypto.Signer) (SigningKey, error) {
	public, ok := signer.Public().(ed25519.PublicKey)
	if !ok {
		return SigningKey{}, malformed("witness key type %T, want Ed25519", signer.Public())
	}
	k, err := NewCosignatureKey(name, public)
	if err != nil {
		return SigningKey{}, err
	}
	return SigningKey{VerifierKey: k, signer: signer}, nil
}

// Cosign signs that k's witness saw text, a checkpoint's whole note text with
// its final newline, as the largest tree of its log at a time. The time is
// part of what is returned. Cosign only what is durably remembered: a witness
// that forgets what it cosigned can be made to cosign another history.
func (k SigningKey) Cosign(text []byte, at Time) ([]byte, error) {
	if k.alg != Cosignature {
		return nil, fmt.Errorf("cosigning: key of %q is %v, must be %v", k.name, k.alg, Cosignature)
	}
	if err := checkCosigned(at); err != nil {
		return nil, fmt.Errorf("cosigning as %q: %w", k.name, err)
	}
	signature, err := k.signer.Sign(nil, cosigned(text, at), crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("cosigning as %q: %w", k.name, err)
	}
	cosignature := append(binary.BigEndian.AppendUint64(nil, uint64(at)), signature...)
	if _, err := k.VerifyCosignature(text, cosignature); err != nil {
		return nil, fmt.Errorf("checking own cosignature: %w", err)
	}
	return cosignature, nil
}

// VerifyCosignature returns the time that a cosignature over text states, or an
// error that wraps [ErrBadSignature] or [ErrMalformed].
func (k VerifierKey) VerifyCosignature(text, cosignature []byte) (Time, error) {
	if k.alg != Cosignature {
		return 0, fmt.Errorf("%w: key of %q is %v, cosignatures need %v", ErrBadSignature, k.name, k.alg, Cosignature)
	}
	if len(cosignature) != cosignatureSize {
		return 0, malformed("cosignature of %q has %d bytes, want %d", k.name, len(cosignature), cosignatureSize)
	}
	seconds := binary.BigEndian.Uint64(cosignature)
	if seconds > uint64(latestTime) {
		return 0, malformed("cosignature of %q: time %d is after the year 9999", k.name, seconds)
	}
	at := Time(seconds)
	if err := checkCosigned(at); err != nil {
		return 0, malformed("cosignature of %q: %w", k.name, err)
	}
	if !ed25519.Verify(ed25519.PublicKey(k.raw), cosigned(text, at), cosignature[8:]) {
		return 0, fmt.Errorf("%w: not a cosignature of %q", ErrBadSignature, k.name)
	}
	return at, nil
}

// cosigned is the message of a cosignature/v1. The name of the witness is not
// part of it: one key, one witness.
func cosigned(text []byte, at Time) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", int64(at), text)
}

// checkCosigned refuses what no clock says. Zero is left to other kinds of
// cosignatures, which make no statement about time.
func checkCosigned(at Time) error {
	if at <= 0 || at > latestTime {
		return errors.New("time is outside the years 1970 to 9999")
	}
	return nil
}
