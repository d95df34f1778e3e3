package anchor_test

import (
	"net/http/httptest"
	"testing"

	"github.com/reprosign/reprosign/coordinator/anchor"
)

func FuzzAnAnswerProvesTheEntryOrIsRefused(f *testing.F) {
	r := newRekor(f)
	r.fill(5)
	d := r.decision(1)
	index := r.log.Append(f, d.Decision, r.world.Signer.VerifierKey)
	r.fill(5)
	for _, i := range []int64{index, index - 1} {
		w := httptest.NewRecorder()
		r.answer(w, i)
		f.Add(w.Body.Bytes())
	}
	f.Add([]byte(`{"logIndex":"9223372036854775807","canonicalizedBody":null,"inclusionProof":{"hashes":[""]}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		proof, err := anchor.ProofOf(answer, d.Leaf)
		if err != nil {
			return
		}
		if _, err := proof.Verify(d.Leaf, r.log.Key.VerifierKey); err == nil && proof.Index != index {
			t.Errorf("entry %d was proven to be entry %d", index, proof.Index)
		}
	})
}
