package p256table

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"filippo.io/nistec"

	"github.com/reprosign/reprosign/attest/keytable"
)

func TestSignaturesOfManyKeysAreGood(t *testing.T) {
	t.Parallel()
	for key := range 8 {
		private := privateKey(number(fmt.Sprint("key ", key)))
		table := tableOf(t, &private.PublicKey)
		for n := range 64 {
			message := bytes.Repeat([]byte{byte(key)}, n*n)
			digest := sha256.Sum256(message)
			signature := must(private.Sign(nil, digest[:], crypto.SHA256))
			if !table.Verify(message, signature) || !agrees(t, table, &private.PublicKey, digest[:], signature) {
				t.Fatalf("signature of key %d over %d bytes refused", key, len(message))
			}
		}
	}
}

func flipped(b []byte, i int) []byte {
	out := bytes.Clone(b)
	out[i/8] ^= 1 << (i % 8)
	return out
}

func TestNoBitMayChange(t *testing.T) {
	t.Parallel()
	private := privateKey(number("key"))
	digest := sha256.Sum256([]byte("a decision"))
	signature := must(private.Sign(nil, digest[:], crypto.SHA256))
	table := tableOf(t, &private.PublicKey)
	for i := range 8 * len(signature) {
		if agrees(t, table, &private.PublicKey, digest[:], flipped(signature, i)) {
			t.Errorf("signature accepted with bit %d changed", i)
		}
	}
	for i := range 8 * len(digest) {
		if agrees(t, table, &private.PublicKey, flipped(digest[:], i), signature) {
			t.Errorf("digest accepted with bit %d changed", i)
		}
	}
	encoded := must(private.PublicKey.Bytes())
	for i := range 8 * len(encoded) {
		if _, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), flipped(encoded, i)); err == nil {
			t.Errorf("another point after bit %d of the key changed", i)
		}
	}
	other := privateKey(number("another key"))
	if agrees(t, tableOf(t, &other.PublicKey), &other.PublicKey, digest[:], signature) {
		t.Error("signature accepted under another key")
	}
}

// A key that a table is refused for has no good signatures in crypto/ecdsa
// either, or is on another curve.
func TestKeysOffTheCurveHaveNoTable(t *testing.T) {
	t.Parallel()
	private := privateKey(number("key"))
	message := []byte("a decision")
	digest := sha256.Sum256(message)
	signature := must(private.Sign(nil, digest[:], crypto.SHA256))
	encoded := must(private.PublicKey.Bytes())
	x, y := new(big.Int).SetBytes(encoded[1:33]), new(big.Int).SetBytes(encoded[33:])
	p := elliptic.P256().Params().P
	for name, at := range map[string][2]*big.Int{
		"at infinity":   {new(big.Int), new(big.Int)},
		"beside it":     {x, new(big.Int).Add(y, big.NewInt(1))},
		"x not reduced": {new(big.Int).Add(x, p), y},
		"y negative":    {x, new(big.Int).Sub(y, p)},
	} {
		public := &ecdsa.PublicKey{Curve: elliptic.P256(), X: at[0], Y: at[1]} //nolint:staticcheck // no other way makes an invalid key
		if _, err := NewTable(public); err == nil {
			t.Errorf("%s: it has a table", name)
		}
		if (Plain{public}).Verify(message, signature) {
			t.Errorf("%s: signature accepted", name)
		}
	}
	other := must(ecdsa.ParseRawPrivateKey(elliptic.P384(), append(make([]byte, 47), 1)))
	if _, err := NewTable(&other.PublicKey); err == nil {
		t.Error("another curve: it has a table")
	}
}

func TestNumbersMustBeBetweenZeroAndTheOrder(t *testing.T) {
	t.Parallel()
	d, n := number("key"), order()
	private := privateKey(d)
	table := tableOf(t, &private.PublicKey)
	digest, r, s := signatureOf(d, number("u1"), number("u2"))
	if !agrees(t, table, &private.PublicKey, digest, der(r, s)) {
		t.Fatal("good signature refused")
	}
	one := big.NewInt(1)
	bad := []*big.Int{
		new(big.Int), one, new(big.Int).Sub(n, one), n, new(big.Int).Add(n, one), new(big.Int).Neg(one),
		new(big.Int).Lsh(one, 256), new(big.Int).Lsh(n, 8), new(big.Int).Lsh(one, 8*1000),
	}
	for _, v := range append(bad, new(big.Int).Add(n, r), new(big.Int).Sub(r, n), new(big.Int).Neg(r), new(big.Int).Sub(n, r)) {
		if agrees(t, table, &private.PublicKey, digest, der(v, s)) {
			t.Errorf("r = %v accepted", v)
		}
	}
	for _, v := range append(bad, new(big.Int).Add(n, s), new(big.Int).Sub(s, n), new(big.Int).Neg(s)) {
		if agrees(t, table, &private.PublicKey, digest, der(r, v)) {
			t.Errorf("s = %v accepted", v)
		}
	}
	// The sum's negative has the same x: FIPS 186-5 knows no lower half.
	if !agrees(t, table, &private.PublicKey, digest, der(r, new(big.Int).Sub(n, s))) {
		t.Error("n - s refused")
	}
	for _, r := range bad {
		for _, s := range bad {
			agrees(t, table, &private.PublicKey, digest, der(r, s))
		}
	}
}

func TestOnlyDERIsRead(t *testing.T) {
	t.Parallel()
	d := number("key")
	private := privateKey(d)
	table := tableOf(t, &private.PublicKey)
	digest, r, s := signatureOf(d, number("u1"), number("u3"))
	R, S := must(asn1.Marshal(r)), must(asn1.Marshal(s))
	tagged := func(tag byte, parts ...[]byte) []byte {
		content := slices.Concat(parts...)
		return append([]byte{tag, byte(len(content))}, content...)
	}
	padded := func(v []byte, with byte) []byte { return tagged(2, []byte{with}, v[2:]) }
	if !agrees(t, table, &private.PublicKey, digest, tagged(0x30, R, S)) {
		t.Fatal("good signature refused")
	}
	content := slices.Concat(R, S)
	for name, signature := range map[string][]byte{
		"nothing":                    {},
		"no numbers":                 tagged(0x30),
		"one number":                 tagged(0x30, R),
		"three numbers":              tagged(0x30, R, S, S),
		"bytes after":                append(tagged(0x30, R, S), 0),
		"bytes inside":               tagged(0x30, R, S, []byte{0}),
		"NULL inside":                tagged(0x30, R, S, []byte{5, 0}),
		"a set":                      tagged(0x31, R, S),
		"a primitive sequence":       tagged(0x10, R, S),
		"octet strings":              tagged(0x30, tagged(4, R[2:]), tagged(4, S[2:])),
		"r padded":                   tagged(0x30, padded(R, 0), S),
		"s padded":                   tagged(0x30, R, padded(S, 0)),
		"r padded twice":             tagged(0x30, padded(padded(R, 0), 0), S),
		"r negative":                 tagged(0x30, padded(R, 0xff), S),
		"r empty":                    tagged(0x30, []byte{2, 0}, S),
		"s empty":                    tagged(0x30, R, []byte{2, 0}),
		"long form of the sequence":  slices.Concat([]byte{0x30, 0x81, byte(len(content))}, content),
		"longer form":                slices.Concat([]byte{0x30, 0x82, 0, byte(len(content))}, content),
		"indefinite length":          slices.Concat([]byte{0x30, 0x80}, content, []byte{0, 0}),
		"long form of r":             tagged(0x30, slices.Concat([]byte{2, 0x81}, R[1:]), S),
		"long form of s":             tagged(0x30, R, slices.Concat([]byte{2, 0x81}, S[1:])),
		"multiple bytes of tag":      slices.Concat([]byte{0x3f, 0x10, byte(len(content))}, content),
		"fixed length, as in JOSE":   append(bytesOf(r), bytesOf(s)...),
		"sequence in the sequence":   tagged(0x30, tagged(0x30, R, S)),
		"shorter than it says":       tagged(0x30, R, S)[:len(content)+1],
		"longer than it says":        slices.Concat([]byte{0x30, byte(len(content) - 1)}, content),
		"s longer than the sequence": slices.Concat([]byte{0x30, byte(len(content))}, R, []byte{2, S[1] + 1}, S[2:]),
	} {
		if agrees(t, table, &private.PublicKey, digest, signature) {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A sum may meet the very point that is added, its negative or infinity on its
// way: additions that are not complete fail there.
func TestSumsThroughEqualAndOppositePointsAreRight(t *testing.T) {
	t.Parallel()
	d := number("key")
	private := privateKey(d)
	table := tableOf(t, &private.PublicKey)
	minusD := modulo(new(big.Int).Neg(d))
	for _, digit := range []int64{1, 2, keytable.Half - 1, keytable.Half, -1, -keytable.Half} {
		for place := uint(0); place < 252; place += 3 * keytable.Width {
			first := modulo(new(big.Int).Lsh(big.NewInt(digit), place))
			next := modulo(new(big.Int).Add(first, new(big.Int).Lsh(big.NewInt(5), place+keytable.Width)))
			for name, c := range map[string]struct {
				u1, u2 *big.Int
				want   bool
			}{
				"doubled at the end":      {product(first, d), first, true},
				"doubled at first":        {product(first, d), next, true},
				"doubled at last":         {product(modulo(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(5), place+keytable.Width), first)), d), next, true},
				"infinite in between":     {product(first, minusD), next, true},
				"infinite at the end":     {product(first, minusD), first, false},
				"infinite after both":     {product(next, minusD), next, false},
				"nothing to begin with":   {new(big.Int), next, true},
				"nothing to be added":     {next, new(big.Int), false},
				"nothing at all":          {new(big.Int), new(big.Int), false},
				"the greatest that is":    {next, new(big.Int).Sub(order(), big.NewInt(1)), true},
				"the greatest at first":   {new(big.Int).Sub(order(), big.NewInt(1)), next, true},
				"one point, opposed once": {modulo(new(big.Int).Neg(next)), next, true},
			} {
				digest, r, s := signatureOf(d, c.u1, c.u2)
				if got := agrees(t, table, &private.PublicKey, digest, der(r, s)); got != c.want {
					t.Errorf("digit %d at bit %d, %s: accepted is %v", digit, place, name, got)
				}
			}
		}
	}
}

// [e/s]G is infinite where the digest is zero, as it is modulo n where it is n.
func TestDigestsAreReduced(t *testing.T) {
	t.Parallel()
	d := number("key")
	private := privateKey(d)
	table := tableOf(t, &private.PublicKey)
	_, r, s := signatureOf(d, new(big.Int), number("u2"))
	for _, digest := range []*big.Int{new(big.Int), order()} {
		if !agrees(t, table, &private.PublicKey, bytesOf(digest), der(r, s)) {
			t.Errorf("digest %x refused", digest)
		}
	}
	small := big.NewInt(12345) // small enough to be spelt with n more
	u2 := quotient(number("r"), number("s"))
	digest, r, s := signatureWithDigest(d, small, u2)
	for _, same := range [][]byte{digest, bytesOf(new(big.Int).Add(small, order()))} {
		if !agrees(t, table, &private.PublicKey, same, der(r, s)) {
			t.Errorf("digest %x refused", same)
		}
	}
	if agrees(t, table, &private.PublicKey, bytes.Repeat([]byte{0xff}, scalarSize), der(r, s)) {
		t.Error("another digest accepted")
	}
}

// signatureWithDigest signs a digest as a signer does, with the nonce k.
func signatureWithDigest(d, e, k *big.Int) (digest []byte, r, s *big.Int) {
	r = modulo(new(big.Int).SetBytes(must(must(nistec.NewP256Point().ScalarBaseMult(bytesOf(k))).BytesX())))
	return bytesOf(e), r, quotient(new(big.Int).Add(e, product(r, d)), k)
}

// Some points have an x-coordinate from n to p-1. Nobody finds one by signing, but
// keys can be found under which they belong to a signature.
func TestCoordinatesAreReducedByTheOrder(t *testing.T) {
	t.Parallel()
	found := 0
	for x := new(big.Int).Set(order()); found < 4; x.Add(x, big.NewInt(1)) {
		point, err := nistec.NewP256Point().SetBytes(append([]byte{2}, bytesOf(x)...))
		r := modulo(x)
		if err != nil || r.Sign() == 0 {
			continue
		}
		found++
		// Q = [s/r]R - [e/r]G
		e, s := number("e"), number("s")
		q := must(nistec.NewP256Point().ScalarMult(point, bytesOf(quotient(s, r))))
		q.Add(q, must(nistec.NewP256Point().ScalarBaseMult(bytesOf(quotient(modulo(new(big.Int).Neg(e)), r)))))
		public := must(ecdsa.ParseUncompressedPublicKey(elliptic.P256(), q.Bytes()))
		table := tableOf(t, public)
		if !agrees(t, table, public, bytesOf(e), der(r, s)) {
			t.Errorf("x = %x refused as n less", x)
		}
		if agrees(t, table, public, bytesOf(e), der(x, s)) {
			t.Errorf("x = %x accepted as it is", x)
		}
	}
}

// The fuzzer chooses a key and the factors of both points, of which a signature is
// made, and what of it is changed then.
func FuzzAnswersAsCryptoECDSADoes(f *testing.F) {
	n := order()
	minusOne := bytesOf(new(big.Int).Sub(n, big.NewInt(1)))
	f.Add([]byte("key"), []byte("u1"), []byte("u2"), []byte{}, 0)
	f.Add([]byte("key"), []byte{}, []byte("u2"), []byte{}, 0)
	f.Add([]byte("key"), []byte("u1"), []byte{}, []byte{}, 0)
	f.Add([]byte{1}, []byte{1}, []byte{1}, []byte{}, 0)       // doubled
	f.Add([]byte{1}, minusOne, []byte{1}, []byte{}, 0)        // infinite
	f.Add([]byte{2}, minusOne, minusOne, []byte{}, 0)         // greatest factors
	f.Add([]byte("key"), []byte{64}, []byte{64}, []byte{}, 0) // a carry
	f.Add([]byte("key"), []byte("u1"), []byte("u2"), []byte{1}, 0)
	f.Add([]byte("key"), []byte("u1"), []byte("u2"), append(make([]byte, scalarSize+1), 1), 0)
	f.Add([]byte("key"), []byte("u1"), []byte("u2"), []byte{}, -1)
	f.Add([]byte("key"), []byte("u1"), []byte("u2"), []byte{}, 1)
	f.Fuzz(func(t *testing.T, key, u1, u2, change []byte, longer int) {
		d := modulo(new(big.Int).SetBytes(key))
		if d.Sign() == 0 {
			return
		}
		private := privateKey(d)
		digest, r, s := signatureOf(d, modulo(new(big.Int).SetBytes(u1)), modulo(new(big.Int).SetBytes(u2)))
		all := append(digest, der(r, s)...)
		switch {
		case longer > 0:
			all = append(all, make([]byte, longer%8)...)
		case longer < 0:
			all = all[:len(all)+longer%8]
		}
		for i := range min(len(change), len(all)) {
			all[i] ^= change[i]
		}
		agrees(t, tableOf(t, &private.PublicKey), &private.PublicKey, all[:scalarSize], all[scalarSize:])
	})
}
