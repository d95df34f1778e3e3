package p256table

import (
	"bytes"
	"math/big"
	"testing"

	"filippo.io/nistec"

	"github.com/reprosign/reprosign/attest/keytable"
)

// edgeScalars are those at which a digit, a carry or the last place could go wrong.
func edgeScalars() []*big.Int {
	n := order()
	one := big.NewInt(1)
	numbers := []*big.Int{new(big.Int), new(big.Int).Rsh(n, 1), new(big.Int).Sub(n, one)}
	halves := new(big.Int) // a carry out of every place
	for place := range keytable.Places {
		bit := uint(place * keytable.Width)
		for _, digit := range []int64{1, keytable.Half - 1, keytable.Half, keytable.Half + 1, 2*keytable.Half - 1} {
			at := new(big.Int).Lsh(big.NewInt(digit), bit)
			numbers = append(numbers, modulo(at), modulo(new(big.Int).Sub(at, one)), modulo(new(big.Int).Add(at, one)), modulo(new(big.Int).Sub(n, at)))
		}
		halves.Add(halves, new(big.Int).Lsh(big.NewInt(keytable.Half), bit))
		numbers = append(numbers, modulo(halves), modulo(new(big.Int).Sub(halves, one)))
	}
	return numbers
}

func TestMultiplesAddUpToTheProduct(t *testing.T) {
	t.Parallel()
	base := nistec.NewP256Point().SetGenerator()
	for _, p := range []*nistec.P256Point{base, must(nistec.NewP256Point().ScalarBaseMult(bytesOf(number("key"))))} {
		m := multiplesOf(p)
		for _, v := range edgeScalars() {
			got := nistec.NewP256Point()
			m.addMultiple(got, v)
			if want := must(nistec.NewP256Point().ScalarMult(p, bytesOf(v))); !bytes.Equal(got.Bytes(), want.Bytes()) {
				t.Errorf("[%v]P is %x, want %x", v, got.Bytes(), want.Bytes())
			}
		}
	}
}

// Each of them is signed with as well: the factor of the key, and that of the base point.
func TestFactorsAtTheEdgesOfDigitsAreJudgedAsByCryptoECDSA(t *testing.T) {
	t.Parallel()
	d := number("key")
	private := privateKey(d)
	table := tableOf(t, &private.PublicKey)
	for _, v := range edgeScalars() {
		for _, u := range [][2]*big.Int{{v, number("u2")}, {number("u1"), v}} {
			digest, r, s := signatureOf(d, u[0], u[1])
			if got, want := agrees(t, table, &private.PublicKey, digest, der(r, s)), u[1].Sign() != 0; got != want {
				t.Errorf("factors %v and %v: accepted is %v", u[0], u[1], got)
			}
		}
	}
}
