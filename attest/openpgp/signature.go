package openpgp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// Kind says what a signature covers and how. Per artifact, certificate and kind
// there is one signature, ever (design §6, invariant 3).
type Kind string

// DetachedBinary is a detached signature over the bytes of a file as they are
// (type 0x00).
const DetachedBinary Kind = "detached-binary"

// MaxSignature is the size limit of a binary signature in bytes. repo-add of
// pacman refuses larger ones.
const MaxSignature = 16384

// Signature is what a signature says. It is worth nothing before [Verify] or
// [VerifyState] returned it.
type Signature struct {
	Kind              Kind
	Created           time.Time // UTC, whole seconds
	Notations         []Notation
	IssuerFingerprint string // 40 upper-case hexadecimal digits, see [Certificate.Fingerprint]

	body body
}

// ParseSignature reads one binary signature packet. It accepts exactly the
// bytes that [SignState] and [SignBytes] can write; every other input, a
// trailing byte included, is an error that wraps [ErrMalformed].
func ParseSignature(data []byte) (*Signature, error) {
	s, err := parseSignature(data)
	if err != nil {
		return nil, fmt.Errorf("parsing OpenPGP signature: %w", err)
	}
	return s, nil
}

func parseSignature(data []byte) (*Signature, error) {
	if len(data) > MaxSignature {
		return nil, malformed("%d bytes, at most %d allowed", len(data), MaxSignature)
	}
	p, rest, err := readPacket(data)
	if err != nil {
		return nil, err
	}
	if p.tag != tagSignature {
		return nil, malformed("packet of type %d is no signature", p.tag)
	}
	if len(rest) != 0 {
		return nil, malformed("%d bytes behind the signature packet", len(rest))
	}
	b, err := parseBody(p.body)
	if err != nil {
		return nil, err
	}
	if b.kind != typeBinary || b.hash != hashSHA512 {
		return nil, malformed("signature of type 0x%02X with hash %d; only type 0x00 with SHA-512 (10) is used", b.kind, b.hash)
	}
	s, issuer, err := readHashed(b.hashed)
	if err != nil {
		return nil, err
	}
	s.body = *b

	// What was read is written again: lengths, order, spare subpackets and the
	// unhashed area have one spelling only.
	created, err := seconds(s.Created)
	if err != nil {
		return nil, err
	}
	again := body{algorithm: b.algorithm, kind: b.kind, hash: b.hash, left: b.left, raw: b.raw}
	again.hashed = appendHashed(nil, created, issuer, s.Notations)
	if !bytes.Equal(appendPacket(nil, tagSignature, again.encode()), data) {
		return nil, malformed("signature is not in the form that this package writes")
	}
	return s, nil
}

// appendHashed writes the hashed subpackets in their fixed order.
func appendHashed(b []byte, created uint32, issuer fingerprint, notations []Notation) []byte {
	b = appendIdentity(b, created, issuer)
	for _, n := range notations {
		b = appendSubpacket(b, subNotation, n.encode())
	}
	return b
}

// readHashed collects what the subpackets say; the caller's re-encoding check
// settles their number and order.
func readHashed(area []byte) (*Signature, fingerprint, error) {
	list, err := readSubpackets(area)
	if err != nil {
		return nil, fingerprint{}, err
	}
	s := &Signature{Kind: DetachedBinary}
	var issuer fingerprint
	for _, sub := range list {
		switch sub.kind {
		case subCreationTime:
			if len(sub.content) != 4 {
				return nil, fingerprint{}, malformed("creation time of %d bytes", len(sub.content))
			}
			s.Created = moment(binary.BigEndian.Uint32(sub.content))
		case subIssuerFingerprint:
			if len(sub.content) != 1+len(issuer) {
				return nil, fingerprint{}, malformed("issuer fingerprint of %d bytes", len(sub.content))
			}
			copy(issuer[:], sub.content[1:])
		case subNotation:
			n, err := parseNotation(sub.content)
			if err != nil {
				return nil, fingerprint{}, err
			}
			s.Notations = append(s.Notations, n)
		}
	}
	s.IssuerFingerprint = issuer.String()
	return s, issuer, checkNotations(s.Notations)
}
