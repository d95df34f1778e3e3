package evidencetest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/reprosign/reprosign/attest"
)

// PlainSignature returns the line of a plain signature (C2SP signed-note type
// 0x01) by a witness's key, which no reader takes for a cosignature.
func PlainSignature(tb testing.TB, signed []byte, witness attest.SigningKey) []byte {
	tb.Helper()
	plain := Ed25519Key(tb, "witness", witness.Name())
	signature, err := plain.Sign(signed[:bytes.LastIndex(signed, []byte("\n\n"))+1])
	if err != nil {
		tb.Fatal(err)
	}
	return line(plain.Name(), plain.ID(), signature)
}

// Unknown returns the line of a signature of a type that nobody knows yet.
func Unknown(name string) []byte { return line(name, 0x06060606, bytes.Repeat([]byte{6}, 2428)) }

// Backdate returns a note in which the cosignature in one of the lines says
// another time than was signed.
func Backdate(tb testing.TB, signed []byte, number int, at attest.Time) []byte {
	tb.Helper()
	lines := bytes.SplitAfter(signed, []byte("\n"))
	fields := bytes.Fields(lines[number])
	raw, err := base64.StdEncoding.DecodeString(string(fields[2]))
	if err != nil {
		tb.Fatal(err)
	}
	binary.BigEndian.PutUint64(raw[4:], uint64(at))
	lines[number] = fmt.Appendf(nil, "— %s %s\n", fields[1], base64.StdEncoding.EncodeToString(raw))
	return bytes.Join(lines, nil)
}

func line(name string, id uint32, signature []byte) []byte {
	raw := append(binary.BigEndian.AppendUint32(nil, id), signature...)
	return fmt.Appendf(nil, "— %s %s\n", name, base64.StdEncoding.EncodeToString(raw))
}
