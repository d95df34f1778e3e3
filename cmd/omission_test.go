package cmd_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/internal/bus"
)

func TestADecisionThatLeavesOutAVoteWhichTheSignerWasSentIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	release := h.submit(t, h.request(t, "1.0", nil))
	b := build(t, "1.0", "")
	var messages []bus.Message
	var votes []attest.Digest
	for _, key := range h.Rebuilders {
		v := h.statement(t, release, key, b)
		messages, votes = append(messages, message(t, key.Name(), v)), append(votes, v.Envelope.Digest())
	}
	h.tap.omits.Store(&votes[2])
	h.deliver(t, messages...)
	h.await(t, release, "refused", func(s *bus.ReleaseStatus) bool {
		return strings.Contains(s.Reason, "leaves out a statement of rebuilder-3")
	})
	h.tap.omits.Store(nil)
	h.awaitState(t, release, coordinator.Signed)
	d, err := attest.ParseDecision(h.decision(t, release).Payload)
	if err != nil {
		t.Fatal(err)
	}
	attest.SortDigests(votes)
	if !slices.Equal(d.Votes, votes) {
		t.Errorf("the decision lists %d statements, %d were made", len(d.Votes), len(votes))
	}
}

// A statement may count by its disposition, and for nothing by the policy.
func TestADecisionMayLeaveOutAStatementThatCountsForNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{rebuilders: 5, change: func(p *policy.Policy) {
		p.Suites[0].Settle = 1
	}})
	release := h.submit(t, h.request(t, "1.0", nil))
	b := build(t, "1.0", "")
	var messages []bus.Message
	for i, key := range h.Rebuilders {
		weaken := func(r *attest.Rebuild) {
			if i == 4 {
				r.Isolation = attest.IsolationNone
			}
		}
		messages = append(messages, message(t, key.Name(), h.statement(t, release, key, b, weaken)))
	}
	h.deliver(t, messages...)
	h.awaitState(t, release, coordinator.Signed)
	d, err := attest.ParseDecision(h.decision(t, release).Payload)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Votes) != 4 {
		t.Errorf("the decision lists %d statements, want the 4 that count", len(d.Votes))
	}
}
