package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/reprosign/reprosign/attest/edtable"
	"github.com/reprosign/reprosign/attest/keytable"
	"github.com/reprosign/reprosign/attest/p256table"
)

// Algorithm is the signature algorithm of a key; its values are the C2SP
// signed-note signature types.
type Algorithm byte

// The two algorithms of statements: ECDSA P-256 with SHA-256 for opening and
// statement keys (stock cosign recomputes their log leaves), Ed25519 for all
// others. Witnesses have keys of a third kind, [Cosignature].
const (
	Ed25519   Algorithm = 0x01
	ECDSAP256 Algorithm = 0x02
)

// String returns the name of the algorithm.
func (a Algorithm) String() string {
	switch a {
	case Ed25519:
		return "Ed25519"
	case ECDSAP256:
		return "ECDSA P-256"
	case Cosignature:
		return "Ed25519 cosignature"
	}
	return fmt.Sprintf("algorithm %#x", byte(a))
}

// ErrBadSignature says that a signature is not by the key it must be by.
var ErrBadSignature = errors.New("signature does not verify")

// p256Prefix is the DER that precedes the uncompressed point in every P-256
// SubjectPublicKeyInfo (RFC 5480). crypto/x509 would bring net into a pure package.
var p256Prefix = []byte{
	0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
	0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
}

const p256Point = 65

// VerifierKey is a named public key in C2SP verifier-key form,
// <name>+<key id>+<base64(type ‖ key)>. For P-256 the key is the
// SubjectPublicKeyInfo. The zero value verifies nothing.
type VerifierKey struct {
	name  string
	alg   Algorithm
	raw   string // Ed25519 and cosignature: 32 bytes; P-256: SubjectPublicKeyInfo
	ec    *ecdsa.PublicKey
	often *keytable.Key // if set, the same key, verified faster; see WithTables
}

// NewVerifierKey names a public key: an ed25519.PublicKey or an
// *ecdsa.PublicKey on P-256.
func NewVerifierKey(name string, public crypto.PublicKey) (VerifierKey, error) {
	if err := checkKeyName(name); err != nil {
		return VerifierKey{}, err
	}
	switch p := public.(type) {
	case ed25519.PublicKey:
		if len(p) != ed25519.PublicKeySize {
			return VerifierKey{}, malformed("Ed25519 key of %d bytes", len(p))
		}
		return VerifierKey{name: name, alg: Ed25519, raw: string(p)}, nil
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return VerifierKey{}, malformed("ECDSA key on another curve than P-256")
		}
		point, err := p.Bytes()
		if err != nil {
			return VerifierKey{}, malformed("P-256 key: %w", err)
		}
		return VerifierKey{name: name, alg: ECDSAP256, raw: string(p256Prefix) + string(point), ec: p}, nil
	}
	return VerifierKey{}, malformed("public key type %T, want Ed25519 or P-256", public)
}

// ParseVerifierKey reads the text form. The key id must be the one that name and key give.
func ParseVerifierKey(s string) (VerifierKey, error) {
	name, rest, ok1 := strings.Cut(s, "+")
	id, b64, ok2 := strings.Cut(rest, "+")
	data, err := base64.StdEncoding.Strict().DecodeString(b64)
	if !ok1 || !ok2 || err != nil || len(data) < 1 {
		return VerifierKey{}, malformed("verifier key %q is not of the form name+id+base64", clip(s))
	}
	var k VerifierKey
	switch body := data[1:]; Algorithm(data[0]) {
	case Ed25519:
		k, err = NewVerifierKey(name, ed25519.PublicKey(body))
	case Cosignature:
		k, err = NewCosignatureKey(name, ed25519.PublicKey(body))
	case ECDSAP256:
		point, ok := strings.CutPrefix(string(body), string(p256Prefix))
		if !ok || len(point) != p256Point {
			return VerifierKey{}, malformed("verifier key %q: not a P-256 SubjectPublicKeyInfo", clip(name))
		}
		var p *ecdsa.PublicKey
		if p, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), []byte(point)); err == nil {
			k, err = NewVerifierKey(name, p)
		}
	default:
		return VerifierKey{}, malformed("verifier key %q: unknown %v", clip(name), Algorithm(data[0]))
	}
	if err != nil {
		return VerifierKey{}, malformed("verifier key %q: %w", clip(name), err)
	}
	if k.String() != s {
		return VerifierKey{}, malformed("verifier key %q: key id %q, want %08x", clip(name), clip(id), k.ID())
	}
	return k, nil
}

// Name returns the name in the key.
func (k VerifierKey) Name() string { return k.name }

// Algorithm returns the signature algorithm.
func (k VerifierKey) Algorithm() Algorithm { return k.alg }

// IsZero reports whether k holds no key.
func (k VerifierKey) IsZero() bool { return k.alg == 0 }

// Fingerprint identifies the bare key whatever it is called: a key must occur
// once in a policy, under all names and roles. A witness's key has the
// fingerprint of the same Ed25519 key in any other role.
func (k VerifierKey) Fingerprint() Digest {
	alg := k.alg
	if alg == Cosignature {
		alg = Ed25519
	}
	return SHA256(append([]byte{byte(alg)}, k.raw...))
}

// Public returns the bare public key: ed25519.PublicKey or *ecdsa.PublicKey.
func (k VerifierKey) Public() crypto.PublicKey {
	if k.alg == ECDSAP256 {
		return k.ec
	}
	return ed25519.PublicKey(k.raw)
}

// SPKI returns the DER SubjectPublicKeyInfo of a P-256 key, which log leaves
// carry, and nil for other keys.
func (k VerifierKey) SPKI() []byte {
	if k.alg != ECDSAP256 {
		return nil
	}
	return []byte(k.raw)
}

// ID returns the key id of C2SP signed-note: a hint of 32 bits that chooses nothing.
func (k VerifierKey) ID() uint32 {
	if k.alg == ECDSAP256 {
		sum := sha256.Sum256([]byte(k.raw))
		return binary.BigEndian.Uint32(sum[:])
	}
	sum := sha256.Sum256([]byte(k.name + "\n" + string(k.alg) + k.raw))
	return binary.BigEndian.Uint32(sum[:])
}

// String returns the C2SP verifier-key form.
func (k VerifierKey) String() string {
	if k.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s+%08x+%s", k.name, k.ID(), base64.StdEncoding.EncodeToString([]byte(string(k.alg)+k.raw)))
}

// MarshalText implements encoding.TextMarshaler.
func (k VerifierKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *VerifierKey) UnmarshalText(text []byte) error {
	parsed, err := ParseVerifierKey(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}

// WithTables returns k as one of the keys of tables. It and its copies give the
// same answers as k, sooner once many signatures under it were good. A witness's
// key, which signs no messages, is returned as it is.
func (k VerifierKey) WithTables(tables *keytable.Tables) VerifierKey {
	if plain := k.plain(); plain != nil {
		k.often = tables.Key(plain)
	}
	return k
}

// Verify returns nil if signature is k's over message, else [ErrBadSignature].
func (k VerifierKey) Verify(message, signature []byte) error {
	if k.verify(message, signature) {
		return nil
	}
	return fmt.Errorf("%w under the key of %q", ErrBadSignature, k.name)
}

func (k VerifierKey) verify(message, signature []byte) bool {
	if k.often != nil {
		return k.often.Verify(message, signature)
	}
	plain := k.plain()
	return plain != nil && plain.Verify(message, signature)
}

// table returns the table of an Ed25519 key that has one, else nil.
func (k VerifierKey) table() *edtable.Table {
	if k.often == nil {
		return nil
	}
	table, _ := k.often.Table().(*edtable.Table)
	return table
}

// plain returns k for the standard library to verify, and nil if it signs no messages.
func (k VerifierKey) plain() keytable.Plain {
	switch k.alg {
	case Ed25519:
		return edtable.Plain(k.raw)
	case ECDSAP256:
		return p256table.Plain{Public: k.ec}
	case Cosignature: // see VerifyCosignature
	}
	return nil
}

// SigningKey is a private key with the name it signs under.
type SigningKey struct {
	VerifierKey

	signer crypto.Signer
	check  VerifierKey // the same, with a table, for its own signatures
}

// NewSigningKey names a private key. The signer may sit in a file, an agent or
// a device; P-256 signers must be deterministic (RFC 6979) when they are given
// no randomness, as crypto/ecdsa is, so that signing again gives the same log leaf.
func NewSigningKey(name string, signer crypto.Signer) (SigningKey, error) {
	public, err := NewVerifierKey(name, signer.Public())
	if err != nil {
		return SigningKey{}, err
	}
	return SigningKey{VerifierKey: public, signer: signer, check: public.WithTables(new(keytable.Tables))}, nil
}

// Sign signs message and checks the signature before it returns it.
func (k SigningKey) Sign(message []byte) ([]byte, error) {
	if k.signer == nil {
		return nil, errors.New("signing without a key")
	}
	if k.alg == Cosignature {
		return nil, fmt.Errorf("signing as %q: a witness's key signs checkpoints only", k.name)
	}
	var signature []byte
	var err error
	if k.alg == ECDSAP256 {
		digest := sha256.Sum256(message)
		signature, err = k.signer.Sign(nil, digest[:], crypto.SHA256)
	} else {
		signature, err = k.signer.Sign(nil, message, crypto.Hash(0))
	}
	if err != nil {
		return nil, fmt.Errorf("signing as %q: %w", k.name, err)
	}
	if err := k.check.Verify(message, signature); err != nil {
		return nil, fmt.Errorf("checking own signature: %w", err)
	}
	return signature, nil
}

// checkKeyName follows C2SP signed-note, narrowed to printable ASCII: log keys
// are named by a host name, the others by a party's name.
func checkKeyName(name string) error {
	if err := checkText("key name", name); err != nil {
		return err
	}
	if strings.Contains(name, "+") {
		return malformed("key name %q holds a plus sign", clip(name))
	}
	return nil
}
