package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/reprosign/reprosign/attest/canonical"
)

// Digest is a SHA-256 digest. Its text form is 64 lower-case hexadecimal
// digits; no other spelling is accepted.
type Digest [sha256.Size]byte

// Digest512 is a SHA-512 digest, in text 128 lower-case hexadecimal digits.
type Digest512 [64]byte

var errDigestSpelling = errors.New("digest is not lower-case hexadecimal of the right length")

// SHA256 returns the digest of data.
func SHA256(data []byte) Digest { return sha256.Sum256(data) }

// ParseDigest reads the text form of a digest.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if err := d.UnmarshalText([]byte(s)); err != nil {
		return Digest{}, err
	}
	return d, nil
}

// IsZero reports whether the digest was never set. No known input hashes to zero.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns the text form.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Short returns the first twelve hexadecimal digits, for people to read. It
// identifies nothing.
func (d Digest) Short() string { return hex.EncodeToString(d[:6]) }

// checkDistinct refuses a list that names something twice or nothing at all.
func checkDistinct(list []Digest) error {
	seen := make(map[Digest]bool, len(list))
	for _, d := range list {
		if d.IsZero() || seen[d] {
			return malformed("digest %s is listed twice or empty", d.Short())
		}
		seen[d] = true
	}
	return nil
}

// AppendText implements encoding.TextAppender.
func (d Digest) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, d[:]), nil }

// digestOfList returns the SHA-256 of the canonical JSON array of digests.
func digestOfList(list []Digest) Digest {
	data, _ := writeStatement(func(w *canonical.Walk) { digests(w, "", &list) }) // fails on nothing
	return SHA256(data)
}

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return d.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error { return decodeHex(d[:], text) }

// IsZero reports whether the digest was never set.
func (d Digest512) IsZero() bool { return d == Digest512{} }

// String returns the text form.
func (d Digest512) String() string { return hex.EncodeToString(d[:]) }

// AppendText implements encoding.TextAppender.
func (d Digest512) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, d[:]), nil }

// MarshalText implements encoding.TextMarshaler.
func (d Digest512) MarshalText() ([]byte, error) { return d.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest512) UnmarshalText(text []byte) error { return decodeHex(d[:], text) }

func decodeHex(dst, text []byte) error {
	if len(text) != hex.EncodedLen(len(dst)) {
		return fmt.Errorf("%w: %d characters", errDigestSpelling, len(text))
	}
	const low = 'a' &^ 'A' // the bit that digits and lower-case letters have, and no upper-case one
	all := byte(low)
	for _, c := range text {
		all &= c
	}
	if all != low {
		return errDigestSpelling
	}
	if _, err := hex.Decode(dst, text); err != nil {
		return fmt.Errorf("%w: %w", errDigestSpelling, err)
	}
	return nil
}
