package openpgp

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Signature subpacket types (RFC 9580 §5.2.3.7) that mean something here.
const (
	subCreationTime      = 2
	subKeyLifetime       = 9
	subIssuer            = 16
	subNotation          = 20
	subPrimaryUserID     = 25
	subKeyFlags          = 27
	subEmbedded          = 32
	subIssuerFingerprint = 33

	criticalBit = 0x80
)

// Key flags (RFC 9580 §5.2.3.29).
const (
	flagCertify = 0x01
	flagSign    = 0x02
)

// Limits of notations. With them a signature stays far below [MaxSignature].
const (
	MaxNotations     = 8
	MaxNotationName  = 128 // bytes
	MaxNotationValue = 512 // bytes
)

// Notation is a human-readable, non-critical statement inside a signature
// (RFC 9580 §5.2.3.24). Name is of the form word@domain in printable ASCII;
// Value is one line of UTF-8.
type Notation struct {
	Name  string
	Value string
}

// notationFlags marks the value as human-readable text.
const notationFlags = 0x80000000

func (n Notation) check() error {
	word, domain, found := strings.Cut(n.Name, "@")
	if !found || word == "" || domain == "" || strings.Contains(domain, "@") || len(n.Name) > MaxNotationName {
		return malformed("notation name of %d bytes is not word@domain of at most %d", len(n.Name), MaxNotationName)
	}
	for i := range len(n.Name) {
		if c := n.Name[i]; c <= ' ' || c > '~' {
			return malformed("notation name %q holds more than printable ASCII", n.Name)
		}
	}
	if len(n.Value) > MaxNotationValue || !oneLine(n.Value) {
		return malformed("value of notation %s is not one line of UTF-8 of at most %d bytes", n.Name, MaxNotationValue)
	}
	return nil
}

func checkNotations(notations []Notation) error {
	if len(notations) > MaxNotations {
		return malformed("%d notations, at most %d allowed", len(notations), MaxNotations)
	}
	seen := make(map[string]bool, len(notations))
	for _, n := range notations {
		if err := n.check(); err != nil {
			return err
		}
		if seen[n.Name] {
			return malformed("notation %s given twice", n.Name)
		}
		seen[n.Name] = true
	}
	return nil
}

// oneLine reports whether s can be printed on a terminal without harm.
func oneLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (n Notation) encode() []byte {
	b := binary.BigEndian.AppendUint32(nil, notationFlags)
	b = binary.BigEndian.AppendUint16(b, uint16(len(n.Name)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(n.Value)))
	return append(append(b, n.Name...), n.Value...)
}

func parseNotation(b []byte) (Notation, error) {
	const fixed = 8
	if len(b) < fixed || binary.BigEndian.Uint32(b) != notationFlags {
		return Notation{}, malformed("notation is not human-readable text")
	}
	name, value := int(binary.BigEndian.Uint16(b[4:])), int(binary.BigEndian.Uint16(b[6:]))
	if len(b) != fixed+name+value {
		return Notation{}, malformed("notation of %d bytes announces %d and %d", len(b), name, value)
	}
	return Notation{Name: string(b[fixed : fixed+name]), Value: string(b[fixed+name:])}, nil
}

// subpacket is one subpacket; kind is its type without the critical bit.
type subpacket struct {
	kind     byte
	critical bool
	content  []byte
}

// appendSubpacket writes a non-critical subpacket. There is no way to write a
// critical one: rpm would refuse to import the certificate.
func appendSubpacket(b []byte, kind byte, content []byte) []byte {
	b = append(appendLength(b, len(content)+1), kind)
	return append(b, content...)
}

func readSubpackets(area []byte) ([]subpacket, error) {
	var list []subpacket
	for len(area) > 0 {
		content, rest, err := readCounted(area)
		if err != nil {
			return nil, err
		}
		if len(content) == 0 {
			return nil, malformed("subpacket without a type")
		}
		list = append(list, subpacket{kind: content[0] &^ criticalBit, critical: content[0]&criticalBit != 0, content: content[1:]})
		area = rest
	}
	return list, nil
}

// appendIdentity writes what every signature of this package begins with: when
// and by which key.
func appendIdentity(b []byte, created uint32, issuer fingerprint) []byte {
	b = appendSubpacket(b, subCreationTime, binary.BigEndian.AppendUint32(nil, created))
	b = appendSubpacket(b, subIssuer, issuer.keyID())
	return appendSubpacket(b, subIssuerFingerprint, append([]byte{version4}, issuer[:]...))
}
