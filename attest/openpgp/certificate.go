package openpgp

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"time"
)

// Limits of certificates.
const (
	// MaxCertificate is the size limit of a certificate in bytes, without armor.
	MaxCertificate = 32 << 10
	// MaxUserID is the size limit of one user id in bytes.
	MaxUserID = 256

	maxUserIDs        = 8
	maxSelfSignatures = 32 // per user id or subkey; every extension adds one
)

var errSecretKey = malformed("this is a secret key; give the public certificate only, and consider the key exposed")

// Certificate is a parsed and verified version 4 transferable public key: a
// primary key and at most one subkey, of which exactly one signs.
type Certificate struct {
	raw       []byte
	primary   publicKey
	signing   publicKey // the subkey, or the primary
	userIDs   []string
	validFrom time.Time
	expires   time.Time // zero: never
}

// ParseCertificate reads a certificate, binary or armored. It is strict:
// version 4 keys and self-signatures, Ed25519 (algorithm 22) or RSA-4096,
// SHA-2, every self-signature valid, exactly one signing key, no secret key, no
// certifications by others, no revocation, no trailing data. Errors wrap
// [ErrMalformed], or [ErrBadSignature] for a self-signature that does not verify.
//
// A certificate that expired or is not yet valid parses: time is judged with
// the signatures it makes. To shorten a foreign certificate, use
// `gpg --export-options export-minimal --export`.
func ParseCertificate(data []byte) (*Certificate, error) {
	c, err := parseCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("parsing OpenPGP certificate: %w", err)
	}
	return c, nil
}

func parseCertificate(data []byte) (*Certificate, error) {
	if len(data) > 0 && data[0]&0x80 == 0 {
		decoded, err := decodeArmor(blockCertificate, data, MaxCertificate)
		if err != nil {
			return nil, err
		}
		data = decoded
	}
	if len(data) > MaxCertificate {
		return nil, malformed("more than the %d bytes allowed", MaxCertificate)
	}
	parts, err := readParts(data)
	if err != nil {
		return nil, err
	}
	return parts.evaluate(bytes.Clone(data))
}

// Fingerprint returns the fingerprint of the signing key: 40 upper-case
// hexadecimal digits, as gpg prints them. Signatures name this key.
func (c *Certificate) Fingerprint() string { return c.signing.fingerprint.String() }

// PrimaryFingerprint returns the fingerprint of the primary key, by which
// people and key rings know the certificate. It equals Fingerprint if the
// primary key signs.
func (c *Certificate) PrimaryFingerprint() string { return c.primary.fingerprint.String() }

// SigningKey returns the public key that signs, an ed25519.PublicKey or an
// *rsa.PublicKey. The caller must not change it.
func (c *Certificate) SigningKey() crypto.PublicKey { return c.signing.key }

// KeyCreated returns when the signing key was created, in UTC. It is part of
// the fingerprint.
func (c *Certificate) KeyCreated() time.Time { return moment(c.signing.created) }

// Expires returns the moment from which on the signing key or its primary is
// expired, in UTC, and false if neither ever is.
func (c *Certificate) Expires() (time.Time, bool) { return c.expires, !c.expires.IsZero() }

// UserIDs returns the user ids in the order of the certificate, at least one.
func (c *Certificate) UserIDs() []string { return slices.Clone(c.userIDs) }

// Binary returns the certificate exactly as it was parsed or made, without armor.
func (c *Certificate) Binary() []byte { return bytes.Clone(c.raw) }

// Armor returns the armored form of Binary, always in the same spelling.
func (c *Certificate) Armor() []byte { return encodeArmor(blockCertificate, c.raw) }

// checkValidAt refuses moments before the keys and their first self-signatures
// existed and from the expiry on, as sqv does. Certificates are therefore
// extended by adding self-signatures, never by replacing them.
func (c *Certificate) checkValidAt(t time.Time) error {
	if t.Before(c.validFrom) || !c.expires.IsZero() && !t.Before(c.expires) {
		until := "without end"
		if !c.expires.IsZero() {
			until = "until " + c.expires.Format(time.RFC3339)
		}
		return fmt.Errorf("%w: created %s, valid from %s %s", ErrNotValidThen,
			t.UTC().Format(time.RFC3339), c.validFrom.Format(time.RFC3339), until)
	}
	return nil
}
