package cmd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/internal/box/boxtest"
	"github.com/reprosign/reprosign/internal/bus"
)

// badVote is a message of rebuilder-1 that must be rejected.
type badVote struct {
	name   string
	data   []byte
	about  attest.Digest // what the rejection names: the statement, or the message if there is none in it
	code   attest.RejectionCode
	reason string // a part of it
}

// badVotes returns every kind of bad input about a release.
func badVotes(t *testing.T, h *house, release attest.Digest, b built) []badVote {
	t.Helper()
	mine, other := h.Rebuilders[0], h.Rebuilders[1]
	var bad []badVote
	bytesOf := func(name, data string, reason string) {
		bad = append(bad, badVote{name, []byte(data), attest.SHA256([]byte(data)), attest.RejectedMalformed, reason})
	}
	vote := func(name string, code attest.RejectionCode, reason string, spoil func(v *bus.Vote), change ...func(*attest.Rebuild)) {
		// Each is a statement of its own, or the repetition would be what is tested.
		distinct := func(r *attest.Rebuild) { r.Started -= attest.Time(len(bad) + 2) }
		v := h.statement(t, release, mine, b, append(change, distinct)...)
		spoil(&v)
		encoded, err := bus.EncodeVote(v)
		if err != nil {
			t.Fatal(err)
		}
		bad = append(bad, badVote{name, encoded.Data(), v.Envelope.Digest(), code, reason})
	}
	encoded, err := bus.EncodeVote(h.statement(t, release, mine, b))
	if err != nil {
		t.Fatal(err)
	}
	good := string(encoded.Data())
	bytesOf("no JSON", "\x00\xff not JSON", "malformed")
	bytesOf("nothing", "", "malformed")
	bytesOf("null", "null", "no envelope")
	bytesOf("cut short", good[:len(good)/2], "malformed")
	bytesOf("more behind it", good+"{}", "malformed")
	bytesOf("unknown member", `{"x":1,`+good[1:], "malformed")
	bytesOf("repeated member", `{"states":[],`+good[1:], "malformed")
	bytesOf("oversized", strings.Repeat("x", bus.MaxVote+1), "at most")

	vote("unsigned", attest.RejectedMalformed, "0 signatures", func(v *bus.Vote) { v.Envelope.Signatures = nil })
	vote("two signatures", attest.RejectedMalformed, "exactly one signature", func(v *bus.Vote) {
		v.Envelope.Signatures = append(v.Envelope.Signatures, v.Envelope.Signatures[0])
	})
	vote("spoiled signature", attest.RejectedSignature, "signature", func(v *bus.Vote) { v.Envelope.Signatures[0].Sig[5] ^= 1 })
	vote("changed after signing", attest.RejectedSignature, "signature", func(v *bus.Vote) {
		v.Envelope.Payload = bytes.Replace(v.Envelope.Payload, []byte(`"isolation":"bwrap"`), []byte(`"isolation":"uid"`), 1)
	})
	vote("signed by another", attest.RejectedSignature, "signature", func(v *bus.Vote) {
		sig, err := other.Sign(v.Envelope.PAE())
		if err != nil {
			t.Fatal(err)
		}
		v.Envelope.Signatures[0].Sig = sig
	})
	vote("another's statement on my subject", attest.RejectedNotAllowed, "came on the subject", func(v *bus.Vote) {
		*v = h.statement(t, release, other, b, func(r *attest.Rebuild) { r.Started -= 1000 })
	})
	vote("a request instead of a rebuild", attest.RejectedMalformed, "parsing rebuild", func(v *bus.Vote) {
		v.Envelope = h.request(t, "9.9", nil).Request
	})
	vote("release nobody opened", attest.RejectedUnknown, "not known", func(*bus.Vote) {},
		func(r *attest.Rebuild) { r.Release = attest.SHA256([]byte("no such release")) })
	for _, name := range []string{"../../etc/passwd", "pool/hello.deb", `pool\hello.deb`, "a\x00b", "a\nb", "..", "", strings.Repeat("n", attest.MaxArtifactName+1)} {
		vote(fmt.Sprintf("artifact named %.20q", name), attest.RejectedMalformed, "artifact", func(v *bus.Vote) {
			v.Artifacts = slices.Clone(v.Artifacts)
			v.Artifacts[0].Name = name
		})
	}
	vote("too many artifacts", attest.RejectedMalformed, "1025 artifacts, at most 1024 allowed", func(v *bus.Vote) {
		v.Artifacts, v.States = nil, nil
		for i := range attest.MaxArtifacts + 1 {
			a := b.artifacts[0]
			a.Name = fmt.Sprintf("hello-%04d.deb", i)
			v.Artifacts, v.States = append(v.Artifacts, a), append(v.States, b.states[0])
		}
	})
	vote("no list", attest.RejectedMalformed, "artifact", func(v *bus.Vote) { v.Artifacts, v.States = nil, nil })
	vote("list of another build", attest.RejectedInconsistent, "not the one that the statement names", func(v *bus.Vote) {
		v.Artifacts = build(t, "1.0", "another").artifacts
	})
	vote("no states", attest.RejectedInconsistent, "state", func(v *bus.Vote) { v.States = nil })
	vote("state of another file", attest.RejectedInconsistent, "state", func(v *bus.Vote) {
		v.States = []attest.State{v.States[1], v.States[0]}
	})
	vote("report with a list", attest.RejectedInconsistent, "came with an artifact list", func(v *bus.Vote) {
		v.Artifacts, v.States = b.artifacts, b.states
	}, failed(attest.BuildFailed, attest.SHA256([]byte("source"))))
	return bad
}

func TestBadInputIsRejectedWithAReasonAndTouchesNothingElse(t *testing.T) {
	t.Parallel()
	postgres := boxtest.Postgres(t)
	if err := postgres.EnsureDatabase(t.Context(), "house"); err != nil {
		t.Fatal(err)
	}
	dsn := postgres.DSN("house", "postgres")
	if err := migrate(dsn); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, houseOptions{dsn: dsn})
	attacked, neighbour := build(t, "1.0", ""), build(t, "2.0", "")
	target := h.submit(t, h.request(t, "1.0", nil))
	release := h.submit(t, h.request(t, "2.0", nil))

	bad := badVotes(t, h, target, attacked)
	batch := make([]bus.Message, 0, len(bad)+6)
	for _, b := range bad {
		batch = append(batch, raw("rebuilder-1", b.data))
	}
	stranger := h.statement(t, target, evidencetest.Ed25519Key(t, "rebuilder", "stranger"), attacked)
	posing := h.statement(t, target, evidencetest.Ed25519Key(t, "rebuilder", "impostor"), attacked)
	batch = append(batch, message(t, "stranger", stranger), message(t, "rebuilder-2", posing))
	for _, key := range h.Rebuilders {
		v := h.statement(t, release, key, neighbour)
		batch = append(batch, message(t, key.Name(), v), message(t, key.Name(), v)) // replayed at once
	}
	h.deliver(t, batch...)

	h.awaitState(t, release, coordinator.Signed)
	if made := h.device.made.Load(); made != int64(len(neighbour.files)) {
		t.Errorf("the device made %d signatures for %d artifacts", made, len(neighbour.files))
	}
	asked := make([]attest.Digest, len(bad))
	for i, b := range bad {
		asked[i] = b.about
	}
	rejected, counted, late := h.answers(t, "rebuilder-1", asked...)
	if len(counted)+len(late) != 0 {
		t.Errorf("%d bad statements got a receipt", len(counted)+len(late))
	}
	for _, b := range bad {
		r, ok := rejected[b.about]
		switch {
		case !ok:
			t.Errorf("%s: no rejection", b.name)
		case r.Code != b.code || !strings.Contains(r.Reason, b.reason):
			t.Errorf("%s: rejected as %s: %q; want %s and %q", b.name, r.Code, r.Reason, b.code, b.reason)
		}
	}
	if r, _, _ := h.answers(t, "rebuilder-2", posing.Envelope.Digest()); r[posing.Envelope.Digest()].Code != attest.RejectedUnknown {
		t.Errorf("a name that the policy does not list: %+v", r)
	}
	letters, err := postgres.Query(t.Context(), "house", "SELECT subject || ' ' || code || ' ' || reason FROM reprosign.dead_letters")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(letters, "vote.stranger unknown ") || !strings.Contains(letters, "stranger") {
		t.Errorf("dead letters %q do not tell of the unknown rebuilder", letters)
	}
	// What was attacked is unharmed too.
	h.voteAll(t, target, attacked)
	h.awaitState(t, target, coordinator.Signed)
}

func TestARejectionIsPushedToItsRebuilder(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	got := make(chan *attest.Envelope, 8)
	agent := h.agents["rebuilder-1"]
	background(t, func(ctx context.Context) error {
		return agent.Receipts(ctx, "rebuilder-1", func(e *attest.Envelope) error { got <- e; return nil })
	})
	release := h.submit(t, h.request(t, "1.0", nil))
	b := build(t, "1.0", "")
	good := h.statement(t, release, h.Rebuilders[0], b)
	unknown := h.statement(t, attest.SHA256([]byte("no release")), h.Rebuilders[0], b)
	h.publish(t, "rebuilder-1", good)
	h.publish(t, "rebuilder-1", unknown)
	receipts, rejections := 0, 0
	for receipts == 0 || rejections == 0 {
		select {
		case e := <-got:
			if r, err := attest.OpenReceipt(e, h.Version.CoordinatorKey); err == nil && slices.Contains(r.Counted, good.Envelope.Digest()) {
				receipts++
			}
			if r, err := attest.OpenRejection(e, h.Version.CoordinatorKey); err == nil && r.Statement == unknown.Envelope.Digest() {
				rejections++
			}
		case <-time.After(patience):
			t.Fatalf("%d receipts and %d rejections were pushed", receipts, rejections)
		}
	}
}

func TestAStatementSentAgainIsCountedOnceAndAcknowledgedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	release := h.submit(t, h.request(t, "1.0", nil))
	v := h.statement(t, release, h.Rebuilders[0], build(t, "1.0", ""))
	for range 3 {
		h.publish(t, "rebuilder-1", v)
		h.awaitCounted(t, "rebuilder-1", v)
	}
	s := h.await(t, release, "reported", func(s *bus.ReleaseStatus) bool { return s.Votes[0].View == string(coordinator.Reported) })
	if s.State != string(coordinator.Building) {
		t.Errorf("one rebuilder's repetitions brought the release to %s", s.State)
	}
}

func TestAVoteAfterTheDeadlineIsRejectedAsLate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{change: func(p *policy.Policy) { p.Suites[0].Deadline, p.Suites[0].Retries = 1, 0 }})
	release := h.submit(t, h.request(t, "1.0", nil))
	s := h.awaitState(t, release, coordinator.Expired)
	if !s.Final || !strings.HasPrefix(s.Reason, "the deadline of 20") || !strings.Contains(s.Reason, "no answer from operator-1, ") {
		t.Errorf("final %v, reason %q", s.Final, s.Reason)
	}
	v := h.statement(t, release, h.Rebuilders[0], build(t, "1.0", ""))
	h.deliver(t, message(t, "rebuilder-1", v))
	rejected, _, _ := h.answers(t, "rebuilder-1", v.Envelope.Digest())
	if r := rejected[v.Envelope.Digest()]; r.Code != attest.RejectedLate || !strings.Contains(r.Reason, "deadline") {
		t.Errorf("got %+v, want a rejection as late", r)
	}
}

func TestARebuilderThatTalksWithoutEndIsRejectedInTheEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	r := h.request(t, "1.0", nil)
	release := h.submit(t, r)
	var last bus.Vote
	var batch []bus.Message
	for i := range 20 {
		last = h.statement(t, release, h.Rebuilders[0], built{artifacts: build(t, "1.0", "").artifacts},
			failed(attest.InfraError, source(t, r)), func(r *attest.Rebuild) { r.Started -= attest.Time(i) })
		batch = append(batch, message(t, "rebuilder-1", last))
	}
	h.deliver(t, batch...)
	rejected, _, _ := h.answers(t, "rebuilder-1", last.Envelope.Digest())
	if got := rejected[last.Envelope.Digest()]; got.Code != attest.RejectedNotAllowed || !strings.Contains(got.Reason, "too many") {
		t.Errorf("got %+v, want a rejection of one statement too many", got)
	}
}

// picky is a store that does not take one statement, for a reason of its own.
type picky struct {
	coordinator.Store

	refused *atomic.Pointer[attest.Digest]
}

func (s picky) Ingest(ctx context.Context, batch []coordinator.Incoming) ([]coordinator.Disposition, error) {
	for _, in := range batch {
		if refused := s.refused.Load(); refused != nil && in.Statement == *refused {
			return nil, errors.New("a byte that the database does not store")
		}
	}
	return s.Store.Ingest(ctx, batch)
}

func TestOneStatementTheStoreDoesNotTakeDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	var refused atomic.Pointer[attest.Digest]
	h := newHouse(t, houseOptions{store: func(s coordinator.Store) coordinator.Store { return picky{s, &refused} }})
	b, neighbour := build(t, "1.0", ""), build(t, "2.0", "")
	target, release := h.submit(t, h.request(t, "1.0", nil)), h.submit(t, h.request(t, "2.0", nil))
	poison := h.statement(t, target, h.Rebuilders[0], b)
	digest := poison.Envelope.Digest()
	refused.Store(&digest)
	batch := []bus.Message{message(t, "rebuilder-1", poison)}
	for _, key := range h.Rebuilders {
		batch = append(batch, message(t, key.Name(), h.statement(t, release, key, neighbour)))
	}
	h.deliver(t, batch...)
	h.awaitState(t, release, coordinator.Signed)
	// Neither receipt nor rejection: the agent keeps it and sends it again.
	if rejected, counted, late := h.answers(t, "rebuilder-1", digest); len(rejected)+len(counted)+len(late) != 0 {
		t.Errorf("answered with %v, %v, %v", rejected, counted, late)
	}
	refused.Store(nil)
	h.publish(t, "rebuilder-1", poison)
	h.awaitCounted(t, "rebuilder-1", poison)
}
