package sequencer_test

import (
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator/sequencer"
)

// Readers believe the new key alone once they know its policy. If another
// replica published that policy's entry under the key before, they must not have
// to wait for the next entry.
func TestACheckpointOfTheKeyBeforeIsReplacedByOneOfTheNewKey(t *testing.T) {
	next := evidencetest.Ed25519Key(t, "the next log key of", evidencetest.Origin)
	w := newWatched(t, 0)
	witness := evidencetest.WitnessKey(t, "late.example.net")
	w.serve(t, witness, next)
	first := w.Policy
	first.Log.Operator = "log-operator"
	first.Witnesses = policy.Witnesses{Quorum: 1, Keys: []policy.Witness{{Key: witness.VerifierKey, Operator: "late"}}}
	pinned := w.Seal(t, first)
	var err error
	w.trust, err = policy.Pin(pinned)
	must(t, err)
	writer := openWriter(t, w.dsn)
	p := &policies{Store: writer, all: []*attest.Envelope{pinned}}
	q, err := sequencer.Open(sequencer.Config{
		Store: p, Key: w.Log.Key, Trust: w.trust, Witnesses: w.endpoints,
		KeyOf: func(attest.VerifierKey) (attest.SigningKey, error) { return next, nil },
	})
	must(t, err)
	add(t, connect(t, w.dsn), "the policy's entry among them", 3)
	must(t, q.Drain(t.Context()))
	second := first
	second.Serial, second.Previous, second.Log.Key = 2, pinned.Digest(), next.VerifierKey
	p.all = append(p.all, w.Seal(t, second))
	must(t, q.Drain(t.Context()))
	_, note, err := writer.Checkpoint(t.Context())
	must(t, err)
	if c, err := translog.OpenCheckpoint(note, next.VerifierKey); err != nil || c.Size != 3 {
		t.Errorf("newest checkpoint: %v, %v", c, err)
	}
}
