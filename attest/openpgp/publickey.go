package openpgp

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // version 4 fingerprints are SHA-1 by definition (RFC 9580 §5.5.4.2)
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"time"
)

const version4 = 4

// fingerprint is the SHA-1 of a version 4 public key.
type fingerprint [sha1.Size]byte

// String returns 40 upper-case hexadecimal digits, as gpg prints them.
func (f fingerprint) String() string { return fmt.Sprintf("%X", f[:]) }

func (f fingerprint) keyID() []byte { return f[len(f)-8:] }

// publicKey is one component key of a certificate.
type publicKey struct {
	algorithm
	key         crypto.PublicKey // ed25519.PublicKey or *rsa.PublicKey
	created     uint32
	body        []byte // of the packet
	fingerprint fingerprint
}

// ed25519Curve is the length-prefixed object identifier 1.3.6.1.4.1.11591.15.1.
const ed25519Curve = "\x09\x2B\x06\x01\x04\x01\xDA\x47\x0F\x01"

// nativePoint marks an Ed25519 point in its own encoding.
const nativePoint = 0x40

// newPublicKey builds the packet body of a key. The creation time is part of
// the fingerprint: it is fixed once, at the ceremony.
func newPublicKey(key crypto.PublicKey, created uint32) (publicKey, error) {
	header := binary.BigEndian.AppendUint32([]byte{version4}, created)
	var id byte
	var material []byte
	switch k := key.(type) {
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return publicKey{}, malformed("Ed25519 key of %d bytes", len(k))
		}
		id = algorithmEd25519
		material = appendMPI([]byte(ed25519Curve), append([]byte{nativePoint}, k...))
	case *rsa.PublicKey:
		if k == nil || k.N == nil || k.N.BitLen() != RSABits || k.E != rsaExponent {
			return publicKey{}, malformed("RSA key is not of %d bits with exponent %d", RSABits, rsaExponent)
		}
		id = algorithmRSA
		material = appendMPI(appendMPI(nil, k.N.Bytes()), big.NewInt(rsaExponent).Bytes())
	default:
		return publicKey{}, malformed("key of type %T; only Ed25519 and RSA-%d keys make OpenPGP signatures", key, RSABits)
	}
	a, err := algorithmByID(id)
	if err != nil {
		return publicKey{}, err
	}
	p := publicKey{algorithm: a, key: key, created: created, body: append(append(header, id), material...)}
	p.fingerprint = sha1.Sum(p.hashPrefix()) //nolint:gosec // see the import
	return p, nil
}

// parsePublicKey accepts exactly the bodies that newPublicKey writes.
func parsePublicKey(body []byte) (publicKey, error) {
	const fixed = 6
	if len(body) < fixed || body[0] != version4 {
		return publicKey{}, malformed("public key is not of version 4")
	}
	material := body[fixed:]
	var key crypto.PublicKey
	switch id := body[5]; id {
	case algorithmEd25519:
		material, found := bytes.CutPrefix(material, []byte(ed25519Curve))
		point, _, err := readMPI(material)
		if !found || err != nil || len(point) != 1+ed25519.PublicKeySize || point[0] != nativePoint {
			return publicKey{}, malformed("key of algorithm 22 is not on the curve Ed25519")
		}
		key = ed25519.PublicKey(bytes.Clone(point[1:]))
	case algorithmRSA:
		modulus, rest, err := readMPI(material)
		if err != nil {
			return publicKey{}, err
		}
		exponent, _, err := readMPI(rest)
		if err != nil {
			return publicKey{}, err
		}
		if e := new(big.Int).SetBytes(exponent); !e.IsInt64() || e.Int64() != rsaExponent {
			return publicKey{}, malformed("RSA exponent is not %d", rsaExponent)
		}
		key = &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: rsaExponent}
	default:
		_, err := algorithmByID(id)
		return publicKey{}, err
	}
	p, err := newPublicKey(key, binary.BigEndian.Uint32(body[1:]))
	if err != nil {
		return publicKey{}, err
	}
	if !bytes.Equal(p.body, body) {
		return publicKey{}, malformed("public key is followed by other bytes")
	}
	return p, nil
}

// hashPrefix is how a key enters a hash (RFC 9580 §5.2.4).
func (p publicKey) hashPrefix() []byte {
	b := binary.BigEndian.AppendUint16([]byte{0x99}, uint16(len(p.body)))
	return append(b, p.body...)
}

// seconds converts a moment to the 32-bit count of OpenPGP, which ends in 2106.
func seconds(t time.Time) (uint32, error) {
	s := t.Unix()
	if s <= 0 || s > math.MaxUint32 || t.Nanosecond() != 0 {
		return 0, malformed("time %s is not a whole second between 1970 and 2106", t.UTC().Format(time.RFC3339Nano))
	}
	return uint32(s), nil
}

func moment(s uint32) time.Time { return time.Unix(int64(s), 0).UTC() }
