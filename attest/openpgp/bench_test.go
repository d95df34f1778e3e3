package openpgp_test

import (
	"bytes"
	"testing"

	"github.com/reprosign/reprosign/attest/openpgp"
)

func BenchmarkSignState(b *testing.B) {
	for _, kind := range keyKinds {
		b.Run(kind.name, func(b *testing.B) {
			key := kind.key(b)
			c := certify(b, key)
			state, size, digest := stateOf(b, stream(1000))
			for b.Loop() {
				if _, err := openpgp.SignState(c, key, state, size, digest, fixedOptions); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, kind := range keyKinds {
		b.Run(kind.name, func(b *testing.B) {
			key := kind.key(b)
			c := certify(b, key)
			signature := sign(b, c, key, []byte("data"))
			for b.Loop() {
				if _, err := openpgp.Verify(c, signature, bytes.NewReader([]byte("data"))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
