package translog_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

func FuzzLeafReadsBackOrIsRefused(f *testing.F) {
	leaf, err := translog.Leaf(statement(f, 1), statementKey(f, 1).VerifierKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(leaf)
	f.Add(bytes.Replace(leaf, []byte(`"0.0.2"`), []byte(`"0.0.1"`), 1))
	f.Add(bytes.Replace(leaf, []byte(`{"rawBytes"`), []byte(`{ "rawBytes"`), 1))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		body, signature, spki, err := translog.OpenLeaf(leaf)
		if err != nil {
			return
		}
		if again := translog.MakeLeaf(body, signature, spki); !bytes.Equal(again, leaf) {
			t.Errorf("%q reads back as %q", leaf, again)
		}
	})
}

// Whatever an opening key or a statement key signs, a follower either says what
// it means, in a form that its memory keeps, or halts for want of a body.
func FuzzEveryEntryIsAFactOrAMissingBody(f *testing.F) {
	w := history(f, rand.New(rand.NewPCG(1, 2)), 20)
	for _, e := range w.Log.Entries {
		if e.Envelope == nil {
			continue
		}
		var body []byte
		if len(e.Bodies) > 0 {
			body = e.Bodies[0].Payload
		}
		f.Add(e.Envelope.Payload, body, false)
	}
	follower, _ := follow(f, w)
	f.Fuzz(func(t *testing.T, payload, body []byte, signer bool) {
		key := w.Coordinator
		if signer {
			key = w.Signer
		}
		e, err := attest.Seal(attest.StatementType, payload, key)
		if err != nil {
			return
		}
		leaf, err := translog.Leaf(e, key.VerifierKey)
		if err != nil {
			t.Fatal(err)
		}
		entry := translog.Entry{Index: follower.Size(), Leaf: leaf, Envelope: e}
		if b, err := attest.Seal(attest.StatementType, body, w.Publisher); err == nil {
			entry.Bodies = []*attest.Envelope{b}
		}
		fact, err := follower.Read(entry)
		if err != nil {
			if !errors.Is(err, translog.ErrMissingBody) {
				t.Fatalf("halted for another reason: %v", err)
			}
			return
		}
		data, err := fact.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := translog.ParseFact(data)
		if err != nil {
			t.Fatal(err)
		}
		if again.Problem != "" {
			return
		}
		learner, _ := follow(t, w)
		if err := learner.Learn(again); err != nil {
			t.Fatal(err)
		}
		if learner.Root() == follower.Root() {
			t.Error("the tree did not grow")
		}
	})
}
