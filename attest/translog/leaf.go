package translog

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
)

// MaxLeaf bounds a leaf, in bytes: entry bundles hold its length in 16 bits.
// The leaves that [Leaf] makes have about 500 bytes.
const MaxLeaf = 1<<16 - 1

// A leaf is a Rekor v2 hashedrekord entry in the one spelling of RFC 8785. All
// that varies is base64, which JSON need not escape, so the rest is fixed text.
const (
	leafDigest    = `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"`
	leafSignature = `"},"signature":{"content":"`
	leafKey       = `","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{"rawBytes":"`
	leafEnd       = `"}}}}}}`
)

// Leaf returns the log entry of a statement that key, an ECDSA P-256 key, has
// signed. The signature is verified: no leaf claims what was never said.
func Leaf(e *attest.Envelope, key attest.VerifierKey) ([]byte, error) {
	if key.Algorithm() != attest.ECDSAP256 {
		return nil, fmt.Errorf("making log leaf: key of %q is %v, leaves need %v", key.Name(), key.Algorithm(), attest.ECDSAP256)
	}
	if err := e.Verify(key); err != nil {
		return nil, fmt.Errorf("making log leaf: %w", err)
	}
	return makeLeaf(BodyDigest(e), e.Signatures[0].Sig, key.SPKI()), nil
}

// OwnLeaf returns the leaf of a statement that the caller has just signed with
// key itself. Nothing is verified.
func OwnLeaf(e *attest.Envelope, key attest.VerifierKey) []byte {
	return makeLeaf(BodyDigest(e), e.Signatures[0].Sig, key.SPKI())
}

func makeLeaf(body attest.Digest, signature, spki []byte) []byte {
	b := make([]byte, 0, 640)
	b = base64.StdEncoding.AppendEncode(append(b, leafDigest...), body[:])
	b = base64.StdEncoding.AppendEncode(append(b, leafSignature...), signature)
	b = base64.StdEncoding.AppendEncode(append(b, leafKey...), spki)
	return append(b, leafEnd...)
}

// openLeaf returns what a leaf holds; every byte string that [makeLeaf] cannot
// write is an error.
func openLeaf(leaf []byte) (body attest.Digest, signature, spki []byte, err error) {
	rest, begins := bytes.CutPrefix(leaf, []byte(leafDigest))
	digest, rest, ok := bytes.Cut(rest, []byte(leafSignature))
	content, rest, also := bytes.Cut(rest, []byte(leafKey))
	if !begins || !ok || !also {
		return body, nil, nil, malformed("leaf is no entry of an ECDSA P-256 signature")
	}
	parts := [3][]byte{digest, content, bytes.TrimSuffix(rest, []byte(leafEnd))}
	var decoded [3][]byte
	for i, p := range parts {
		if decoded[i], err = base64.StdEncoding.Strict().DecodeString(string(p)); err != nil {
			return body, nil, nil, malformed("leaf holds no base64 where it should")
		}
	}
	if len(decoded[0]) != len(body) {
		return body, nil, nil, malformed("leaf holds a digest of %d bytes", len(decoded[0]))
	}
	body = attest.Digest(decoded[0])
	if !bytes.Equal(makeLeaf(body, decoded[1], decoded[2]), leaf) {
		return body, nil, nil, malformed("leaf in another spelling than the canonical one")
	}
	return body, decoded[1], decoded[2], nil
}

// LeafHash returns the hash of a leaf as the tree holds it: SHA-256(0x00 ‖ leaf).
func LeafHash(leaf []byte) tlog.Hash { return tlog.RecordHash(leaf) }

// BodyDigest returns the digest by which a leaf names its statement, and under
// which the statement's envelope is served beside the log: SHA-256 of the PAE.
func BodyDigest(e *attest.Envelope) attest.Digest { return e.PAEDigest() }

// AppendEntry appends a leaf to an entry bundle of C2SP tlog-tiles: a length of
// two bytes, big-endian, before each leaf.
func AppendEntry(bundle, leaf []byte) ([]byte, error) {
	if len(leaf) == 0 || len(leaf) > MaxLeaf {
		return nil, fmt.Errorf("log leaf of %d bytes, 1 to %d allowed", len(leaf), MaxLeaf)
	}
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(leaf)))
	return append(bundle, leaf...), nil
}

// ParseEntries cuts an entry bundle into its leaves: 1 to [TileWidth] of them.
func ParseEntries(bundle []byte) ([][]byte, error) {
	var leaves [][]byte
	for rest := bundle; len(rest) > 0; {
		if len(rest) < 2 {
			return nil, malformed("entry bundle ends inside a length")
		}
		n := int(binary.BigEndian.Uint16(rest))
		if n == 0 || len(rest)-2 < n {
			return nil, malformed("entry %d of the bundle is empty or cut off", len(leaves))
		}
		leaves = append(leaves, rest[2:2+n:2+n])
		rest = rest[2+n:]
	}
	if len(leaves) == 0 || len(leaves) > TileWidth {
		return nil, malformed("entry bundle of %d entries, 1 to %d allowed", len(leaves), TileWidth)
	}
	return leaves, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", attest.ErrMalformed, fmt.Errorf(format, args...))
}
