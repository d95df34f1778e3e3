package edtable

import (
	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"

	"github.com/reprosign/reprosign/attest/keytable"
)

// sum is a point to which others are added, in the extended coordinates of
// RFC 8032 §5.1.4: x = X/Z, y = Y/Z, xy = T/Z.
type sum struct{ x, y, z, t field.Element }

// newSum returns the neutral element.
func newSum() *sum {
	s := new(sum)
	s.y.One()
	s.z.One()
	return s
}

// addMultiple adds [scalar]P, by the multiples of P.
func (s *sum) addMultiple(scalar *edwards25519.Scalar, ofP *multiples) {
	digits := keytable.Digits((*[32]byte)(scalar.Bytes()))
	// Other work drives tables out of the processor's caches. Here they are read ahead,
	// many places at a time; an addition would wait for its own.
	var ofDigits [keytable.Places]summand
	for place, digit := range digits {
		switch {
		case digit > 0:
			ofDigits[place] = ofP[place][digit-1]
		case digit < 0:
			ofDigits[place] = ofP[place][-digit-1]
		}
	}
	for place, digit := range digits {
		if digit != 0 {
			s.add(&ofDigits[place], digit < 0)
		}
	}
}

// add adds a point or its negative. It is the addition of RFC 8032 §5.1.4, in its
// words, for a second point with Z = 1. It is complete: there are no points for
// which it does not hold. The negative has -x in place of x, which makes
// Y2+X2 and Y2-X2 change places, and F and G.
func (s *sum) add(p *summand, negative bool) {
	yPlusX, yMinusX := &p.yPlusX, &p.yMinusX
	var a, b, c, d, e, dMinusC, dPlusC, h field.Element
	f, g := &dMinusC, &dPlusC
	if negative {
		yPlusX, yMinusX = yMinusX, yPlusX
		f, g = g, f
	}
	a.Multiply(a.Subtract(&s.y, &s.x), yMinusX)
	b.Multiply(b.Add(&s.y, &s.x), yPlusX)
	c.Multiply(&s.t, &p.twiceDXY)
	d.Add(&s.z, &s.z)
	e.Subtract(&b, &a)
	dMinusC.Subtract(&d, &c)
	dPlusC.Add(&d, &c)
	h.Add(&b, &a)
	s.x.Multiply(&e, f)
	s.y.Multiply(g, &h)
	s.t.Multiply(&e, &h)
	s.z.Multiply(f, g)
}

// isPoint reports whether the sum is a point of the curve, and so has a Z that
// is not zero. If not, what was added was no point.
func (s *sum) isPoint() bool {
	_, err := new(edwards25519.Point).SetExtendedCoordinates(&s.x, &s.y, &s.z, &s.t)
	return err == nil && s.z.Equal(new(field.Element)) == 0
}

// encode returns the encoding of a point (RFC 8032 §5.1.2), given 1/Z.
func (s *sum) encode(inverse *field.Element) []byte {
	var x, y field.Element
	x.Multiply(&s.x, inverse)
	encoded := y.Multiply(&s.y, inverse).Bytes()
	encoded[31] |= byte(x.IsNegative()) << 7
	return encoded
}

// summand is a point as [sum.add] needs it.
type summand struct{ yPlusX, yMinusX, twiceDXY field.Element }

func (p *summand) set(x, y, twiceD *field.Element) {
	p.yPlusX.Add(y, x)
	p.yMinusX.Subtract(y, x)
	p.twiceDXY.Multiply(p.twiceDXY.Multiply(x, y), twiceD)
}

// twiceD returns 2d, where d = -121665/121666 makes the curve (RFC 8032 §5.1).
func twiceD() *field.Element {
	one := new(field.Element).One()
	numerator := new(field.Element).Mult32(one, 2*121665)
	denominator := new(field.Element).Mult32(one, 121666)
	return numerator.Multiply(numerator.Negate(numerator), denominator.Invert(denominator))
}
