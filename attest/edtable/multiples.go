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
		inverses := invertZ(&row)
		for i := range row {
			x, y, _, _ := row[i].ExtendedCoordinates()
			x.Multiply(x, &inverses[i])
			y.Multiply(y, &inverses[i])
			m[place][i].set(x, y, twiceD)
		}
	}
	return m
}

// invertZ inverts the Z of all points of a row for the price of one inversion:
// the inverse of a product, times all its factors but one, is the inverse of that one.
func invertZ(row *[keytable.Half]edwards25519.Point) (inverses [keytable.Half]field.Element) {
	product := new(field.Element).One()
	for i := range row {
		_, _, z, _ := row[i].ExtendedCoordinates()
		inverses[i].Set(product) // of those before it
		product.Multiply(product, z)
	}
	rest := product.Invert(product)
	for i := keytable.Half - 1; i >= 0; i-- {
		_, _, z, _ := row[i].ExtendedCoordinates()
		inverses[i].Multiply(&inverses[i], rest)
		rest.Multiply(rest, z)
	}
	return inverses
}
