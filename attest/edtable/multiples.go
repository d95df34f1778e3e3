package edtable

import (
	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"

	"github.com/reprosign/reprosign/attest/keytable"
)

// multiples holds, for one point P, each value that a digit can have at each
// place: [place][n-1] is [n · 2^(Width·place)]P. Negative ones are subtracted.
type multiples [keytable.Places][keytable.Half]summand

func multiplesOf(p *edwards25519.Point) *multiples {
	m := new(multiples)
	twiceD := twiceD()
	one := new(edwards25519.Point).Set(p) // [2^(Width·place)]P
	var row [keytable.Half]edwards25519.Point
	for place := range m {
		row[0].Set(one)
		for i := 1; i < keytable.Half; i++ {
			row[i].Add(&row[i-1], one)
		}
		one.Add(&row[keytable.Half-1], &row[keytable.Half-1])
		var x, y, z [keytable.Half]*field.Element
		for i := range row {
			x[i], y[i], z[i], _ = row[i].ExtendedCoordinates()
		}
		for i, inverse := range invert(z[:]) {
			m[place][i].set(x[i].Multiply(x[i], &inverse), y[i].Multiply(y[i], &inverse), twiceD)
		}
	}
	return m
}
