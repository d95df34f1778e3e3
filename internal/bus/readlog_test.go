package bus_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// fakeLog is a coordinator whose log holds so many entries.
type fakeLog struct{ entries []translog.Entry }

func logOf(t *testing.T, n int64) fakeLog {
	t.Helper()
	var l fakeLog
	for i := range n {
		l.entries = append(l.entries, translog.Entry{
			Index: i, Leaf: fmt.Appendf(nil, "leaf %d", i), Envelope: envelope(t, fmt.Sprint("statement ", i)),
			Bodies: []*attest.Envelope{envelope(t, fmt.Sprint("body ", i))},
		})
	}
	return l
}

func (l fakeLog) ReadLog(_ context.Context, q bus.LogRequest) bus.LogReply {
	if q.From > int64(len(l.entries)) {
		return bus.LogReply{Error: bus.Errorf(bus.KindNotFound, "the log ends at %d", len(l.entries))}
	}
	return bus.LogReply{Checkpoint: []byte("note"), Entries: l.entries[q.From:]}
}

func TestSignersAndRebuildersReadTheLog(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	log := logOf(t, 3)
	for _, id := range []bus.Identity{one, two} {
		c := h.connect(t, id)
		run(t, func(ctx context.Context) error { return c.ServeLog(ctx, log) })
	}
	for _, id := range []bus.Identity{hsm, alpha, beta} {
		r := h.connect(t, id)
		got, err := available(t, func() (bus.LogReply, error) { return r.ReadLog(within(t), bus.LogRequest{From: 1}) })
		if err != nil {
			t.Fatalf("%v: %v", id, err)
		}
		if diff := cmp.Diff(bus.LogReply{Checkpoint: []byte("note"), Entries: log.entries[1:]}, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", id, diff)
		}
		got, err = r.ReadLog(within(t), bus.LogRequest{From: 3, WaitSeconds: bus.MaxLogWait})
		if err != nil || len(got.Entries) != 0 {
			t.Errorf("%v at the end of the log: %v, %v", id, got, err)
		}
		_, err = r.ReadLog(within(t), bus.LogRequest{From: 4})
		wantKind(t, err, bus.KindNotFound, "ends at 3")
	}
}

func TestQuestionsForTheLogAreBounded(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c, s := h.connect(t, one), h.connect(t, hsm)
	run(t, func(ctx context.Context) error { return c.ServeLog(ctx, logOf(t, 1)) })
	if _, err := available(t, func() (bus.LogReply, error) { return s.ReadLog(within(t), bus.LogRequest{}) }); err != nil {
		t.Fatal(err)
	}
	for _, q := range []bus.LogRequest{
		{From: -1},
		{From: translog.MaxTreeSize + 1},
		{WaitSeconds: -1},
		{WaitSeconds: bus.MaxLogWait + 1},
		{From: 1, Newest: true},
		{WaitSeconds: 1, Newest: true},
	} {
		_, err := s.ReadLog(within(t), q)
		wantKind(t, err, bus.KindInvalid)
	}
}

// waitingLog answers at once or not before released.
type waitingLog struct {
	waiting  chan struct{} // a question waits
	released chan struct{}
}

func (l waitingLog) ReadLog(ctx context.Context, q bus.LogRequest) bus.LogReply {
	if q.WaitSeconds > 0 {
		l.waiting <- struct{}{}
		select {
		case <-l.released:
		case <-ctx.Done():
		}
	}
	return bus.LogReply{Checkpoint: []byte("note")}
}

// One rebuilder could otherwise keep all signers from the log, and so from
// signing, with a few hundred small messages a minute.
func TestQuestionsOfOneRebuilderThatWaitKeepNoSignerWaiting(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c, s, a := h.connect(t, one), h.connect(t, hsm), h.connect(t, alpha)
	log := waitingLog{make(chan struct{}), make(chan struct{})}
	run(t, func(ctx context.Context) error { return c.ServeLog(ctx, log) })
	if _, err := available(t, func() (bus.LogReply, error) { return s.ReadLog(within(t), bus.LogRequest{}) }); err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, bus.MaxLogGuests+1)
	ask := func() {
		_, err := a.ReadLog(t.Context(), bus.LogRequest{WaitSeconds: bus.MaxLogWait})
		answers <- err
	}
	for range bus.MaxLogGuests {
		go ask()
		receive(t, log.waiting)
	}
	ask()
	wantKind(t, receive(t, answers), bus.KindUnavailable, "too many ask")
	if _, err := s.ReadLog(within(t), bus.LogRequest{}); err != nil {
		t.Errorf("signer: %v", err)
	}
	close(log.released)
	for range bus.MaxLogGuests {
		if err := receive(t, answers); err != nil {
			t.Errorf("a question that waited: %v", err)
		}
	}
}

func TestServicesAnswerOnlyThoseWhoMayAsk(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		asker bus.Role
		reply string
		want  bool
	}{
		{bus.RoleSigner, bus.Inbox(hsm) + ".x", true},
		{bus.RoleSigner, "_R_.Abc", true}, // of another account, rewritten by the server
		{bus.RoleSigner, bus.Inbox(one) + ".x", false},
		{bus.RoleSigner, "_INBOX_signers.x", false},
		{bus.RoleCoordinator, bus.Inbox(one) + ".x", true},
		{bus.RoleCoordinator, bus.Inbox(hsm) + ".x", false},
		{"", bus.Inbox(one) + ".x", true},
		{"", "vote.alpha", false},
		{bus.RoleSigner, "vote.alpha", false},
		{bus.RoleSigner, "$JS.API.STREAM.DELETE.VOTES", false},
		{bus.RoleSigner, "", false},
	} {
		if got := bus.Answerable(test.asker, test.reply); got != test.want {
			t.Errorf("asked by %q with reply subject %q: answered %t", test.asker, test.reply, got)
		}
	}
}
