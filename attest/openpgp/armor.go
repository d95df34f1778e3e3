package openpgp

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// Armor block types (RFC 9580 §6.2).
const (
	blockSignature   = "PGP SIGNATURE"
	blockCertificate = "PGP PUBLIC KEY BLOCK"
	blockPrivate     = "PGP PRIVATE KEY BLOCK"
)

// maxArmored bounds the armored form of n bytes written anywhere: base64, line
// ends, frame and comments.
func maxArmored(n int) int { return 2*n + 1024 }

// Armor returns the armored form of a binary signature: no headers, lines of 64
// characters, checksum, final newline.
func Armor(signature []byte) []byte { return encodeArmor(blockSignature, signature) }

// Dearmor returns the binary signature in an armored one. It accepts exactly
// what [Armor] writes; what is inside is for [ParseSignature] to judge.
func Dearmor(data []byte) ([]byte, error) {
	signature, err := decodeArmor(blockSignature, data, MaxSignature)
	if err != nil {
		return nil, fmt.Errorf("removing armor from OpenPGP signature: %w", err)
	}
	if !bytes.Equal(Armor(signature), data) {
		return nil, fmt.Errorf("removing armor from OpenPGP signature: %w", malformed("not in the form that this package writes"))
	}
	return signature, nil
}

func encodeArmor(block string, data []byte) []byte {
	var out bytes.Buffer
	w, err := armor.EncodeWithChecksumOption(&out, block, nil, true)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("openpgp: writing armor to memory: " + err.Error())
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// decodeArmor reads one block with nothing before or behind it but white space.
// The decoder of go-crypto would skip both.
func decodeArmor(block string, data []byte, limit int) ([]byte, error) {
	if len(data) > maxArmored(limit) {
		return nil, malformed("%d bytes, at most %d allowed", len(data), maxArmored(limit))
	}
	text := strings.TrimSpace(string(data))
	if strings.HasPrefix(text, frame("BEGIN", blockPrivate)) {
		return nil, errSecretKey
	}
	inner, begun := strings.CutPrefix(text, frame("BEGIN", block))
	inner, ended := strings.CutSuffix(inner, frame("END", block))
	if !begun || !ended || strings.Contains(inner, "-----") {
		return nil, malformed("not exactly one armored block %q", block)
	}
	decoded, err := armor.Decode(strings.NewReader(text))
	if err != nil {
		return nil, malformed("armor: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(decoded.Body, int64(limit)+1))
	if err != nil {
		return nil, malformed("armor: %w", err)
	}
	return out, nil
}

func frame(edge, block string) string { return "-----" + edge + " " + block + "-----" }
