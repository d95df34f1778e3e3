package cmd_test

import (
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// A question waits at the coordinator and is answered when the log grows; if
// nothing woke it, it would be answered with nothing.
func TestWhoFollowsTheLogHearsOfNewEntries(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	follower := translog.NewFollower(h.trust(t))
	agent := h.agents["rebuilder-1"]
	read := func(wait int) bus.LogReply {
		r, err := agent.ReadLog(t.Context(), bus.LogRequest{From: follower.Size(), WaitSeconds: wait})
		if err != nil && bus.KindOf(err) != bus.KindUnavailable { // the coordinator may still be starting
			t.Error(err)
		}
		if _, err := follower.Append(r.Entries); err != nil {
			t.Error(err)
		}
		return r
	}
	h.eventually(t, "policy in the log", func() bool { return len(read(0).Entries) > 0 })
	heard := make(chan bus.LogReply, 1)
	go func() { heard <- read(bus.MaxLogWait) }()
	release := h.submit(t, h.request(t, "1.0", nil))
	if r := <-heard; len(r.Entries) == 0 {
		t.Error("the question was not answered when the log grew")
	}
	opened, known := follower.Release(release)
	if !known || opened.Withdrawn || opened.Decision != nil {
		t.Errorf("opening %+v, known %t", opened, known)
	}
	r := read(0)
	c, err := translog.OpenCheckpoint(r.Checkpoint, h.Log.Key.VerifierKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := follower.Advance(c); err != nil {
		t.Error(err)
	}
	if _, err := agent.ReadLog(t.Context(), bus.LogRequest{From: attest.MaxAttempts << 20}); err != nil {
		t.Errorf("far behind the end: %v", err)
	}
}
