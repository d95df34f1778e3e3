package edtable

import (
	"bytes"

	"filippo.io/edwards25519/field"
)

// Batch verifies signatures, by one key or by many, for less than [Table.Verify]
// takes for each. Its answers are those of [Table.Verify]: every signature is
// judged by itself, and only one step of the computation, which inverts a
// number, is done for all at once. The zero value is an empty batch.
type Batch struct{ claims []claim }

// claim is a signature's R and the sum that R must encode, nil where there is none.
type claim struct {
	r   [32]byte
	sum *sum
}

// Add takes the claim into the batch that a signature is one over message, by the
// key of a table. It keeps neither message nor signature.
func (b *Batch) Add(t *Table, message, signature []byte) {
	var c claim
	if sum, ok := t.sum(message, signature); ok {
		c = claim{[32]byte(signature), sum}
	}
	b.claims = append(b.claims, c)
}

// Good reports which claims hold, in the order in which they were added.
func (b *Batch) Good() []bool {
	at, z := make([]int, 0, len(b.claims)), make([]*field.Element, 0, len(b.claims))
	for i, c := range b.claims {
		if c.sum != nil {
			at, z = append(at, i), append(z, &c.sum.z)
		}
	}
	good := make([]bool, len(b.claims))
	for n, inverse := range invert(z) {
		c := &b.claims[at[n]]
		good[at[n]] = bytes.Equal(c.sum.encode(&inverse), c.r[:])
	}
	return good
}

// invert inverts numbers, none of which is zero, for the price of one inversion:
// the inverse of a product, times all its factors but one, is the inverse of that one.
func invert(numbers []*field.Element) []field.Element {
	inverses := make([]field.Element, len(numbers))
	product := new(field.Element).One()
	for i, number := range numbers {
		inverses[i].Set(product) // of those before it
		product.Multiply(product, number)
	}
	rest := product.Invert(product)
	for i := len(numbers) - 1; i >= 0; i-- {
		inverses[i].Multiply(&inverses[i], rest)
		rest.Multiply(rest, numbers[i])
	}
	return inverses
}
