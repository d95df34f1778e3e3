package cmd_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/dashboard"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/rebuilder"
	"github.com/reprosign/reprosign/rebuilder/backend"
)

// spooled is a release that an agent has built before it starts.
type spooled struct {
	release attest.Digest
	task    bus.Task
	vote    bus.Vote
}

// spool puts a rebuilder's vote on a release into a spool, as an agent does
// after a build.
func (h *house) spool(t *testing.T, s *rebuilder.Spool, release attest.Digest, key attest.SigningKey, b built) spooled {
	t.Helper()
	r, err := h.writer.Release(t.Context(), release)
	if err != nil {
		t.Fatal(err)
	}
	out := spooled{release, bus.Task{Opening: r.Opening, Request: r.Body}, h.statement(t, release, key, b)}
	if err := s.Start(release, out.task); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(release, encoded(t, out.vote)); err != nil {
		t.Fatal(err)
	}
	return out
}

// startAgent starts an agent that has nothing left to build.
func (h *house) startAgent(t *testing.T, key attest.SigningKey, spool *rebuilder.Spool) {
	t.Helper()
	agent, err := rebuilder.New(rebuilder.Config{
		Name: key.Name(), Key: key, Trust: h.trust(t), Bus: h.agents[key.Name()], Spool: spool, Slots: 1, Patience: 200 * time.Millisecond,
		Backends: []backend.Backend{backend.Command(backend.Fetcher{}, nil)}, Log: logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, agent.Run)
}

// fetch gets something from a dashboard over the house's database.
func (h *house) fetch(t *testing.T, path string) string {
	t.Helper()
	board, err := dashboard.New(dashboard.Config{Reader: h.reader})
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	board.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("%s: status %d: %s", path, answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func (h *house) shown(t *testing.T, release attest.Digest) dashboard.Release {
	t.Helper()
	var shown dashboard.Release
	if err := json.Unmarshal([]byte(h.fetch(t, "/api/v1/releases/"+release.String())), &shown); err != nil {
		t.Fatal(err)
	}
	return shown
}

// body gets an envelope that the log names.
func (h *house) body(t *testing.T, url string) *attest.Envelope {
	t.Helper()
	e, err := attest.ParseEnvelope([]byte(h.fetch(t, url)))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// decision gets the decision about a release from the log.
func (h *house) decision(t *testing.T, release attest.Digest) *attest.Envelope {
	t.Helper()
	var entry dashboard.Entry
	if err := json.Unmarshal([]byte(h.fetch(t, fmt.Sprintf("/api/v1/log/%d", h.shown(t, release).Decision.Index))), &entry); err != nil {
		t.Fatal(err)
	}
	return h.body(t, fmt.Sprintf("/body/%v", entry.Statement))
}

// secretive is the store of a coordinator that keeps a statement from the signer.
type secretive struct {
	coordinator.Store

	omitted *atomic.Pointer[attest.Digest]
}

func (s secretive) Evaluate(ctx context.Context, limit int, lease time.Duration, judge func(coordinator.Case, attest.Time) coordinator.Transition) (int, []coordinator.Undecided, error) {
	n, closed, err := s.Store.Evaluate(ctx, limit, lease, judge)
	return n, s.less(closed), err
}

func (s secretive) ClaimUndecided(ctx context.Context, limit int, lease time.Duration) ([]coordinator.Undecided, error) {
	claimed, err := s.Store.ClaimUndecided(ctx, limit, lease)
	return s.less(claimed), err
}

func (s secretive) less(cases []coordinator.Undecided) []coordinator.Undecided {
	for i := range cases {
		cases[i].Votes = without(cases[i].Votes, s.omitted.Load())
	}
	return cases
}

// A coordinator counts a vote, says so, and does not show it to the signer.
func TestAVoteThatTheSignerIsNotToldOfIsComplainedAboutInPublic(t *testing.T) {
	t.Parallel()
	var secret atomic.Pointer[attest.Digest]
	h := newHouse(t, houseOptions{store: func(s coordinator.Store) coordinator.Store { return secretive{s, &secret} }})
	key := h.Rebuilders[2]
	fair, foul := build(t, "1.0", ""), build(t, "2.0", "")
	spool, err := rebuilder.OpenSpool(filepath.Join(t.TempDir(), "spool"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spool.Close() })
	honest := h.spool(t, spool, h.submit(t, h.request(t, "1.0", nil)), key, fair)
	cheated := h.spool(t, spool, h.submit(t, h.request(t, "2.0", nil)), key, foul)
	omitted := cheated.vote.Envelope.Digest()
	secret.Store(&omitted)

	h.startAgent(t, key, spool)
	h.awaitCounted(t, key.Name(), honest.vote)
	h.awaitCounted(t, key.Name(), cheated.vote)
	var others []bus.Message
	for _, other := range h.Rebuilders[:2] {
		others = append(others, message(t, other.Name(), h.statement(t, honest.release, other, fair)),
			message(t, other.Name(), h.statement(t, cheated.release, other, foul)))
	}
	h.deliver(t, others...)
	// Two votes are enough, so the release is signed all the same.
	h.awaitState(t, honest.release, coordinator.Signed)
	h.awaitState(t, cheated.release, coordinator.Signed)

	h.eventually(t, "complaint on the page", func() bool { return len(h.shown(t, cheated.release).Complaints) == 1 })
	c := h.shown(t, cheated.release).Complaints[0]
	if page := html.UnescapeString(h.fetch(t, "/releases/"+cheated.release.String())); !strings.Contains(page, c.Sentence) ||
		!strings.Contains(c.Sentence, "rebuilder-3 of operator-3 complains that this decision leaves out its vote") {
		t.Errorf("the page does not say %q", c.Sentence)
	}
	// What is served is enough for anybody to judge.
	justified, err := policy.Dispute{
		Policy: h.Version, Opening: cheated.task.Opening, Request: cheated.task.Request, Decision: h.decision(t, cheated.release),
		Complaint: h.body(t, c.Complaint), Receipt: h.body(t, c.Receipt), Statement: h.body(t, c.Statement),
	}.Judge()
	if err != nil || justified.Statement != omitted {
		t.Errorf("judged by what is public: %+v, %v", justified, err)
	}

	h.eventually(t, "the agent sees it in the log", func() bool { return len(spool.Unheard()) == 0 })
	if got := h.shown(t, honest.release).Complaints; len(got) != 0 {
		t.Errorf("complaints about an honest decision: %+v", got)
	}
}

func TestAComplaintThatIsNotJustifiedIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	b := build(t, "1.0", "")
	release := h.submit(t, h.request(t, "1.0", nil))
	key, other := h.Rebuilders[0], h.Rebuilders[1]
	votes := map[string]bus.Vote{}
	var batch []bus.Message
	for _, k := range h.Rebuilders {
		votes[k.Name()] = h.statement(t, release, k, b)
		batch = append(batch, message(t, k.Name(), votes[k.Name()]))
	}
	h.deliver(t, batch...)
	receipt, err := h.agents[key.Name()].AskReceipts(t.Context(), key.Name(), bus.ReceiptsRequest{Statements: []attest.Digest{votes[key.Name()].Envelope.Digest()}})
	if err != nil || len(receipt.Envelopes) != 1 {
		t.Fatalf("receipts %v, %v", receipt.Envelopes, err)
	}
	h.awaitState(t, release, coordinator.Signed)
	good := attest.Complaint{
		Rebuilder: key.Name(), Release: release, Decision: h.decision(t, release).Digest(), Statement: votes[key.Name()].Envelope.Digest(),
		Receipt: receipt.Envelopes[0].Digest(), Issued: attest.At(time.Now()),
	}
	for name, test := range map[string]struct {
		by     string // whose connection it comes on
		change func(c *attest.Complaint, q *bus.ComplainRequest)
		kind   bus.Kind
		want   string
	}{
		"the decision lists the vote": {key.Name(), func(*attest.Complaint, *bus.ComplainRequest) {}, bus.KindDenied, "the decision lists the statement"},
		"no proof":                    {key.Name(), func(_ *attest.Complaint, q *bus.ComplainRequest) { q.Receipt = nil }, bus.KindInvalid, "comes with the receipt"},
		"another's connection":        {other.Name(), func(*attest.Complaint, *bus.ComplainRequest) {}, bus.KindDenied, `on the connection of "rebuilder-2"`},
		"no such release": {
			key.Name(), func(c *attest.Complaint, _ *bus.ComplainRequest) { c.Release = attest.SHA256([]byte("x")) },
			bus.KindNotFound, "the log shows no decision",
		},
		"another statement": {
			key.Name(), func(_ *attest.Complaint, q *bus.ComplainRequest) { q.Statement = votes[other.Name()].Envelope },
			bus.KindDenied, "with it came",
		},
		"no complaint at all": {key.Name(), func(_ *attest.Complaint, q *bus.ComplainRequest) { q.Complaint = q.Receipt }, bus.KindInvalid, "parsing complaint"},
	} {
		c, q := good, bus.ComplainRequest{Receipt: receipt.Envelopes[0], Statement: votes[key.Name()].Envelope}
		test.change(&c, &q)
		if q.Complaint == nil {
			if q.Complaint, err = c.Seal(key); err != nil {
				t.Fatal(err)
			}
		}
		_, err := h.agents[test.by].Complain(t.Context(), test.by, q)
		if bus.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s with %q", name, err, test.kind, test.want)
		}
	}
	if got := h.shown(t, release).Complaints; len(got) != 0 {
		t.Errorf("complaints on the page: %+v", got)
	}
}
