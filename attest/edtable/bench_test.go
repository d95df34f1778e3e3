package edtable_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"testing"

	"github.com/reprosign/reprosign/attest/edtable"
)

// statementSize is about what a rebuild statement has.
const statementSize = 1200

// BenchmarkVerify verifies signatures of seven rebuilders in turn, as a
// coordinator does, so that the tables compete for the processor's caches.
func BenchmarkVerify(b *testing.B) {
	const rebuilders, signatures = 7, 7 * 100
	var keys [rebuilders]ed25519.PublicKey
	var tables [rebuilders]*edtable.Table
	var messages, signed [signatures][]byte
	for i := range signed {
		private := privateKey(byte(i % rebuilders))
		messages[i] = binary.BigEndian.AppendUint64(make([]byte, statementSize), uint64(i))
		signed[i] = ed25519.Sign(private, messages[i])
		keys[i%rebuilders] = private.Public().(ed25519.PublicKey)
	}
	for i, key := range keys {
		tables[i] = tableOf(b, key)
	}
	for name, verify := range map[string]func(i int) bool{
		"with=table":          func(i int) bool { return tables[i%rebuilders].Verify(messages[i], signed[i]) },
		"with=crypto/ed25519": func(i int) bool { return ed25519.Verify(keys[i%rebuilders], messages[i], signed[i]) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i = (i + 1) % signatures {
				if !verify(i) {
					b.Fatal("good signature refused")
				}
			}
		})
	}
}

func BenchmarkBuildTable(b *testing.B) {
	key := privateKey(1).Public().(ed25519.PublicKey)
	b.ReportAllocs()
	for b.Loop() {
		tableOf(b, key)
	}
}
