package edtable

import (
	"encoding/binary"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// A scalar is written with digits of width bits, each between -half and half-1.
//
// The wider the digits, the fewer points are to be added, but each bit more
// doubles the table nearly. Measured with eight keys in turn, on a machine with 512 KiB
// of second-level cache, where crypto/ed25519 takes 64 µs:
//
//	width   additions   table      build    verify
//	5       102          96 KiB    0.6 ms   25 µs
//	6        86         161 KiB    0.8 ms   24 µs
//	7        74         278 KiB    1.2 ms   21 µs
//	8        64         480 KiB    2.3 ms   22 µs
const (
	width  = 7
	half   = 1 << (width - 1)
	digits = scalarBits/width + 1 // one bit more than scalars have, for the sign

	scalarBits = 253 // scalars are below 2^252 + 2^125
)

// multiples holds, for one point P, each value that a digit can have at each
// place: [place][n-1] is [n · 2^(width·place)]P. Negative ones are subtracted.
type multiples [digits][half]summand

func multiplesOf(p *edwards25519.Point) *multiples {
	m := new(multiples)
	twiceD := twiceD()
	one := new(edwards25519.Point).Set(p) // [2^(width·place)]P
	var row [half]edwards25519.Point
	for place := range m {
		row[0].Set(one)
		for i := 1; i < half; i++ {
			row[i].Add(&row[i-1], one)
		}
		one.Add(&row[half-1], &row[half-1])
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
func invertZ(row *[half]edwards25519.Point) (inverses [half]field.Element) {
	product := new(field.Element).One()
	for i := range row {
		_, _, z, _ := row[i].ExtendedCoordinates()
		inverses[i].Set(product) // of those before it
		product.Multiply(product, z)
	}
	rest := product.Invert(product)
	for i := half - 1; i >= 0; i-- {
		_, _, z, _ := row[i].ExtendedCoordinates()
		inverses[i].Multiply(&inverses[i], rest)
		rest.Multiply(rest, z)
	}
	return inverses
}

// digitsOf writes a scalar as the sum of digit · 2^(width·place): exactly that
// number, not another one that is equal modulo the order of B.
func digitsOf(s *edwards25519.Scalar) (out [digits]int) {
	const padded = 32 + 8 // the last digit, too, is cut out of eight bytes
	var bytes [padded]byte
	copy(bytes[:], s.Bytes())
	carry := 0
	for place := range out {
		bit := place * width
		word := binary.LittleEndian.Uint64(bytes[bit/8:]) >> (bit % 8)
		digit := int(word%(2*half)) + carry
		carry = 0
		if digit >= half {
			digit -= 2 * half
			carry = 1
		}
		out[place] = digit
	}
	return out
}
