package cmd_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/internal/bus"
)

func TestThePublisherMayHaveAsManyReleasesOpenAsItsQuota(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{change: func(p *policy.Policy) { p.Publishers[0].Quota = 1 }})
	first := h.request(t, "1.0", nil)
	release := h.submit(t, first)
	second := h.request(t, "2.0", nil)
	_, err := h.publisher.Submit(t.Context(), h.Publisher.Name(), second)
	if bus.KindOf(err) != bus.KindDenied || !strings.Contains(err.Error(), "quota") {
		t.Fatalf("beyond the quota: %v, want denied", err)
	}
	if again := h.submit(t, first); again != release {
		t.Error("repeating a request counts against the quota")
	}
	h.voteAll(t, release, build(t, "1.0", ""))
	h.awaitState(t, release, coordinator.Signed)
	h.submit(t, second)
}

func TestDissentHoldsAReleaseUntilItsDeadlineAndNothingIsSigned(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{rebuilders: 4, threshold: 3, change: func(p *policy.Policy) {
		p.Suites[0].Deadline, p.Suites[0].Retries = 10, 0
	}})
	release := h.submit(t, h.request(t, "1.0", nil))
	h.publish(t, "rebuilder-4", h.statement(t, release, h.Rebuilders[3], build(t, "1.0", "different")))
	// The dissent is counted first: three that agree before it would decide.
	h.await(t, release, "reported on by the fourth", func(s *bus.ReleaseStatus) bool {
		return slices.ContainsFunc(s.Votes, func(v bus.VoteStatus) bool { return v.Rebuilder == "rebuilder-4" && v.View == "reported" })
	})
	b := build(t, "1.0", "")
	for _, key := range h.Rebuilders[:3] {
		h.publish(t, key.Name(), h.statement(t, release, key, b))
	}
	s := h.awaitState(t, release, coordinator.Held)
	if !strings.Contains(s.Reason, "more operators differ than the suite allows") {
		t.Errorf("reason %q does not tell of the dissent", s.Reason)
	}
	s = h.awaitState(t, release, coordinator.Expired)
	if !s.Final || h.device.made.Load() != 0 {
		t.Errorf("final %v, %d signatures made", s.Final, h.device.made.Load())
	}
	wantReason(t, s, "the deadline of 20", "passed before the release was decided; more operators differ than the suite allows; 4 of 4 operators have answered, 3 must agree")
}

// wantReason fails the test unless a release's reason begins and goes on as given.
func wantReason(t *testing.T, s *bus.ReleaseStatus, begins, says string) {
	t.Helper()
	if !strings.HasPrefix(s.Reason, begins) || !strings.Contains(s.Reason, says) {
		t.Errorf("%s: reason %q does not begin with %q and say %q", s.State, s.Reason, begins, says)
	}
}

func TestEveryEndSaysWhatHappened(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		change       func(*policy.Policy)
		reports      []attest.Outcome
		ends         coordinator.State
		begins, says string
	}{
		"nobody answers": {
			func(p *policy.Policy) { p.Suites[0].Deadline, p.Suites[0].Retries = 1, 1 }, nil, coordinator.Expired,
			"the deadline of 20", "0 of 3 operators have answered, 2 must agree; no answer from operator-1, operator-2, operator-3",
		},
		"machines break": {
			func(p *policy.Policy) { p.Suites[0].Retries = 1 },
			[]attest.Outcome{attest.InfraError, attest.FetchFailed},
			coordinator.Expired,
			"in this attempt too few operators can agree any more", "no answer from operator-3; operator-1, operator-2 had an error of their own",
		},
		"it builds nowhere": {
			nil,
			[]attest.Outcome{attest.BuildFailed, attest.BuildFailed},
			coordinator.Conflict,
			"at most 1 of 3 operators can agree, 2 needed", "operator-1, operator-2 failed to build",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, houseOptions{change: test.change})
			request := h.request(t, "1.0", nil)
			release := h.submit(t, request)
			for i, outcome := range test.reports {
				v := h.statement(t, release, h.Rebuilders[i], build(t, "1.0", ""), failed(outcome, source(t, request)))
				h.publish(t, h.Rebuilders[i].Name(), bus.Vote{Envelope: v.Envelope})
			}
			wantReason(t, h.awaitState(t, release, test.ends), test.begins, test.says)
		})
	}
}

func TestWithoutVotesEveryAttemptExpiresAndThenTheRequestIsOver(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{change: func(p *policy.Policy) { p.Suites[0].Deadline, p.Suites[0].Retries = 1, 1 }})
	r := h.request(t, "1.0", nil)
	first := h.submit(t, r)
	s := h.await(t, first, "superseded", func(s *bus.ReleaseStatus) bool { return s.Newest != first })
	second := h.await(t, s.Newest, "over", func(s *bus.ReleaseStatus) bool { return s.Final })
	if second.State != string(coordinator.Expired) || second.Attempt != 2 || second.Newest != second.Release {
		t.Errorf("got %+v, want the second attempt expired, and no third", second)
	}
	if again := h.submit(t, r); again != second.Release {
		t.Error("the resubmitted request is not answered with its newest release")
	}
}

func TestTheReleaseIsSignedAfterItsSettleTimeThoughOneNeverAnswers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{change: func(p *policy.Policy) { p.Suites[0].Settle = 1 }})
	release := h.submit(t, h.request(t, "1.0", nil))
	b := build(t, "1.0", "")
	for _, key := range h.Rebuilders[:2] {
		h.publish(t, key.Name(), h.statement(t, release, key, b))
	}
	h.awaitState(t, release, coordinator.Signed)
	late := h.statement(t, release, h.Rebuilders[2], b)
	h.deliver(t, message(t, "rebuilder-3", late))
	if _, counted, got := h.answers(t, "rebuilder-3", late.Envelope.Digest()); len(counted) != 0 || !slices.Equal(got, []attest.Digest{late.Envelope.Digest()}) {
		t.Errorf("a vote after the vote set closed: counted %v, late %v; want late", counted, got)
	}
}

func TestTheSameBytesInTwoReleasesHaveOneSignature(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	b := build(t, "1.0", "")
	first := h.submit(t, h.request(t, "1.0", nil))
	second := h.submit(t, h.request(t, "1.0+rebuild", nil))
	h.voteAll(t, first, b)
	h.voteAll(t, second, b) // at once: which is logged first is not ours to say
	one, two := h.awaitState(t, first, coordinator.Signed), h.awaitState(t, second, coordinator.Signed)
	for i := range one.Artifacts {
		if !bytes.Equal(one.Artifacts[i].Signatures[0].Signature, two.Artifacts[i].Signatures[0].Signature) {
			t.Errorf("%s has two signatures", one.Artifacts[i].Name)
		}
	}
	if made := h.device.made.Load(); made != int64(len(b.files)) {
		t.Errorf("the device made %d signatures of %d artifacts", made, len(b.files))
	}
	for _, release := range []attest.Digest{first, second} {
		reply, err := h.publisher.Status(t.Context(), bus.StatusRequest{Release: release, Evidence: true})
		if err != nil {
			t.Fatal(err)
		}
		h.verify(t, reply.Evidence, b)
	}
}

// verify checks a bundle offline, as anybody may, and the signatures of its files.
func (h *house) verify(t *testing.T, data []byte, b built) {
	t.Helper()
	bundle, err := evidence.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	report, err := evidence.Verify(bundle, evidence.Trust{Policy: h.pinned})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range b.artifacts {
		if err := report.Covers(a); err != nil {
			t.Error(err)
		}
	}
}

func TestTheLargestDebianSourceIsSignedEndToEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	names := make([]string, 521)
	for i := range names {
		names[i] = fmt.Sprintf("libreoffice-l10n-%03d_1.0_all.deb", i)
	}
	b := build(t, "1.0", "", names...)
	release := h.submit(t, h.request(t, "1.0", b.artifacts))
	h.voteAll(t, release, b)
	s := h.awaitState(t, release, coordinator.Signed)
	if len(s.Artifacts) != len(names) || h.device.made.Load() != int64(len(names)) {
		t.Fatalf("%d artifacts, %d signatures made; want %d", len(s.Artifacts), h.device.made.Load(), len(names))
	}
	last := s.Artifacts[len(names)-1]
	if _, err := openpgp.Verify(h.Certificate, last.Signatures[0].Signature, bytes.NewReader(b.files[len(names)-1])); err != nil {
		t.Error(err)
	}
}

func TestNothingShownBeforeTheDecisionHoldsADigestOfTheArtifacts(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	var mu sync.Mutex
	var shown [][]byte
	show := func(v any) {
		data, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		shown = append(shown, data)
	}
	background(t, func(ctx context.Context) error { return h.publisher.Events(ctx, func(e bus.Event) { show(e) }) })
	h.stopSigner() // so that the release stays between quorum and decision
	b := build(t, "1.0", "")
	release := h.submit(t, h.request(t, "1.0", nil))
	h.voteAll(t, release, b)
	h.await(t, release, "waiting for the signer", func(s *bus.ReleaseStatus) bool {
		show(s)
		return strings.Contains(s.Reason, "the signer has not decided")
	})
	view, err := h.reader.View(t.Context(), release)
	if err != nil {
		t.Fatal(err)
	}
	show(view)
	sets, err := h.reader.Sets(t.Context(), release)
	if err != nil {
		t.Fatal(err)
	}
	if len(sets) > 0 {
		t.Errorf("%d artifact lists are shown", len(sets))
	}
	if _, err := h.publisher.Status(t.Context(), bus.StatusRequest{Artifact: b.artifacts[0].SHA256}); bus.KindOf(err) != bus.KindNotFound {
		t.Errorf("looking for an undecided artifact: %v, want not found", err)
	}
	set, err := b.artifacts.SetDigest()
	if err != nil {
		t.Fatal(err)
	}
	secrets := [][]byte{set[:], b.artifacts[0].SHA256[:], b.artifacts[1].SHA512[:]}
	mu.Lock()
	for _, s := range secrets {
		for _, text := range shown {
			// A shortened digest would be enough to recognise it.
			if bytes.Contains(text, []byte(hex.EncodeToString(s)[:12])) {
				t.Errorf("shown before the decision: %s", text)
			}
		}
	}
	mu.Unlock()
	h.startSigner(t)
	s := h.awaitState(t, release, coordinator.Signed)
	if s.Votes[0].Set != set {
		t.Error("the decided set is not shown after the decision")
	}
}

func TestARequestThatThePolicyDoesNotAdmitIsDenied(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{change: func(p *policy.Policy) { p.Publishers[0].Sources = []string{"only-this"} }})
	_, err := h.publisher.Submit(t.Context(), h.Publisher.Name(), h.request(t, "1.0", nil))
	if bus.KindOf(err) != bus.KindDenied || !strings.Contains(err.Error(), evidencetest.Source) {
		t.Errorf("got %v, want denied, and the source's name", err)
	}
}
