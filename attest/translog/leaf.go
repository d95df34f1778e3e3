package translog

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
)

// MaxLeaf bounds a leaf, in bytes: entry bundles hold its length in 16 bits.
// The leaves that [Leaf] makes have about 500 bytes.
const MaxLeaf = 1<<16 - 1

// The words of a Rekor v2 hashedrekord entry.
const (
	leafVersion      = "0.0.2"
	leafKind         = "hashedrekord"
	digestAlgorithm  = "SHA2_256"
	publicKeyDetails = "PKIX_ECDSA_P256_SHA_256"
)

// The members stand in the order of RFC 8785, here and in the bytes.
type leafBody struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Spec       leafSpec `json:"spec"`
}

type leafSpec struct {
	HashedRekord hashedRekord `json:"hashedRekordV002"`
}

type hashedRekord struct {
	Data      leafData      `json:"data"`
	Signature leafSignature `json:"signature"`
}

type leafData struct {
	Algorithm string `json:"algorithm"`
	Digest    []byte `json:"digest"`
}

type leafSignature struct {
	Content  []byte       `json:"content"`
	Verifier leafVerifier `json:"verifier"`
}

type leafVerifier struct {
	KeyDetails string        `json:"keyDetails"`
	PublicKey  leafPublicKey `json:"publicKey"`
}

type leafPublicKey struct {
	RawBytes []byte `json:"rawBytes"`
}

// Leaf returns the log entry of a statement that key, an ECDSA P-256 key, has
// signed. The signature is verified: no leaf claims what was never said.
func Leaf(e *attest.Envelope, key attest.VerifierKey) ([]byte, error) {
	if key.Algorithm() != attest.ECDSAP256 {
		return nil, fmt.Errorf("making log leaf: key of %q is %v, leaves need %v", key.Name(), key.Algorithm(), attest.ECDSAP256)
	}
	if err := e.Verify(key); err != nil {
		return nil, fmt.Errorf("making log leaf: %w", err)
	}
	digest := BodyDigest(e)
	leaf, err := attest.MarshalCanonical(leafBody{leafVersion, leafKind, leafSpec{hashedRekord{
		Data: leafData{digestAlgorithm, digest[:]},
		Signature: leafSignature{
			Content:  e.Signatures[0].Sig,
			Verifier: leafVerifier{publicKeyDetails, leafPublicKey{key.SPKI()}},
		},
	}}})
	if err != nil {
		return nil, fmt.Errorf("making log leaf: %w", err)
	}
	return leaf, nil
}

// LeafHash returns the hash of a leaf as the tree holds it: SHA-256(0x00 ‖ leaf).
func LeafHash(leaf []byte) tlog.Hash { return tlog.RecordHash(leaf) }

// BodyDigest returns the digest by which a leaf names its statement, and under
// which the statement's envelope is served beside the log: SHA-256 of the PAE.
func BodyDigest(e *attest.Envelope) attest.Digest { return attest.SHA256(e.PAE()) }

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
