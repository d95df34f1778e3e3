package openpgp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// ErrMalformed is wrapped by every error that says: these bytes are not a
// certificate or signature of the kind this package handles. Asking again with
// the same bytes cannot help.
var ErrMalformed = errors.New("malformed OpenPGP data")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}

// Packet types (RFC 9580 §5).
const (
	tagSignature    = 2
	tagSecretKey    = 5
	tagPublicKey    = 6
	tagSecretSubkey = 7
	tagUserID       = 13
	tagPublicSubkey = 14
)

// Length octets (RFC 9580 §4.2.1, §5.2.3.7). Packets and subpackets differ only
// between 224 and 254, and nothing here is long enough to need those.
const (
	lengthTwoOctets  = 192
	lengthPartial    = 224
	lengthFourOctets = 255

	maxOneOctet  = lengthTwoOctets - 1
	maxTwoOctets = (lengthPartial-lengthTwoOctets)<<8 + maxOneOctet
)

// packet is one framed packet; raw is the frame and the body.
type packet struct {
	tag  byte
	body []byte
	raw  []byte
}

func appendPacket(b []byte, tag byte, body []byte) []byte {
	b = append(b, 0xC0|tag)
	return append(appendLength(b, len(body)), body...)
}

func appendLength(b []byte, n int) []byte {
	switch {
	case n <= maxOneOctet:
		return append(b, byte(n))
	case n <= maxTwoOctets:
		n -= lengthTwoOctets
		return append(b, byte(n>>8)+lengthTwoOctets, byte(n))
	default:
		return binary.BigEndian.AppendUint32(append(b, lengthFourOctets), uint32(n))
	}
}

// readPacket takes the first packet off data, in the new framing or in the old
// one that gpg writes. Partial and indeterminate lengths are for data streams
// and are refused.
func readPacket(data []byte) (packet, []byte, error) {
	if len(data) == 0 || data[0]&0x80 == 0 {
		return packet{}, nil, malformed("no packet header where one is due")
	}
	header := data[0]
	var p packet
	var content []byte
	var err error
	if header&0x40 != 0 {
		p.tag = header & 0x3F
		p.body, content, err = readCounted(data[1:])
	} else {
		p.tag = header >> 2 & 0x0F
		p.body, content, err = readOldLength(data[1:], header&3)
	}
	if err != nil {
		return packet{}, nil, fmt.Errorf("packet of type %d: %w", p.tag, err)
	}
	p.raw = data[:len(data)-len(content)]
	return p, content, nil
}

// readCounted reads length octets and as many bytes as they count.
func readCounted(b []byte) (content, rest []byte, err error) {
	var n uint64
	switch {
	case len(b) >= 1 && b[0] < lengthTwoOctets:
		n, b = uint64(b[0]), b[1:]
	case len(b) >= 2 && b[0] < lengthPartial:
		n, b = uint64(b[0]-lengthTwoOctets)<<8+uint64(b[1])+lengthTwoOctets, b[2:]
	case len(b) >= 5 && b[0] == lengthFourOctets:
		n, b = uint64(binary.BigEndian.Uint32(b[1:])), b[5:]
	default:
		return nil, nil, malformed("length cut short or partial")
	}
	return split(b, n)
}

func readOldLength(b []byte, lengthType byte) (content, rest []byte, err error) {
	const indeterminate = 3
	octets := 1 << lengthType
	if lengthType == indeterminate || len(b) < octets {
		return nil, nil, malformed("length cut short or indeterminate")
	}
	var n uint64
	for _, c := range b[:octets] {
		n = n<<8 | uint64(c)
	}
	return split(b[octets:], n)
}

func split(b []byte, n uint64) (content, rest []byte, err error) {
	if n > uint64(len(b)) {
		return nil, nil, malformed("%d bytes announced, %d present", n, len(b))
	}
	return b[:n:n], b[n:], nil
}

// appendMPI writes a multiprecision integer (RFC 9580 §3.2). Leading zero
// octets vanish: one in about 128 Ed25519 signatures is shorter for it.
func appendMPI(b, value []byte) []byte {
	value = bytes.TrimLeft(value, "\x00")
	return append(binary.BigEndian.AppendUint16(b, uint16(bitLength(value))), value...)
}

func bitLength(value []byte) int {
	if len(value) == 0 {
		return 0
	}
	return (len(value)-1)*8 + bits.Len8(value[0])
}

// readMPI reads one integer and refuses every spelling but that of appendMPI.
func readMPI(b []byte) (value, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, malformed("integer cut short")
	}
	announced := int(binary.BigEndian.Uint16(b))
	value, rest, err = split(b[2:], uint64(announced+7)/8)
	if err != nil {
		return nil, nil, err
	}
	if bitLength(value) != announced {
		return nil, nil, malformed("integer of %d bits announced as %d", bitLength(value), announced)
	}
	return value, rest, nil
}
