package p256table

import (
	"crypto"
	"crypto/sha256"
	"testing"

	"github.com/reprosign/reprosign/attest/keytable"
)

// faulty is a key with a table that a fault of memory has changed.
type faulty struct{ Plain }

func (f faulty) Table() (keytable.Verifier, error) {
	table, err := NewTable(f.Public)
	if err != nil {
		return nil, err
	}
	for place := range table.ofQ {
		table.ofQ[place][0].SetGenerator()
	}
	return table, nil
}

func TestATableThatWentWrongChangesNoAnswer(t *testing.T) {
	t.Parallel()
	private := privateKey(number("key"))
	public := Plain{&private.PublicKey}
	wrong := must(faulty{public}.Table())
	var tables keytable.Tables
	key := tables.Key(faulty{public})
	refused := 0
	for n := range 256 {
		message := []byte{byte(n)}
		digest := sha256.Sum256(message)
		signature := must(private.Sign(nil, digest[:], crypto.SHA256))
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
