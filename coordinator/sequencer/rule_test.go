package sequencer_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
)

// older is a store whose newest note is of another time.
type older struct {
	sequencer.Store

	note func([]byte) []byte
}

func (o older) Checkpoint(ctx context.Context) (coordinator.Tree, []byte, error) {
	tree, note, err := o.Store.Checkpoint(ctx)
	if err == nil {
		note = o.note(note)
	}
	return tree, note, err
}

func TestAnOldCheckpointIsCosignedAgainAndProofsKeepTheFirstTime(t *testing.T) {
	w := newWatched(t, 2)
	writer := openWriter(t, w.dsn)
	add(t, connect(t, w.dsn), "writer", 3)
	// The witnesses' clocks were behind when they cosigned it.
	for _, o := range w.servers {
		o.skew.Store(int64(-3 * time.Minute))
	}
	q := w.open(t, writer)
	must(t, q.Drain(t.Context()))
	_, first, err := writer.Checkpoint(t.Context())
	must(t, err)
	must(t, q.Drain(t.Context()))
	if _, again, err := writer.Checkpoint(t.Context()); err != nil || !bytes.Equal(first, again) {
		t.Fatalf("a young checkpoint was cosigned again: %v\n%s", err, again)
	}
	for _, o := range w.servers {
		o.skew.Store(0)
	}
	// As if an hour had gone by: nobody in the note is known any more.
	unread := w.open(t, older{writer, func(note []byte) []byte {
		text := note[: bytes.Index(note, []byte("\n\n"))+2 : len(note)]
		return append(bytes.Clone(text), logLine(note)...)
	}})
	must(t, unread.Drain(t.Context()))
	tree, renewed, err := writer.Checkpoint(t.Context())
	must(t, err)
	before, _, err := w.set.Time(first)
	must(t, err)
	after, _, err := w.set.Time(renewed)
	must(t, err)
	if tree.Size != 3 || after <= before {
		t.Errorf("size %d, seen at %v, before at %v", tree.Size, after, before)
	}
	proof, err := q.Proof(t.Context(), 1, w.trust.Newest())
	must(t, err)
	if !bytes.Equal(proof.Checkpoint, first) {
		t.Errorf("proof is under\n%swant\n%s", proof.Checkpoint, first)
	}
	// What everybody reads is the renewed one.
	r, err := store.OpenReader(t.Context(), w.dsn)
	must(t, err)
	defer r.Close()
	if note, err := r.Checkpoint(t.Context()); err != nil || !bytes.Equal(note, renewed) {
		t.Errorf("public is %v\n%s", err, note)
	}
}

// logLine returns the log's own signature line of a note.
func logLine(note []byte) []byte {
	lines := note[bytes.Index(note, []byte("\n\n"))+2:]
	return lines[:bytes.IndexByte(lines, '\n')+1]
}

// policies is a store that knows policies, as the coordinator would have stored them.
type policies struct {
	sequencer.Store

	all []*attest.Envelope // by serial
}

func (p *policies) Policies(_ context.Context, after uint64) ([]*attest.Envelope, error) {
	return p.all[min(int(after), len(p.all)):], nil
}

func TestANewPolicyChangesTheLogsKeyItsOriginAndItsWitnesses(t *testing.T) {
	for _, test := range []struct {
		name, origin string
		pinned       bool
	}{
		{"next key, same origin", evidencetest.Origin, false},
		{"next log", "log2.example.org", false},
		{"next log, pinned", "log2.example.org", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			pinned := test.pinned
			next := evidencetest.Ed25519Key(t, "the next log key of", test.origin)
			w := newWatched(t, 0)
			key := evidencetest.WitnessKey(t, "late.example.net")
			late := w.serve(t, key, next)
			writer := openWriter(t, w.dsn)
			p := &policies{Store: writer, all: []*attest.Envelope{w.Envelope}}
			q, err := sequencer.Open(sequencer.Config{
				Store: p, Key: w.Log.Key, Trust: w.trust, Witnesses: w.endpoints,
				KeyOf: func(want attest.VerifierKey) (attest.SigningKey, error) {
					if want.String() != next.String() {
						return attest.SigningKey{}, errFault
					}
					return next, nil
				},
			})
			must(t, err)
			c := connect(t, w.dsn)
			add(t, c, "before", 300)
			must(t, q.Drain(t.Context()))
			first := w.trust.Newest()

			second := w.Policy
			second.Serial, second.Previous = 2, first.Digest
			second.Log = policy.Log{Key: next.VerifierKey, Origin: test.origin, Operator: "log-operator"}
			second.Witnesses = policy.Witnesses{Quorum: 1, Keys: []policy.Witness{{Key: key.VerifierKey, Operator: "late"}}}
			p.all = append(p.all, w.Seal(t, second))
			add(t, c, "the entry of the policy", 1)
			if pinned {
				// A process that is started with the new policy, before anything came under a checkpoint of it.
				w.trust, err = policy.Pin(p.all[1])
				must(t, err)
				q, err = sequencer.Open(sequencer.Config{Store: p, Key: next, Trust: w.trust, Witnesses: w.endpoints})
				must(t, err)
			}
			drain(t, q)
			if serial := w.trust.Newest().Serial; serial != 2 {
				t.Fatalf("policy %d is in force", serial)
			}
			_, note, err := writer.Checkpoint(t.Context())
			must(t, err)
			if c, err := translog.OpenCheckpoint(note, next.VerifierKey); err != nil || c.Origin != test.origin || c.Size != 301 {
				t.Errorf("newest checkpoint: %v, %v", c, err)
			}
			if late.asked.Load() == 0 {
				t.Error("the witness of the new policy was never asked")
			}
			// Either policy's readers get a proof that they accept.
			for _, v := range []*policy.Version{first, w.trust.Newest()} {
				proof, err := q.Proof(t.Context(), 7, v)
				must(t, err)
				if _, err := proof.Verify([]byte("before 7"), v.Log.Key); err != nil {
					t.Errorf("policy %d: %v", v.Serial, err)
				}
			}
			// A process that starts now knows the new key alone.
			add(t, c, "after", 1)
			started, err := sequencer.Open(sequencer.Config{Store: writer, Key: next, Trust: w.trust, Witnesses: w.endpoints})
			must(t, err)
			drain(t, started)
		})
	}
}

func TestALogKeyThatThePolicyDoesNotNameSignsNothing(t *testing.T) {
	w := newWatched(t, 0)
	f := &faulty{Writer: openWriter(t, w.dsn)}
	f.publish = func(context.Context, coordinator.Tree, []byte) error {
		t.Error("a checkpoint was signed with it")
		return nil
	}
	q, err := sequencer.Open(sequencer.Config{Store: f, Key: logKey(t), Trust: w.trust})
	must(t, err)
	add(t, connect(t, w.dsn), "writer", 1)
	if err := q.Drain(t.Context()); err == nil || !strings.Contains(err.Error(), "another log key") {
		t.Errorf("drain: %v", err)
	}
}

func TestAddressesOfWitnessesAreChecked(t *testing.T) {
	for _, at := range []sequencer.Endpoint{
		{Name: "w", URL: ""},
		{Name: "w", URL: "witness.example.net"},
		{Name: "w", URL: "ftp://witness.example.net"},
		{Name: "w", URL: "https://user:secret@witness.example.net"},
		{Name: "w", URL: "https://w/?a=b"},
		{Name: "", URL: "https://w"},
	} {
		_, err := sequencer.Open(sequencer.Config{Key: logKey(t), Witnesses: []sequencer.Endpoint{at}})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v", at, err)
		}
	}
	twice := []sequencer.Endpoint{{Name: "w", URL: "https://a"}, {Name: "w", URL: "https://b"}}
	if _, err := sequencer.Open(sequencer.Config{Key: logKey(t), Witnesses: twice}); err == nil {
		t.Error("two addresses of one witness")
	}
}
