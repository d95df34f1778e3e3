package edtable_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"fmt"
	"testing"

	"filippo.io/edwards25519"

	"github.com/reprosign/reprosign/attest/edtable"
)

// answers returns the answer of a table, which must be that of crypto/ed25519.
// Bytes that make no table are no key: nothing is good under them.
func answers(tb testing.TB, public ed25519.PublicKey, message, signature []byte) bool {
	tb.Helper()
	want := ed25519.Verify(public, message, signature)
	table, err := edtable.NewTable(public)
	if got := err == nil && table.Verify(message, signature); got != want {
		tb.Fatalf("key %x (%v), message %x, signature %x: table says %v, crypto/ed25519 %v", public, err, message, signature, got, want)
	}
	return want
}

// agrees is answers for a table that is there already.
func agrees(tb testing.TB, table *edtable.Table, public ed25519.PublicKey, message, signature []byte) bool {
	tb.Helper()
	got, want := table.Verify(message, signature), ed25519.Verify(public, message, signature)
	if got != want {
		tb.Fatalf("key %x, message %x, signature %x: table says %v, crypto/ed25519 %v", public, message, signature, got, want)
	}
	return want
}

func TestSignaturesOfManyKeysAreGood(t *testing.T) {
	t.Parallel()
	for seed := range byte(16) {
		private := privateKey(seed)
		public := private.Public().(ed25519.PublicKey)
		table := tableOf(t, public)
		for n := range 64 {
			message := bytes.Repeat([]byte{seed}, n*n)
			if !agrees(t, table, public, message, ed25519.Sign(private, message)) {
				t.Fatalf("signature of key %d over %d bytes refused", seed, len(message))
			}
		}
	}
}

func TestNoBitMayChange(t *testing.T) {
	t.Parallel()
	private := privateKey(1)
	public := private.Public().(ed25519.PublicKey)
	message := []byte("a vote")
	signature := ed25519.Sign(private, message)
	table := tableOf(t, public)
	flipped := func(b []byte, i int) []byte {
		out := bytes.Clone(b)
		out[i/8] ^= 1 << (i % 8)
		return out
	}
	for i := range 8 * len(signature) {
		if agrees(t, table, public, message, flipped(signature, i)) {
			t.Errorf("signature accepted with bit %d changed", i)
		}
	}
	for i := range 8 * len(message) {
		if agrees(t, table, public, flipped(message, i), signature) {
			t.Errorf("message accepted with bit %d changed", i)
		}
	}
	for i := range 8 * len(public) {
		if answers(t, flipped(public, i), message, signature) {
			t.Errorf("key accepted with bit %d changed", i)
		}
	}
}

func TestOtherLengthsAreRefused(t *testing.T) {
	t.Parallel()
	private := privateKey(1)
	public := private.Public().(ed25519.PublicKey)
	table := tableOf(t, public)
	signature := append(ed25519.Sign(private, nil), make([]byte, 64)...)
	for n := range len(signature) {
		if agrees(t, table, public, nil, signature[:n]) != (n == ed25519.SignatureSize) {
			t.Errorf("signature of %d bytes", n)
		}
	}
	for n := range 2 * ed25519.PublicKeySize {
		if _, err := edtable.NewTable(make([]byte, n)); (err == nil) != (n == ed25519.PublicKeySize) {
			t.Errorf("key of %d bytes: %v", n, err)
		}
	}
}

// S + L leads to the same point as S, and S + L + L … would too, if they were
// not refused: nobody but the signer may make another signature of one.
func TestScalarsMustBeReduced(t *testing.T) {
	t.Parallel()
	private := privateKey(1)
	public := private.Public().(ed25519.PublicKey)
	table := tableOf(t, public)
	for n := range 32 {
		message := []byte{byte(n)}
		good := ed25519.Sign(private, message)
		r, s := good[:32], good[32:]
		for more := 1; s[31]&0xf0 != 0xf0; more++ {
			s = plusOrder(s)
			if agrees(t, table, public, message, append(bytes.Clone(r), s...)) {
				t.Errorf("S + %d·L accepted", more)
			}
		}
	}
	// [0]B and [L]B are the neutral element, with a key of small order and R = [0]B.
	neutral := edwards25519.NewIdentityPoint().Bytes()
	if !answers(t, neutral, nil, append(bytes.Clone(neutral), make([]byte, 32)...)) {
		t.Error("S = 0 refused")
	}
	if answers(t, neutral, nil, append(bytes.Clone(neutral), order[:]...)) {
		t.Error("S = L accepted")
	}
}

// Verifiers differ in what they make of keys and points that are not in the
// group of B, or not spelt canonically. By a's and r's, with every point of small
// order added to each, and in all spellings, signatures are made that hold
// up to the cofactor. crypto/ed25519 accepts those which hold without it and have a
// canonical R; the key's spelling is its owner's business.
func TestSmallAndMixedOrdersAreJudgedWithoutCofactor(t *testing.T) {
	t.Parallel()
	zero := new(edwards25519.Scalar)
	small := torsion()
	var accepted, refused int
	for i, smallA := range small {
		for _, a := range []*edwards25519.Scalar{zero, scalar("a")} {
			for _, public := range spellings(new(edwards25519.Point).Add(smallA, new(edwards25519.Point).ScalarBaseMult(a))) {
				table := tableOf(t, public)
				for j, smallR := range small {
					for _, r := range []*edwards25519.Scalar{zero, scalar("r")} {
						for spelling, encoded := range spellings(new(edwards25519.Point).Add(smallR, new(edwards25519.Point).ScalarBaseMult(r))) {
							for n := range 2 {
								message := fmt.Append(nil, "message ", n)
								k := challenge(encoded, public, message)
								s := new(edwards25519.Scalar).MultiplyAdd(k, a, r)
								// R = [S]B - [k]A, but for [j]T on the left and -[k·i]T on the right.
								want := spelling == 0 && (j+int(k.Bytes()[0])*i)%8 == 0
								if got := agrees(t, table, public, message, append(bytes.Clone(encoded), s.Bytes()...)); got != want {
									t.Errorf("key %x, R %x, %s: accepted is %v, want %v", public, encoded, message, got, want)
								}
								if agrees(t, table, public, message, append(bytes.Clone(encoded), plusOrder(s.Bytes())...)) {
									t.Errorf("key %x, R %x, %s: S + L accepted", public, encoded, message)
								}
								if want {
									accepted++
								} else {
									refused++
								}
							}
						}
					}
				}
			}
		}
	}
	if accepted < 50 || refused < 50 {
		t.Errorf("%d signatures accepted, %d refused: the test no longer tells verifiers apart", accepted, refused)
	}
}

// challenge is the k of a signature (RFC 8032 §5.1.7).
func challenge(r, public, message []byte) *edwards25519.Scalar {
	sum := sha512.Sum512(bytes.Join([][]byte{r, public, message}, nil))
	return must(new(edwards25519.Scalar).SetUniformBytes(sum[:]))
}

// All y from p to 2^255-1 are spelt 0 to 18 canonically. Some of them are not
// on the curve, some only with one sign.
func TestUnreducedCoordinatesAreJudgedAsByCryptoEd25519(t *testing.T) {
	t.Parallel()
	private := privateKey(1)
	public := private.Public().(ed25519.PublicKey)
	message := []byte("a vote")
	signature := ed25519.Sign(private, message)
	keys := 0
	for y := range byte(19) {
		reduced := append([]byte{y}, make([]byte, 31)...)
		for _, encoded := range [][]byte{reduced, withSign(reduced), unreduced(y), withSign(unreduced(y))} {
			if _, err := edtable.NewTable(encoded); err == nil {
				keys++
			}
			if answers(t, encoded, message, signature) {
				t.Errorf("signature accepted under key %x", encoded)
			}
			if answers(t, public, message, append(bytes.Clone(encoded), signature[32:]...)) {
				t.Errorf("signature accepted with R = %x", encoded)
			}
		}
	}
	if keys == 0 || keys == 4*19 {
		t.Errorf("%d of %d encodings on the curve, want some but not all", keys, 4*19)
	}
}

// The fuzzer chooses scalars, points of small order, spellings and a message, of
// which a signature is made as a signer would, and what of it is changed then.
func FuzzAnswersAsCryptoEd25519Does(f *testing.F) {
	f.Add("a", "r", uint8(0), uint8(0), []byte("good"), []byte{})
	f.Add("a", "r", uint8(1), uint8(7), []byte("mixed order"), []byte{})
	f.Add("", "", uint8(4), uint8(4), []byte("small order"), []byte{})
	f.Add("", "r", uint8(0x10), uint8(0), []byte("neutral key in another spelling"), []byte{})
	f.Add("a", "", uint8(0), uint8(0x10), []byte("neutral R in another spelling"), []byte{})
	f.Add("a", "r", uint8(0), uint8(0x80), []byte("S + L"), []byte{})
	f.Add("a", "r", uint8(0), uint8(0), []byte("another key"), []byte{1})
	f.Add("a", "r", uint8(0), uint8(0), []byte("another S"), append(make([]byte, 95), 0x80))
	small := torsion()
	f.Fuzz(func(t *testing.T, a, r string, ofA, ofR uint8, message, change []byte) {
		secret, public := chosen(a, small[ofA%8], ofA>>4)
		nonce, encoded := chosen(r, small[ofR%8], ofR>>4)
		s := new(edwards25519.Scalar).MultiplyAdd(challenge(encoded, public, message), secret, nonce).Bytes()
		if ofR&0x80 != 0 {
			s = plusOrder(s)
		}
		all := bytes.Join([][]byte{public, encoded, s}, nil)
		for i := range min(len(change), len(all)) {
			all[i] ^= change[i]
		}
		answers(t, all[:32], message, all[32:])
	})
}

// chosen returns a scalar and a spelling of the point that belongs to it, but
// for one of small order. No text stands for zero.
func chosen(text string, small *edwards25519.Point, spelling uint8) (*edwards25519.Scalar, []byte) {
	s := new(edwards25519.Scalar)
	if text != "" {
		s = scalar(text)
	}
	all := spellings(new(edwards25519.Point).Add(small, new(edwards25519.Point).ScalarBaseMult(s)))
	return s, all[int(spelling)%len(all)]
}
