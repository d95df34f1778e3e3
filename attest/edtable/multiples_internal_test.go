package edtable

import (
	"bytes"
	"math/big"
	"slices"
	"testing"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"

	"github.com/reprosign/reprosign/attest/keytable"
)

// orderOfBase is L = 2^252 + 27742317777372353535851937790883648493.
func orderOfBase() *big.Int {
	tail, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	return tail.Add(tail, new(big.Int).Lsh(big.NewInt(1), 252))
}

// edgeScalars are those at which a digit, a carry or the last place could go wrong.
func edgeScalars(tb testing.TB) []*edwards25519.Scalar {
	tb.Helper()
	l := orderOfBase()
	one := big.NewInt(1)
	numbers := []*big.Int{new(big.Int), new(big.Int).Rsh(l, 1), new(big.Int).Sub(l, one)}
	allHalves := new(big.Int) // a carry out of every place
	for place := range keytable.Places {
		bit := uint(place * keytable.Width)
		for _, n := range []int64{1, keytable.Half - 1, keytable.Half, keytable.Half + 1, 2*keytable.Half - 1} {
			at := new(big.Int).Lsh(big.NewInt(n), bit)
			numbers = append(numbers, at, new(big.Int).Sub(at, one), new(big.Int).Add(at, one), new(big.Int).Sub(l, at))
		}
		allHalves.Add(allHalves, new(big.Int).Lsh(big.NewInt(keytable.Half), bit))
		numbers = append(numbers, new(big.Int).Set(allHalves), new(big.Int).Sub(allHalves, one))
	}
	var scalars []*edwards25519.Scalar
	for _, n := range numbers {
		if n.Sign() < 0 || n.Cmp(l) >= 0 {
			continue
		}
		little := n.FillBytes(make([]byte, 32))
		slices.Reverse(little)
		s, err := new(edwards25519.Scalar).SetCanonicalBytes(little)
		if err != nil {
			tb.Fatal(err)
		}
		scalars = append(scalars, s)
	}
	return scalars
}

func number(s *edwards25519.Scalar) *big.Int {
	b := s.Bytes()
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

// Of the base point, of one of order eight and of one of mixed order.
func TestMultiplesAddUpToTheProduct(t *testing.T) {
	t.Parallel()
	base := edwards25519.NewGeneratorPoint()
	eight, err := new(edwards25519.Point).SetBytes([]byte{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*edwards25519.Point{base, eight, new(edwards25519.Point).Add(base, eight)} {
		m := multiplesOf(p)
		for _, s := range edgeScalars(t) {
			sum := newSum()
			sum.addMultiple(s, m)
			got := sum.encode(new(field.Element).Invert(&sum.z))
			if want := new(edwards25519.Point).ScalarMult(s, p).Bytes(); !sum.isPoint() || !bytes.Equal(got, want) {
				t.Errorf("[%v]P is %x, want %x", number(s), got, want)
			}
		}
	}
}
