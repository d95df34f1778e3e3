package openpgp

import (
	"bytes"
	"encoding/binary"
)

// selfSignature is what a key says about a user id or a subkey.
type selfSignature struct {
	body
	created  uint32
	flags    byte
	lifetime uint32 // seconds from the creation of the key, 0 = without end
	embedded []byte // body of the subkey's answer
}

// Subpackets that gpg and sq write into self-signatures and that change nothing
// about the validity of a signing key: preferences, features, notations.
var harmlessSubpackets = [...]byte{11, subNotation, 21, 22, 23, subPrimaryUserID, 30, 34, 39}

var errForeign = malformed("certification by another key; give a minimal export (gpg --export-options export-minimal --export)")

// parseSelfSignature reads a self-signature and refuses every subpacket it does
// not know: some limit what the key may do.
func parseSelfSignature(data []byte, issuer fingerprint) (*selfSignature, error) {
	b, err := parseBody(data)
	if err != nil {
		return nil, err
	}
	if b.hash != hashSHA256 && b.hash != hashSHA384 && b.hash != hashSHA512 {
		return nil, malformed("self-signature with hash %d; only SHA-2 is used", b.hash)
	}
	s := &selfSignature{body: *b}
	seen := make(map[byte]bool)
	for _, area := range []struct {
		bytes  []byte
		hashed bool
	}{{b.hashed, true}, {b.unhashed, false}} {
		list, err := readSubpackets(area.bytes)
		if err != nil {
			return nil, err
		}
		for _, sub := range list {
			if seen[sub.kind] && sub.kind != subNotation {
				return nil, malformed("subpacket of type %d given twice", sub.kind)
			}
			seen[sub.kind] = true
			if err := s.take(sub, area.hashed, issuer); err != nil {
				return nil, err
			}
		}
	}
	if !seen[subCreationTime] {
		return nil, malformed("self-signature without creation time")
	}
	return s, nil
}

// take notes what one subpacket says. Everything counts only under the
// signature, except the hints which key to try and the answer of the subkey,
// which carries its own signature.
func (s *selfSignature) take(sub subpacket, hashed bool, issuer fingerprint) error {
	wrong := func() error {
		return malformed("subpacket of type %d (hashed: %t) does not belong into a self-signature of this key", sub.kind, hashed)
	}
	switch sub.kind {
	case subIssuer:
		if !bytes.Equal(sub.content, issuer.keyID()) {
			return errForeign
		}
		return nil
	case subIssuerFingerprint:
		if !bytes.Equal(sub.content, append([]byte{version4}, issuer[:]...)) {
			return errForeign
		}
		return nil
	case subEmbedded:
		s.embedded = sub.content
		return nil
	}
	if !hashed {
		return wrong()
	}
	switch {
	case sub.kind == subCreationTime && len(sub.content) == 4:
		s.created = binary.BigEndian.Uint32(sub.content)
	case sub.kind == subKeyLifetime && len(sub.content) == 4:
		s.lifetime = binary.BigEndian.Uint32(sub.content)
	case sub.kind == subKeyFlags && len(sub.content) == 1:
		s.flags = sub.content[0]
	case bytes.IndexByte(harmlessSubpackets[:], sub.kind) >= 0:
	default:
		return wrong()
	}
	return nil
}
