package openpgp_test

import (
	"crypto"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	pgp "github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/reprosign/reprosign/attest/openpgp"
)

// selfSign adds a user id to a certificate of the Ed25519 test key, with a
// self-signature over any subpackets at all. The signature itself is right.
func selfSign(t *testing.T, id string, hashed, unhashed []*pgp.OpaqueSubpacket) []*pgp.OpaquePacket {
	t.Helper()
	key := ed25519Key(t)
	public := packets(t, certify(t, key).Binary())[0].Contents
	part := append([]byte{4, 0x13, 22, 10}, area(hashed)...)
	digest := sha512.Sum512(slices.Concat(
		[]byte{0x99, 0, byte(len(public))}, public,
		[]byte{0xB4, 0, 0, 0, byte(len(id))}, []byte(id),
		part, []byte{4, 0xFF, 0, 0, 0, byte(len(part))},
	))
	raw, err := key.Sign(nil, digest[:], crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	body := slices.Concat(part, area(unhashed), digest[:2])
	for _, integer := range [][]byte{raw[:32], raw[32:]} {
		for integer[0] == 0 {
			integer = integer[1:]
		}
		width := 8 * len(integer)
		for mask := byte(0x80); integer[0]&mask == 0; mask >>= 1 {
			width--
		}
		body = append(binary.BigEndian.AppendUint16(body, uint16(width)), integer...)
	}
	return []*pgp.OpaquePacket{{Tag: 13, Contents: []byte(id)}, {Tag: 2, Contents: body}}
}

func TestSelfSignaturesSayOneThingOnly(t *testing.T) {
	c := certify(t, ed25519Key(t))
	primary := packets(t, c.Binary())[0]
	sub := func(kind uint8, content ...byte) *pgp.OpaqueSubpacket {
		return &pgp.OpaqueSubpacket{SubType: kind, Contents: content}
	}
	at := func(s int64) *pgp.OpaqueSubpacket {
		return sub(2, binary.BigEndian.AppendUint32(nil, uint32(born.Unix()+s))...)
	}
	flags := sub(27, 3)
	list := func(subs ...*pgp.OpaqueSubpacket) []*pgp.OpaqueSubpacket { return subs }
	tests := []struct {
		name             string
		hashed, unhashed []*pgp.OpaqueSubpacket
		want             string // of the error; "" = accepted
	}{
		{"least", list(at(0), flags), nil, ""},
		{"critical where known", list(&pgp.OpaqueSubpacket{SubType: 0x82, Contents: at(0).Contents}, flags), nil, ""},
		{"preferences", list(at(0), flags, sub(11, 9), sub(21, 10), sub(22, 1), sub(23, 0x80), sub(30, 1)), nil, ""},
		{"issuer of another key", list(at(0), flags), list(sub(16, make([]byte, 8)...)), "another key"},
		{"issuer fingerprint of another key", list(at(0), flags, sub(33, make([]byte, 21)...)), nil, "another key"},
		{"no creation time", list(flags), nil, "self-signature without creation time"},
		{"creation time beside the signature", list(flags), list(at(0)), "type 2 "},
		{"flags beside the signature", list(at(0)), list(flags), "type 27 "},
		{"lifetime beside the signature", list(at(0), flags), list(sub(9, 0, 0, 0, 1)), "type 9 "},
		{"flags twice", list(at(0), flags, sub(27, 1)), nil, "twice"},
		{"lifetime twice", list(at(0), flags, sub(9, 0, 0, 0, 1), sub(9, 0, 0, 0, 2)), nil, "twice"},
		{"lifetime cut short", list(at(0), flags, sub(9, 1)), nil, "type 9 "},
		{"two octets of flags", list(at(0), sub(27, 3, 0)), nil, "type 27 "},
		{"expiring", list(at(0), flags, sub(3, 0, 0, 0, 1)), nil, "type 3 "},
		{"not exportable", list(at(0), flags, sub(4, 0)), nil, "type 4 "},
		{"trust", list(at(0), flags, sub(5, 1, 120)), nil, "type 5 "},
		{"revocation key", list(at(0), flags, sub(12, make([]byte, 22)...)), nil, "type 12 "},
		{"unknown", list(at(0), flags, sub(101)), nil, "type 101 "},
		{"certify only", list(at(0), sub(27, 1)), nil, "key flags"},
		{"no flags", list(at(0)), nil, "key flags"},
		{"answer of a subkey", list(at(0), flags, sub(32, 4)), nil, "type 0x13"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data := join(t, append([]*pgp.OpaquePacket{primary}, selfSign(t, userID, test.hashed, test.unhashed)...)...)
			_, err := openpgp.ParseCertificate(data)
			if test.want == "" && err == nil {
				return
			}
			if err == nil || test.want == "" || !errors.Is(err, openpgp.ErrMalformed) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}

	one := selfSign(t, "one", list(at(10), flags), nil)
	two := selfSign(t, "two", list(at(20), flags), nil)
	certifyOnly := selfSign(t, "two", list(at(20), sub(27, 1)), nil)
	if _, err := openpgp.ParseCertificate(join(t, primary, one[0], one[1], two[0], two[1])); err != nil {
		t.Errorf("two user ids: %v", err)
	}
	if _, err := openpgp.ParseCertificate(join(t, primary, one[0], one[1], certifyOnly[0], certifyOnly[1])); err == nil {
		t.Error("user ids that disagree about the use of the key were accepted")
	}

	// The bit count of an integer is off by one within the same octet.
	loose := slices.Clone(one[1].Contents)
	count := 4 + 2 + int(binary.BigEndian.Uint16(loose[4:])) + 2 + 2
	announced := binary.BigEndian.Uint16(loose[count:])
	if announced%8 == 0 {
		announced -= 2
	}
	binary.BigEndian.PutUint16(loose[count:], announced+1)
	if _, err := openpgp.ParseCertificate(join(t, primary, one[0], &pgp.OpaquePacket{Tag: 2, Contents: loose})); !errors.Is(err, openpgp.ErrMalformed) {
		t.Errorf("loose integer: got %v, want ErrMalformed", err)
	}
}

// Certificates are extended by adding self-signatures: the newest holds, and
// signatures since the first stay valid, whatever the order of the packets.
func TestNewestSelfSignatureHolds(t *testing.T) {
	primary := packets(t, certify(t, ed25519Key(t)).Binary())[0]
	at := func(s, lifetime uint32) *pgp.OpaquePacket {
		return selfSign(t, userID, []*pgp.OpaqueSubpacket{
			{SubType: 2, Contents: binary.BigEndian.AppendUint32(nil, uint32(born.Unix())+s)},
			{SubType: 9, Contents: binary.BigEndian.AppendUint32(nil, lifetime)},
			{SubType: 27, Contents: []byte{3}},
		}, nil)[1]
	}
	id := &pgp.OpaquePacket{Tag: 13, Contents: []byte(userID)}
	first, second := at(0, 3600), at(60, 7200)
	for _, order := range [][]*pgp.OpaquePacket{{primary, id, first, second}, {primary, id, second, first}} {
		c, err := openpgp.ParseCertificate(join(t, order...))
		if err != nil {
			t.Fatal(err)
		}
		if expires, _ := c.Expires(); expires.Unix() != born.Unix()+7200 {
			t.Errorf("got expiry %v, want 7200 s after creation", expires)
		}
		if _, err := openpgp.SignBytes(c, ed25519Key(t), nil, openpgp.Options{Created: born}); err != nil {
			t.Errorf("signature of the first second: %v", err)
		}
	}
}
