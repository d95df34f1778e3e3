package keytable_test

import (
	"math/big"
	"slices"
	"testing"

	"github.com/reprosign/reprosign/attest/keytable"
)

// edgeNumbers are those at which a digit, a carry or the last place could go wrong.
func edgeNumbers() (numbers []*big.Int) {
	one := big.NewInt(1)
	end := new(big.Int).Lsh(one, 256)
	all := []*big.Int{new(big.Int), new(big.Int).Sub(end, one)}
	halves := new(big.Int) // a carry out of every place
	for place := range keytable.Places {
		bit := uint(place * keytable.Width)
		for _, n := range []int64{1, keytable.Half - 1, keytable.Half, keytable.Half + 1, 2*keytable.Half - 1} {
			at := new(big.Int).Lsh(big.NewInt(n), bit)
			all = append(all, at, new(big.Int).Sub(at, one), new(big.Int).Add(at, one), new(big.Int).Sub(end, at))
		}
		halves.Add(halves, new(big.Int).Lsh(big.NewInt(keytable.Half), bit))
		all = append(all, new(big.Int).Set(halves), new(big.Int).Sub(halves, one))
	}
	for _, n := range all {
		if n.Sign() >= 0 && n.Cmp(end) < 0 {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func TestDigitsAddUpToTheNumberItself(t *testing.T) {
	t.Parallel()
	for _, n := range edgeNumbers() {
		var little [32]byte
		n.FillBytes(little[:])
		slices.Reverse(little[:])
		sum := new(big.Int)
		for place, digit := range keytable.Digits(&little) {
			if digit < -keytable.Half || digit >= keytable.Half {
				t.Errorf("%v has digit %d at place %d", n, digit, place)
			}
			sum.Add(sum, new(big.Int).Lsh(big.NewInt(int64(digit)), uint(place*keytable.Width)))
		}
		if sum.Cmp(n) != 0 {
			t.Errorf("digits of %v add up to %v", n, sum)
		}
	}
}
