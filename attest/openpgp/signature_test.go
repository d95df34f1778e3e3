package openpgp_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	pgp "github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/reprosign/reprosign/attest/openpgp"
)

// cutSignature is a signature packet body in pieces that a test can change.
type cutSignature struct {
	head     []byte // version, type, algorithm, hash
	hashed   []*pgp.OpaqueSubpacket
	unhashed []byte
	tail     []byte // left two octets and integers
}

func (s cutSignature) packet(t *testing.T) []byte {
	t.Helper()
	b := append(slices.Clone(s.head), area(s.hashed)...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.unhashed)))
	return join(t, &pgp.OpaquePacket{Tag: 2, Contents: slices.Concat(b, s.unhashed, s.tail)})
}

// area writes short subpackets behind their common length.
func area(list []*pgp.OpaqueSubpacket) []byte {
	var b []byte
	for _, sub := range list {
		b = append(b, byte(len(sub.Contents)+1), sub.SubType)
		b = append(b, sub.Contents...)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func cut(t *testing.T, signature []byte) cutSignature {
	t.Helper()
	b := packets(t, signature)[0].Contents
	end := 6 + int(binary.BigEndian.Uint16(b[4:]))
	hashed, err := pgp.OpaqueSubpackets(b[6:end])
	if err != nil {
		t.Fatal(err)
	}
	return cutSignature{head: b[:4:4], hashed: hashed, tail: b[end+2:]}
}

func TestSignaturesThatTheWriterWouldNotWriteAreRefused(t *testing.T) {
	key := ed25519Key(t)
	good := sign(t, certify(t, key), key, nil)
	if got := cut(t, good).packet(t); !bytes.Equal(got, good) {
		t.Fatalf("an unchanged signature comes out as\n%x, not\n%x", got, good)
	}
	edit := func(change func(*cutSignature)) []byte {
		s := cut(t, good)
		change(&s)
		return s.packet(t)
	}
	body := packets(t, good)[0].Contents
	padded := binary.BigEndian.AppendUint16(nil, 256) // claims a leading one bit that is not there
	tests := map[string][]byte{
		"empty":                 nil,
		"armored":               openpgp.Armor(good),
		"trailing byte":         append(slices.Clone(good), 0),
		"twice":                 append(slices.Clone(good), good...),
		"cut short":             good[:len(good)-1],
		"old framing":           slices.Concat([]byte{0x80 | 2<<2 | 1}, binary.BigEndian.AppendUint16(nil, uint16(len(body))), body),
		"long length":           slices.Concat([]byte{0xC2, 0xFF}, binary.BigEndian.AppendUint32(nil, uint32(len(body))), body),
		"partial length":        slices.Concat([]byte{0xC2, 0xE6}, body),
		"no signature packet":   join(t, &pgp.OpaquePacket{Tag: 13, Contents: body}),
		"version 3":             edit(func(s *cutSignature) { s.head[0] = 3 }),
		"version 6":             edit(func(s *cutSignature) { s.head[0] = 6 }),
		"text":                  edit(func(s *cutSignature) { s.head[1] = 1 }),
		"certification":         edit(func(s *cutSignature) { s.head[1] = 0x13 }),
		"algorithm 27":          edit(func(s *cutSignature) { s.head[2] = 27 }),
		"algorithm RSA":         edit(func(s *cutSignature) { s.head[2] = 1 }),
		"SHA-256":               edit(func(s *cutSignature) { s.head[3] = 8 }),
		"SHA-1":                 edit(func(s *cutSignature) { s.head[3] = 2 }),
		"unhashed subpacket":    edit(func(s *cutSignature) { s.unhashed = []byte{2, 100, 0} }),
		"no creation time":      edit(func(s *cutSignature) { s.hashed = s.hashed[1:] }),
		"no issuer":             edit(func(s *cutSignature) { s.hashed = slices.Delete(s.hashed, 1, 2) }),
		"no issuer fingerprint": edit(func(s *cutSignature) { s.hashed = slices.Delete(s.hashed, 2, 3) }),
		"other order":           edit(func(s *cutSignature) { s.hashed[0], s.hashed[1] = s.hashed[1], s.hashed[0] }),
		"subpacket twice":       edit(func(s *cutSignature) { s.hashed = append(s.hashed, s.hashed[0]) }),
		"notation twice":        edit(func(s *cutSignature) { s.hashed = append(s.hashed, s.hashed[3]) }),
		"unknown subpacket":     edit(func(s *cutSignature) { s.hashed = append(s.hashed, &pgp.OpaqueSubpacket{SubType: 26}) }),
		"expiring": edit(func(s *cutSignature) {
			s.hashed = append(s.hashed, &pgp.OpaqueSubpacket{SubType: 3, Contents: []byte{0, 0, 0, 1}})
		}),
		"critical creation time": edit(func(s *cutSignature) { s.hashed[0].SubType |= 0x80 }),
		"critical notation":      edit(func(s *cutSignature) { s.hashed[3].SubType |= 0x80 }),
		"binary notation":        edit(func(s *cutSignature) { s.hashed[3].Contents[0] = 0 }),
		"notation cut short":     edit(func(s *cutSignature) { s.hashed[3].Contents = s.hashed[3].Contents[:9] }),
		"key id of another":      edit(func(s *cutSignature) { s.hashed[1].Contents[0] ^= 1 }),
		"version 6 issuer":       edit(func(s *cutSignature) { s.hashed[2].Contents[0] = 6 }),
		"integer not minimal":    edit(func(s *cutSignature) { s.tail = slices.Concat(s.tail[:2], padded, make([]byte, 32), s.tail[2:]) }),
		"third integer":          edit(func(s *cutSignature) { s.tail = append(s.tail, 0, 0) }),
		"one integer":            edit(func(s *cutSignature) { s.tail = s.tail[:20] }),
		"too large":              bytes.Repeat(good, openpgp.MaxSignature/len(good)+1),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			if s, err := openpgp.ParseSignature(data); !errors.Is(err, openpgp.ErrMalformed) {
				t.Errorf("got %+v, %v, want ErrMalformed", s, err)
			}
		})
	}
}

// A right signature in another form is still another form: one artifact, one
// certificate, one signature.
func TestSignatureMadeByGPGIsRefused(t *testing.T) {
	home, dir := gpgHome(t), t.TempDir()
	mustGPG(t, home, "--quick-generate-key", "one@example.org", "ed25519", "sign", "never")
	file := write(t, filepath.Join(dir, "file"), []byte("data"))
	mustGPG(t, home, "--digest-algo", "SHA512", "--output", file+".sig", "--detach-sign", file)
	data, err := os.ReadFile(file + ".sig")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := openpgp.ParseSignature(data); !errors.Is(err, openpgp.ErrMalformed) {
		t.Errorf("got %+v, %v, want ErrMalformed", s, err)
	}
}
