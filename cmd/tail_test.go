package cmd_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/internal/bus"
)

// forgetful is a store that gives nobody an entry behind the pinned policy's.
type forgetful struct{ coordinator.Store }

func (s forgetful) LogEntries(ctx context.Context, from int64, limit, size int) ([]byte, []translog.Entry, error) {
	if from > 0 {
		return nil, nil, errors.New("these entries are in nobody's memory")
	}
	return s.Store.LogEntries(ctx, from, 1, size)
}

// The signer, too, has read these entries when it has signed.
func TestWhoKeepsUpWithTheLogIsGivenWhatTheDatabaseHoldsWithoutAskingIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{store: func(s coordinator.Store) coordinator.Store { return forgetful{s} }})
	release := h.submit(t, h.request(t, "1.0", nil))
	h.voteAll(t, release, build(t, "1.0", ""))
	h.awaitState(t, release, coordinator.Signed)
	const opening, statements = 1, 3 // opening, decision, signatures made
	var want []translog.Entry
	h.eventually(t, "all statements are published", func() bool {
		_, entries, err := h.writer.LogEntries(t.Context(), opening, bus.MaxLogEntries, bus.MaxLogBytes)
		want = entries
		return err == nil && len(entries) == statements
	})
	var got bus.LogReply
	h.eventually(t, "all are in memory, where they come once they are committed", func() bool {
		reply, err := h.agents["rebuilder-1"].ReadLog(t.Context(), bus.LogRequest{From: opening})
		got = reply
		return err == nil
	})
	anyOrder := cmpopts.SortSlices(func(a, b *attest.Envelope) bool { return a.Digest().String() < b.Digest().String() })
	if diff := cmp.Diff(want, got.Entries, anyOrder); diff != "" {
		t.Errorf("entries (-database +memory):\n%s", diff)
	}
}

func TestAnEntryInMemoryIsGivenToNobodyBeforeItIsWitnessed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{witnesses: 3})
	release := h.submit(t, h.request(t, "1.0", nil))
	h.awaitOpened(t, release)
	h.witnesses[1].away.Store(true)
	h.witnesses[2].away.Store(true)
	h.voteAll(t, release, build(t, "1.0", ""))
	h.awaitState(t, release, coordinator.Agreed)
	const decision = 2 // behind the policy and the opening
	h.eventually(t, "the decision is in the tree", func() bool {
		tree, published, err := h.writer.Committed(t.Context())
		return err == nil && tree.Size > decision && !published
	})
	reply, err := h.agents["rebuilder-1"].ReadLog(t.Context(), bus.LogRequest{From: decision})
	if err != nil {
		t.Fatal(err)
	}
	if len(reply.Entries) != 0 {
		t.Errorf("given before two witnesses saw it: %+v", reply.Entries)
	}
	h.witnesses[1].away.Store(false)
	h.awaitState(t, release, coordinator.Signed)
}
