package p256table

import (
	"math/big"
	"slices"

	"filippo.io/nistec"

	"github.com/reprosign/reprosign/attest/keytable"
)

// multiples holds, for one point P, each value that a digit can have at each
// place: [place][n-1] is [n · 2^(Width·place)]P. Negative ones are subtracted.
// That has 396 KiB.
type multiples [keytable.Places][keytable.Half]nistec.P256Point

func multiplesOf(p *nistec.P256Point) *multiples {
	m := new(multiples)
	one := nistec.NewP256Point().Set(p) // [2^(Width·place)]P
	for place := range m {
		row := &m[place]
		row[0].Set(one)
		for i := 1; i < len(row); i++ {
			row[i].Add(&row[i-1], one)
		}
		one.Double(&row[len(row)-1])
	}
	return m
}

// addMultiple adds [scalar]P to sum. The scalar is between 0 and 2^256-1. The
// addition is nistec's, which holds for all points: equal, opposite and infinite ones too.
func (m *multiples) addMultiple(sum *nistec.P256Point, scalar *big.Int) {
	var little [scalarSize]byte
	scalar.FillBytes(little[:])
	slices.Reverse(little[:])
	minus := nistec.NewP256Point()
	for place, digit := range keytable.Digits(&little) {
		switch {
		case digit > 0:
			sum.Add(sum, &m[place][digit-1])
		case digit < 0:
			sum.Add(sum, minus.Negate(&m[place][-digit-1]))
		}
	}
}
