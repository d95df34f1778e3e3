package attest

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"testing"

	"github.com/reprosign/reprosign/attest/keytable"
)

func TestOnlyEnvelopesOfKeysWithTablesAreFoundGoodTogether(t *testing.T) {
	t.Parallel()
	var tables keytable.Tables
	var signers []SigningKey
	for seed := range byte(3) {
		key, err := NewSigningKey(fmt.Sprint("key-", seed), ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, key)
	}
	first, second, fresh := signers[0].WithTables(&tables), signers[1].WithTables(&tables), signers[2].WithTables(&tables)
	envelope := func(n int, key SigningKey) *Envelope {
		e, err := Seal(StatementType, fmt.Append(nil, "payload ", n), key)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	for range 200 { // until they have tables
		for i, key := range []VerifierKey{first, second} {
			if err := envelope(i, signers[i]).Verify(key); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := verifyTogether(
		[]*Envelope{envelope(0, signers[0]), envelope(1, signers[2]), nil, envelope(3, signers[1]), envelope(4, signers[1]), envelope(5, signers[0])},
		[]VerifierKey{first, fresh, {}, second, first, first})
	if want := []bool{true, false, false, true, false, true}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
