package p256table

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"
)

// statementSize is about what a decision has.
const statementSize = 1200

// BenchmarkVerify verifies signatures of a coordinator and a signer in turn.
func BenchmarkVerify(b *testing.B) {
	const parties, signatures = 2, 2 * 100
	var keys [parties]*ecdsa.PublicKey
	var tables [parties]*Table
	var messages, signed [signatures][]byte
	for i := range signed {
		private := privateKey(number(fmt.Sprint(i % parties)))
		messages[i] = binary.BigEndian.AppendUint64(make([]byte, statementSize), uint64(i))
		digest := sha256.Sum256(messages[i])
		signed[i] = must(private.Sign(nil, digest[:], crypto.SHA256))
		keys[i%parties] = &private.PublicKey
	}
	for i, key := range keys {
		tables[i] = tableOf(b, key)
	}
	for name, verify := range map[string]func(i int) bool{
		"with=table":        func(i int) bool { return tables[i%parties].Verify(messages[i], signed[i]) },
		"with=crypto/ecdsa": func(i int) bool { return Plain{keys[i%parties]}.Verify(messages[i], signed[i]) },
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
	key := &privateKey(number("key")).PublicKey
	b.ReportAllocs()
	for b.Loop() {
		tableOf(b, key)
	}
}
