package edtable_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"testing"

	"filippo.io/edwards25519"

	"github.com/reprosign/reprosign/attest/edtable"
)

// signed is a message and a signature that may be the key's over it, or not.
type signed struct {
	what               string
	table              *edtable.Table
	message, signature []byte
	want               bool // what crypto/ed25519 says
}

// together returns a batch's answers, which must be those of crypto/ed25519.
func together(tb testing.TB, all ...signed) []bool {
	tb.Helper()
	var batch edtable.Batch
	for _, s := range all {
		message, signature := bytes.Clone(s.message), bytes.Clone(s.signature)
		batch.Add(s.table, message, signature)
		clear(message) // the batch keeps neither
		clear(signature)
	}
	good := batch.Good()
	if len(good) != len(all) {
		tb.Fatalf("%d answers about %d signatures", len(good), len(all))
	}
	for i, s := range all {
		if good[i] != s.want {
			tb.Errorf("%s, signature %d of %d: batch says %v, crypto/ed25519 %v", s.what, i, len(all), good[i], s.want)
		}
	}
	return good
}

// allKinds returns good signatures of several keys, and bad ones of each kind.
func allKinds(tb testing.TB) (good, bad []signed) {
	tb.Helper()
	tables := map[string]*edtable.Table{}
	add := func(what string, public ed25519.PublicKey, message, signature []byte) {
		if tables[string(public)] == nil {
			tables[string(public)] = tableOf(tb, public)
		}
		s := signed{what, tables[string(public)], message, signature, ed25519.Verify(public, message, signature)}
		if s.want {
			good = append(good, s)
		} else {
			bad = append(bad, s)
		}
	}
	for seed := range byte(3) {
		private := privateKey(seed)
		public := private.Public().(ed25519.PublicKey)
		message := fmt.Append(nil, "vote of ", seed)
		signature := ed25519.Sign(private, message)
		r, s := signature[:32], signature[32:]
		add("good", public, message, signature)
		add("over another message", public, []byte("another"), signature)
		add("of another key", privateKey(seed+1).Public().(ed25519.PublicKey), message, signature)
		add("with another R", public, message, append(edwards25519.NewGeneratorPoint().Bytes(), s...))
		add("with -R", public, message, append(withSign(r), s...))
		add("with R = 0", public, message, append(make([]byte, 32), s...))
		add("with S = 0", public, message, append(bytes.Clone(r), make([]byte, 32)...))
		add("with S + L", public, message, append(bytes.Clone(r), plusOrder(s)...))
		add("without its end", public, message, signature[:63])
		add("with more behind it", public, message, append(bytes.Clone(signature), 0))
		add("empty", public, message, nil)
	}
	zero := new(edwards25519.Scalar)
	for i, small := range torsion() {
		for _, a := range []*edwards25519.Scalar{zero, scalar("a")} {
			public := new(edwards25519.Point).Add(small, new(edwards25519.Point).ScalarBaseMult(a)).Bytes()
			for _, r := range []*edwards25519.Scalar{zero, scalar("r")} {
				for spelling, encoded := range spellings(new(edwards25519.Point).ScalarBaseMult(r)) {
					for n := range 9 { // of a key with a part of order eight one in eight is good
						message := fmt.Append(nil, "message ", n)
						s := new(edwards25519.Scalar).MultiplyAdd(challenge(encoded, public, message), a, r)
						add(fmt.Sprintf("of a key with %d/8 of small order, with R in spelling %d", i, spelling),
							public, message, append(bytes.Clone(encoded), s.Bytes()...))
					}
				}
			}
		}
	}
	if len(good) < 50 || len(bad) < 50 {
		tb.Fatalf("%d good signatures and %d bad ones, want many of both", len(good), len(bad))
	}
	return good, bad
}

func TestABatchJudgesEachSignatureByItself(t *testing.T) {
	t.Parallel()
	good, bad := allKinds(t)
	if len(together(t)) != 0 {
		t.Error("answers about nothing")
	}
	for _, s := range append(good, bad...) { // of one
		together(t, s)
	}
	together(t, bad...)
	together(t, good...)
	for _, b := range bad { // at every place among good ones
		for at := range 4 {
			group := []signed{good[0], good[1], good[2], good[0]}
			group[at] = b
			together(t, group...)
		}
	}
	for _, g := range good { // and a good one among bad ones
		for at := range 3 {
			group := []signed{bad[0], bad[len(bad)/2], bad[len(bad)-1]}
			group[at] = g
			together(t, group...)
		}
	}
	mixed := append(good, bad...)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		together(t, mixed[:random.IntN(len(mixed))]...)
	}
}
