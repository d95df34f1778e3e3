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
	for place, digit := range keytable.Digits((*[32]byte)(scalar.Bytes())) {
		switch {
		case digit > 0:
			p := &ofP[place][digit-1]
			s.add(&p.yPlusX, &p.yMinusX, &p.twiceDXY)
		case digit < 0: // -x in place of x
			p := &ofP[place][-digit-1]
			s.add(&p.yMinusX, &p.yPlusX, new(field.Element).Negate(&p.twiceDXY))
		}
	}
}

// add is the addition of RFC 8032 §5.1.4, in its words, for a second point with
// Z = 1. It is complete: there are no points for which it does not hold.
func (s *sum) add(yPlusX, yMinusX, twiceDXY *field.Element) {
	var a, b, c, d, e, f, g, h field.Element
	a.Multiply(a.Subtract(&s.y, &s.x), yMinusX)
	b.Multiply(b.Add(&s.y, &s.x), yPlusX)
	c.Multiply(&s.t, twiceDXY)
	d.Add(&s.z, &s.z)
	e.Subtract(&b, &a)
	f.Subtract(&d, &c)
	g.Add(&d, &c)
	h.Add(&b, &a)
	s.x.Multiply(&e, &f)
	s.y.Multiply(&g, &h)
	s.t.Multiply(&e, &h)
	s.z.Multiply(&f, &g)
}

// point returns the sum, or an error if it is not on the curve: then what was
// added was no point.
func (s *sum) point() (*edwards25519.Point, error) {
	return new(edwards25519.Point).SetExtendedCoordinates(&s.x, &s.y, &s.z, &s.t)
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
