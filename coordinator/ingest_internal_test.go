package coordinator

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/internal/bus"
)

// Messages are checked by the handful, and a refused one must cost no other its place.
func TestAMessageIsCheckedAsIfItCameAlone(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t, evidencetest.Options{Rebuilders: 3, Artifacts: 1})
	r := w.Release(t, 1)
	message := func(rebuilder int, change func(*bus.Vote)) bus.Message {
		v := bus.Vote{Envelope: r.Votes[rebuilder], Artifacts: r.Artifacts, States: r.States}
		change(&v)
		data, err := bus.EncodeVote(v)
		if err != nil {
			t.Fatal(err)
		}
		name := w.Rebuilders[rebuilder].Name()
		return bus.Message{Subject: "vote." + name, Rebuilder: name, Data: data.Data()}
	}
	asItIs := func(*bus.Vote) {}
	onSubjectOf := func(m bus.Message, name string) bus.Message {
		m.Rebuilder = name
		return m
	}
	kinds := []struct {
		message bus.Message
		code    attest.RejectionCode // empty where it is good
	}{
		{message(0, asItIs), ""},
		{message(1, asItIs), ""},
		{message(2, asItIs), ""},
		{bus.Message{Rebuilder: w.Rebuilders[0].Name(), Data: []byte("noise")}, attest.RejectedMalformed},
		{onSubjectOf(message(0, asItIs), "nobody"), attest.RejectedUnknown},
		{onSubjectOf(message(0, asItIs), w.Rebuilders[1].Name()), attest.RejectedNotAllowed},
		{message(1, func(v *bus.Vote) { v.Envelope = changed(v.Envelope) }), attest.RejectedSignature},
		{message(1, func(v *bus.Vote) { v.Envelope = r.Opening }), attest.RejectedMalformed},
		{message(2, func(v *bus.Vote) { v.Artifacts = slices.Repeat(v.Artifacts, 2) }), attest.RejectedMalformed},
		{message(2, func(v *bus.Vote) { v.States = nil }), attest.RejectedInconsistent},
	}
	for _, vote := range slices.Repeat(r.Votes, 200) { // until all keys are verified by tables
		if _, err := attest.OpenRebuild(vote, w.Version.RebuilderKey); err != nil {
			t.Fatal(err)
		}
	}
	var messages []bus.Message
	var want []checked
	for n := range 10 * len(kinds) { // each time in other company
		k := kinds[(3*n+n/len(kinds))%len(kinds)]
		alone := check(w.Version, []bus.Message{k.message})[0]
		var why *refused
		if errors.As(alone.refusal, &why) != (k.code != "") || why != nil && why.code != k.code {
			t.Fatalf("refused with %v, want %q", alone.refusal, k.code)
		}
		messages, want = append(messages, k.message), append(want, alone)
	}
	got := checkAll(w.Version, messages)
	text := cmp.Transformer("text", func(e error) string { return fmt.Sprint(e) })
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(checked{}), text); diff != "" {
		t.Errorf("(-alone +together):\n%s", diff)
	}
}

// changed returns an envelope with one bit of its signature inverted.
func changed(e *attest.Envelope) *attest.Envelope {
	c := *e
	c.Signatures = []attest.Signature{{Sig: slices.Clone(e.Signatures[0].Sig)}}
	c.Signatures[0].Sig[0] ^= 1
	return &c
}
