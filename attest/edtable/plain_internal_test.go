package edtable

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"github.com/reprosign/reprosign/attest/keytable"
)

// faulty is a key with a table that a fault of memory has changed.
type faulty struct{ Plain }

func (f faulty) Table() (keytable.Verifier, error) {
	table, err := NewTable(ed25519.PublicKey(f.Plain))
	if err != nil {
		return nil, err
	}
	for place := range table.minusA {
		table.minusA[place][0].yPlusX.One()
		table.minusA[place][keytable.Half/2].twiceDXY.Zero()
	}
	return table, nil
}

func TestATableThatWentWrongChangesNoAnswer(t *testing.T) {
	t.Parallel()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	public := Plain(private.Public().(ed25519.PublicKey))
	wrong, err := faulty{public}.Table()
	if err != nil {
		t.Fatal(err)
	}
	var tables keytable.Tables
	key := tables.Key(faulty{public})
	refused := 0
	for n := range 256 {
		message := []byte{byte(n)}
		signature := ed25519.Sign(private, message)
		if !wrong.Verify(message, signature) {
			refused++
		}
		if !key.Verify(message, signature) {
			t.Fatal("good signature refused")
		}
		if key.Verify([]byte("another"), signature) {
			t.Fatal("bad signature accepted")
		}
	}
	if refused == 0 {
		t.Error("the wrong table refuses nothing: the test shows nothing")
	}
}
