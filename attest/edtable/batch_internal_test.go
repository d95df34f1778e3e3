package edtable

import (
	"crypto/ed25519"
	"slices"
	"testing"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// A fault of memory may put anything into a table. Then what it adds up need not be a
// point. Zeros add up to x = y = 0, which R = 0 would encode. And there are
// numbers that make Z zero, and with it the product of every Z.
func TestWhatIsNoPointIsRefusedAndTouchesNoOther(t *testing.T) {
	t.Parallel()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := private.Public().(ed25519.PublicKey)
	message := []byte("a vote")
	good := ed25519.Sign(private, message)
	sound, err := NewTable(public)
	if err != nil {
		t.Fatal(err)
	}
	s, err := new(edwards25519.Scalar).SetCanonicalBytes(good[32:])
	if err != nil {
		t.Fatal(err)
	}
	before := newSum() // the table's first number is added
	before.addMultiple(s, ofBase())
	var one, twoZbyT field.Element
	one.One()
	twoZbyT.Multiply(twoZbyT.Add(&before.z, &before.z), new(field.Element).Invert(&before.t))
	bad := append(make([]byte, 32), good[32:]...)

	for name, number := range map[string]summand{
		"zeros":       {},
		"any numbers": {one, twoZbyT, one},
		"Z zero":      {one, twoZbyT, twoZbyT},
		"all zero":    {twiceDXY: twoZbyT},
	} {
		faulty := &Table{public, new(multiples)}
		for place := range faulty.minusA {
			for i := range faulty.minusA[place] {
				faulty.minusA[place][i] = number
			}
		}
		for at := range 3 {
			var b Batch
			want := []bool{true, true, true}
			want[at] = false
			for i := range want {
				if i == at {
					b.Add(faulty, message, bad)
				} else {
					b.Add(sound, message, good)
				}
			}
			if got := b.Good(); !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
	}
}
