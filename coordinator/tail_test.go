package coordinator

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// tailOf returns a tail of n entries with a body of a size each, and their leaves.
func tailOf(n, size int) (*tail, []tlog.Hash) {
	t := &tail{}
	leaves := make([]tlog.Hash, n)
	for i := range n {
		e := Entry{Leaf: fmt.Append(nil, "leaf ", i), Bodies: map[attest.Digest][]byte{{}: make([]byte, size)}}
		leaves[i] = translog.LeafHash(e.Leaf)
		t.add(e, &attest.Envelope{Payload: e.Leaf})
	}
	return t, leaves
}

func TestTailForgetsItsOldestEntriesAndStaysSmall(t *testing.T) {
	const size = bus.MaxLogBytes / 4
	entries, leaves := tailOf(1000, size)
	if n := entries.len(); n != tailBytes/size-1 || len(entries.entries) != int(n) || entries.bytes > tailBytes {
		t.Errorf("%d entries in order, %d kept, %d bytes", n, len(entries.entries), entries.bytes)
	}
	if got := entries.read(0, leaves[:1], bus.MaxLogBytes); got != nil {
		t.Errorf("the first of a thousand is still there: %v", got)
	}
	if got := entries.read(999, leaves[999:], bus.MaxLogBytes); len(got) != 1 {
		t.Error("the last one is not there")
	}
	entries.add(Entry{Leaf: []byte("larger than all"), Bodies: map[attest.Digest][]byte{{}: make([]byte, tailBytes)}}, nil)
	if entries.len() != 0 || entries.bytes != 0 {
		t.Errorf("%d entries of %d bytes beside one that is too large", entries.len(), entries.bytes)
	}
}

func TestTailIsReadInTheLogsOrderAndOnlyIfNoEntryIsMissing(t *testing.T) {
	entries, leaves := tailOf(3, 100)
	// As the log has them: in another order, with one of another replica behind.
	logged := []tlog.Hash{leaves[1], leaves[0], leaves[2], translog.LeafHash([]byte("another replica's"))}
	want := []translog.Entry{
		{Index: 7, Leaf: []byte("leaf 1"), Envelope: &attest.Envelope{Payload: []byte("leaf 1")}},
		{Index: 8, Leaf: []byte("leaf 0"), Envelope: &attest.Envelope{Payload: []byte("leaf 0")}},
	}
	if diff := cmp.Diff(want, entries.read(7, logged[:2], bus.MaxLogBytes)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if got := entries.read(7, logged, bus.MaxLogBytes); got != nil {
		t.Errorf("entries before one that is missing: %v", got)
	}
	for size, want := range map[int]int{0: 1, 106: 1, 211: 1, 212: 2, 317: 2} {
		if got := entries.read(7, logged, size); len(got) != want {
			t.Errorf("%d bytes: %d entries, want %d", size, len(got), want)
		}
	}
}
