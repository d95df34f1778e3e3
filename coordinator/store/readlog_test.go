package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

const unbounded = 1 << 30

func TestFollowersReadEntriesWithTheirEnvelopes(t *testing.T) {
	w := newWorld(t)
	if note, entries, err := w.writer.LogEntries(t.Context(), 0, 10, unbounded); note != nil || entries != nil || err != nil {
		t.Fatalf("before the first checkpoint: got %q, %v, %v", note, entries, err)
	}
	n := w.open("hello", "1", rules{invited: operators("a", "b", "c"), threshold: 2})
	if _, entries, err := w.writer.LogEntries(t.Context(), 0, 10, unbounded); len(entries) != 0 || err != nil {
		t.Fatalf("entries that no checkpoint covers: got %v, %v", entries, err)
	}
	w.publish()
	note, entries, err := w.writer.LogEntries(t.Context(), 0, 10, unbounded)
	must(t, err)
	if published, err := w.reader.Checkpoint(t.Context()); err != nil || string(note) != string(published) {
		t.Errorf("checkpoint: got %q, want %q, %v", note, published, err)
	}
	if len(entries) != 2 {
		t.Fatalf("got %d entries, want the policy's record and the opening", len(entries))
	}
	record, err := attest.ParseRecord(entries[0].Envelope.Payload)
	must(t, err)
	if diff := cmp.Diff([]attest.Digest{entries[0].Bodies[0].Digest()}, record.Bodies); diff != "" {
		t.Errorf("bodies of the record (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(translog.Entry{Index: 1, Leaf: n.Entry.Leaf, Envelope: n.Envelope}, entries[1]); diff != "" {
		t.Errorf("opening (-want +got):\n%s", diff)
	}
	if _, entries, err := w.writer.LogEntries(t.Context(), 2, 10, unbounded); len(entries) != 0 || err != nil {
		t.Errorf("behind the last entry: got %v, %v", entries, err)
	}
}

func TestFollowersReadNoMoreThanTheyAskFor(t *testing.T) {
	w := newWorld(t)
	for _, version := range []string{"1", "2", "3", "4"} {
		w.open("hello", version, rules{invited: operators("a", "b", "c"), threshold: 2})
	}
	w.publish()
	_, all, err := w.writer.LogEntries(t.Context(), 0, 10, unbounded)
	must(t, err)
	opening, err := all[1].Envelope.Encode()
	must(t, err)
	each := len(all[1].Leaf) + len(opening) // the openings differ by a few bytes of their signatures at most
	for name, test := range map[string]struct {
		from        int64
		limit, size int
		want        []int64
	}{
		"all":                       {0, 10, unbounded, []int64{0, 1, 2, 3, 4}},
		"two of them":               {1, 2, unbounded, []int64{1, 2}},
		"what two entries take":     {1, 10, 2*each + 50, []int64{1, 2}},
		"one, though it is larger":  {3, 10, 1, []int64{3}},
		"nothing beyond the newest": {9, 10, unbounded, nil},
	} {
		_, entries, err := w.writer.LogEntries(t.Context(), test.from, test.limit, test.size)
		must(t, err)
		var got []int64
		for _, e := range entries {
			got = append(got, e.Index)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
