package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/internal/bus"
)

// request returns a release request for a version, with a claim if set is not nil.
func (h *house) request(t *testing.T, version string, claimed attest.Artifacts) bus.SubmitRequest {
	t.Helper()
	r := attest.Request{
		Publisher: h.Publisher.Name(), Suite: evidencetest.Suite, Source: evidencetest.Source, Version: version,
		Architecture: evidencetest.Architecture, Recipe: attest.Recipe{
			Backend: "command", Parameters: map[string]string{"executable": "build"},
			Sources: []attest.Source{{Name: "hello.tar.xz", SHA256: attest.SHA256([]byte("source " + version)), Size: 6}},
		},
	}
	out := bus.SubmitRequest{}
	if claimed != nil {
		set, err := claimed.SetDigest()
		if err != nil {
			t.Fatal(err)
		}
		out.Claim = &attest.Claim{Salt: attest.SHA256([]byte("salt of " + version)), Set: set}
		r.Claim = out.Claim.Digest()
	}
	var err error
	if out.Request, err = r.Seal(h.Publisher); err != nil {
		t.Fatal(err)
	}
	return out
}

// submit submits a request and returns its release.
func (h *house) submit(t *testing.T, r bus.SubmitRequest) attest.Digest {
	t.Helper()
	var reply bus.SubmitReply
	h.eventually(t, "submitted", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), answerPatience)
		defer cancel()
		var err error
		reply, err = h.publisher.Submit(ctx, h.Publisher.Name(), r)
		if err != nil && bus.KindOf(err) != bus.KindUnavailable { // somebody is being restarted
			t.Fatalf("submitting: %v", err)
		}
		return err == nil
	})
	return reply.Release
}

// built is what a build gave: files, their list and their states.
type built struct {
	files     [][]byte
	artifacts attest.Artifacts
	states    []attest.State
}

// build makes up files for a version; another salt gives other files under the same names.
func build(t *testing.T, version, salt string, names ...string) built {
	t.Helper()
	if len(names) == 0 {
		names = []string{"hello-doc_" + version + "_all.deb", "hello_" + version + "_amd64.deb"}
	}
	slices.Sort(names)
	var b built
	for _, name := range names {
		file := bytes.Repeat(fmt.Appendf(nil, "%s %s %s\n", name, version, salt), 20)
		a, state, err := attest.HashArtifact(bytes.NewReader(file), name, "deb")
		if err != nil {
			t.Fatal(err)
		}
		b.files, b.artifacts, b.states = append(b.files, file), append(b.artifacts, a), append(b.states, state)
	}
	return b
}

// statement seals a rebuild statement; change may spoil it first.
func (h *house) statement(t *testing.T, release attest.Digest, key attest.SigningKey, b built, change ...func(*attest.Rebuild)) bus.Vote {
	t.Helper()
	set, err := b.artifacts.SetDigest()
	if err != nil {
		t.Fatal(err)
	}
	now := attest.At(time.Now())
	r := attest.Rebuild{
		Release: release, Rebuilder: key.Name(), Outcome: attest.Built, Set: set, Isolation: attest.IsolationBwrap,
		Started: now - 1, Finished: now,
	}
	for _, f := range change {
		f(&r)
	}
	e, err := r.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	v := bus.Vote{Envelope: e}
	if r.Outcome == attest.Built {
		v.Artifacts, v.States = b.artifacts, b.states
	}
	return v
}

// failed makes a statement a report of an outcome other than built.
func failed(outcome attest.Outcome, source attest.Digest) func(*attest.Rebuild) {
	return func(r *attest.Rebuild) { r.Outcome, r.Set, r.Source = outcome, attest.Digest{}, source }
}

func encoded(t *testing.T, v bus.Vote) bus.EncodedVote {
	t.Helper()
	e, err := bus.EncodeVote(v)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (h *house) publish(t *testing.T, rebuilder string, v bus.Vote) {
	t.Helper()
	h.send(t, rebuilder, encoded(t, v))
}

func (h *house) send(t *testing.T, rebuilder string, v bus.EncodedVote) {
	t.Helper()
	if err := h.agents[rebuilder].PublishVote(t.Context(), rebuilder, v); err != nil {
		t.Fatalf("publishing a vote of %s: %v", rebuilder, err)
	}
}

// voteAll has every rebuilder vote for what the build gave.
func (h *house) voteAll(t *testing.T, release attest.Digest, b built) {
	t.Helper()
	for _, key := range h.Rebuilders {
		h.publish(t, key.Name(), h.statement(t, release, key, b))
	}
}

// status is what the bus tells of a release.
type status = bus.ReleaseStatus

const (
	// patience bounds the wait for anything in these tests.
	patience = 60 * time.Second
	// answerPatience bounds the wait for one answer before asking again.
	answerPatience = 3 * time.Second
)

// await polls the status of a release, as the bus answers it, until ok.
func (h *house) await(t *testing.T, release attest.Digest, what string, ok func(*bus.ReleaseStatus) bool) *bus.ReleaseStatus {
	t.Helper()
	deadline := time.Now().Add(patience)
	var last *bus.ReleaseStatus
	for time.Now().Before(deadline) {
		ctx, cancel := context.WithTimeout(t.Context(), answerPatience)
		reply, err := h.publisher.Status(ctx, bus.StatusRequest{Release: release})
		cancel()
		switch {
		case bus.KindOf(err) == bus.KindUnavailable: // somebody is being restarted
		case err != nil:
			t.Fatalf("status: %v", err)
		case ok(reply.Release):
			return reply.Release
		default:
			last = reply.Release
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatalf("release is not %s: %+v", what, last)
	return nil
}

func (h *house) awaitState(t *testing.T, release attest.Digest, state coordinator.State) *bus.ReleaseStatus {
	t.Helper()
	return h.await(t, release, string(state), func(s *bus.ReleaseStatus) bool { return s.State == string(state) })
}

// answers asks what became of statements, as their rebuilder does, and returns
// the verified rejections by statement and the digests in receipts.
func (h *house) answers(t *testing.T, rebuilder string, statements ...attest.Digest) (rejected map[attest.Digest]attest.Rejection, counted, late []attest.Digest) {
	t.Helper()
	reply, err := h.agents[rebuilder].AskReceipts(t.Context(), rebuilder, bus.ReceiptsRequest{Statements: statements})
	if err != nil {
		t.Fatalf("asking for receipts: %v", err)
	}
	rejected = map[attest.Digest]attest.Rejection{}
	for _, e := range reply.Envelopes {
		if r, err := attest.OpenReceipt(e, h.Version.CoordinatorKey); err == nil {
			counted, late = append(counted, r.Counted...), append(late, r.Late...)
			continue
		}
		r, err := attest.OpenRejection(e, h.Version.CoordinatorKey)
		if err != nil {
			t.Fatalf("neither a receipt nor a rejection: %v", err)
		}
		rejected[r.Statement] = r
	}
	return rejected, counted, late
}

// awaitCounted waits until the coordinator has committed a statement.
func (h *house) awaitCounted(t *testing.T, rebuilder string, v bus.Vote) {
	t.Helper()
	h.eventually(t, "vote of "+rebuilder+" counted", func() bool {
		_, counted, _ := h.answers(t, rebuilder, v.Envelope.Digest())
		return len(counted) == 1
	})
}

// eventually polls a condition until it holds.
func (h *house) eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// source is what a report of a failed build has as its subject.
func source(t *testing.T, r bus.SubmitRequest) attest.Digest {
	t.Helper()
	request, err := attest.ParseRequest(r.Request.Payload)
	if err != nil {
		t.Fatal(err)
	}
	d, err := request.Recipe.SourceDigest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}
