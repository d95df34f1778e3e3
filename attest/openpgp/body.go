package openpgp

import (
	"encoding/binary"
	"hash"
)

// Signature types (RFC 9580 §5.2.1).
const (
	typeBinary         = 0x00
	typeCertifyFirst   = 0x10 // 0x10 to 0x13 bind a user id to a key
	typeCertify        = 0x13
	typeCertifyLast    = 0x13
	typeSubkeyBinding  = 0x18
	typePrimaryBinding = 0x19
	typeKeyRevocation  = 0x20
	typeSubRevocation  = 0x28
	typeUserRevocation = 0x30
)

// Hash algorithms (RFC 9580 §9.5). Only certificates made elsewhere may use the
// first two.
const (
	hashSHA256 = 8
	hashSHA384 = 9
	hashSHA512 = 10
)

// body is the body of a version 4 signature packet (RFC 9580 §5.2.3).
type body struct {
	algorithm
	kind     byte
	hash     byte
	hashed   []byte // subpackets under the signature
	unhashed []byte // subpackets beside it
	left     [2]byte
	raw      []byte // the signature value, see algorithm
}

// hashedPart is the packet from its version to the end of the hashed subpackets.
func (b *body) hashedPart() []byte {
	part := []byte{version4, b.kind, b.id, b.hash}
	part = binary.BigEndian.AppendUint16(part, uint16(len(b.hashed)))
	return append(part, b.hashed...)
}

// finish appends the hashed part and the trailer (RFC 9580 §5.2.4) to a hash
// that has taken in what is signed, and returns the digest.
func (b *body) finish(h hash.Hash) []byte {
	part := b.hashedPart()
	h.Write(part)
	h.Write(binary.BigEndian.AppendUint32([]byte{version4, 0xFF}, uint32(len(part))))
	return h.Sum(nil)
}

func (b *body) encode() []byte {
	out := b.hashedPart()
	out = binary.BigEndian.AppendUint16(out, uint16(len(b.unhashed)))
	out = append(out, b.unhashed...)
	out = append(out, b.left[:]...)
	return b.appendValue(out, b.raw)
}

// parseBody reads a whole signature packet body. What the subpackets say is for
// the caller to judge.
func parseBody(data []byte) (*body, error) {
	if len(data) < 4 || data[0] != version4 {
		return nil, malformed("signature is not of version 4")
	}
	a, err := algorithmByID(data[2])
	if err != nil {
		return nil, err
	}
	b := &body{algorithm: a, kind: data[1], hash: data[3]}
	rest := data[4:]
	for _, area := range []*[]byte{&b.hashed, &b.unhashed} {
		if len(rest) < 2 {
			return nil, malformed("signature cut short")
		}
		if *area, rest, err = split(rest[2:], uint64(binary.BigEndian.Uint16(rest))); err != nil {
			return nil, err
		}
	}
	if copy(b.left[:], rest) != len(b.left) {
		return nil, malformed("signature cut short")
	}
	if b.raw, err = a.readValue(rest[len(b.left):]); err != nil {
		return nil, err
	}
	return b, nil
}
