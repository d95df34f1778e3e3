package evidencetest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/reprosign/reprosign/attest"
)

func seed(what string) []byte {
	sum := sha256.Sum256([]byte("evidencetest " + what))
	return sum[:]
}

// made holds what is made once, by what it is. It is a variable of the package
// because all worlds of a test binary have the same keys, and under the race
// detector a curve's arithmetic takes most of the time of a small world.
var made sync.Map

// once returns what make returned when it was first asked for; it is shared.
func once[T any](what string, make func() T) T {
	v, _ := made.LoadOrStore(what, sync.OnceValue(make))
	value, _ := v.(func() T) // nil, which panics, if a name stands for two types
	return value()
}

// Ed25519 returns the private key that follows from a word. It is shared: whoever
// wants to change it clones it.
func Ed25519(what string) ed25519.PrivateKey {
	return once("ed25519 "+what, func() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(seed(what)) })
}

// Ed25519Key returns a party's Ed25519 key: of an admin, a publisher, a
// rebuilder or, named by its origin, a log.
func Ed25519Key(tb testing.TB, role, name string) attest.SigningKey {
	tb.Helper()
	k, err := attest.NewSigningKey(name, Ed25519(role+" "+name))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// WitnessKey returns a witness's key.
func WitnessKey(tb testing.TB, name string) attest.SigningKey {
	tb.Helper()
	k, err := attest.NewCosigningKey(name, Ed25519("witness "+name))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// P256Key returns a party's ECDSA P-256 key: of a coordinator or a signer.
func P256Key(tb testing.TB, role, name string) attest.SigningKey {
	tb.Helper()
	private := once("p256 "+role+" "+name, func() *ecdsa.PrivateKey {
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed(role+" "+name))
		if err != nil {
			tb.Fatal(err)
		}
		return private
	})
	k, err := attest.NewSigningKey(name, private)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// NATSUser returns the public user nkey of a party whose seed nobody needs.
func NATSUser(what string) string {
	const user, polynomial = 20 << 3, 0x1021
	raw := append([]byte{user}, Ed25519("nats " + what)[32:]...)
	var crc uint16
	for _, b := range raw {
		crc ^= uint16(b) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			if crc <<= 1; carry {
				crc ^= polynomial
			}
		}
	}
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(binary.LittleEndian.AppendUint16(raw, crc))
}
