package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/internal/box/boxtest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
)

// coordinator plays a coordinator on a real bus: scripts say in which scene it
// is. It verifies nothing; the real one is tested elsewhere.
type coordinator struct {
	world *world
	url   string

	mu      sync.Mutex
	scene   scene
	changed chan struct{} // closed at each change of scene
	waits   chan struct{} // one for each question that waits
	said    map[string]attest.Digest

	policies []*attest.Envelope // that were submitted
	onPolicy func(*attest.Envelope)
}

// scene is what the coordinator answers.
type scene struct {
	release  *evidencetest.Release // the newest attempt; nil: none is known
	state    string
	final    bool
	evidence []byte
	source   string // lies about the source name if set
	reason   string
}

const patience = 30 * time.Second

// startCoordinator starts a bus for the world's policy, and the coordinator on it.
func startCoordinator(t testing.TB, w *world) *coordinator {
	t.Helper()
	conf, err := bus.ServerConfig(&w.Policy, bus.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seed := filepath.Join(t.TempDir(), "seed")
	if err := config.WriteSecretFile(seed, w.seeds["coordinator"]); err != nil {
		t.Fatal(err)
	}
	c := &coordinator{
		world: w, url: boxtest.NATS(t, conf).ClientURL(),
		changed: make(chan struct{}), waits: make(chan struct{}, 1024), said: map[string]attest.Digest{},
	}
	conn, err := bus.Connect(t.Context(), bus.Config{
		URL: c.url, SeedFile: seed, Identity: bus.Identity{Role: bus.RoleCoordinator, Name: "coordinator"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- conn.ServeAPI(ctx, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serving: %v", err)
		}
		conn.Close()
	})
	c.await(t)
	return c
}

// await returns when the coordinator answers.
func (c *coordinator) await(t testing.TB) {
	t.Helper()
	seed := filepath.Join(t.TempDir(), "seed")
	if err := config.WriteSecretFile(seed, c.world.seeds["publisher"]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := bus.Connect(ctx, bus.Config{
		URL: c.url, SeedFile: seed, Identity: bus.Identity{Role: bus.RolePublisher, Name: "publisher"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for {
		_, err := conn.Policies(ctx, bus.PolicyRequest{})
		if err == nil {
			return
		}
		if bus.KindOf(err) != bus.KindUnavailable || ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// set changes the scene. Scenes are named for what is so.
func (c *coordinator) set(t testing.TB, name string) error {
	first, second := c.world.first, c.world.second
	bundle := func(r *evidencetest.Release) []byte {
		data, err := r.Bundle(t).Encode()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	scenes := map[string]scene{
		"nothing":          {},
		"building":         {release: first, state: "building", reason: "1 of 3 operators agrees, 2 needed; waiting for operator-2, operator-3"},
		"agreed":           {release: first, state: "agreed"},
		"logged":           {release: first, state: "logged"},
		"signed":           {release: first, state: "signed", final: true, evidence: bundle(first)},
		"second-signed":    {release: second, state: "signed", final: true, evidence: bundle(second)},
		"second-building":  {release: second, state: "building"},
		"conflict":         {release: first, state: "conflict", final: true, reason: "at most 1 of 3 operators can agree, 2 needed"},
		"expired":          {release: first, state: "expired", final: true, reason: "the deadline passed"},
		"expired-for-now":  {release: first, state: "expired", reason: "the deadline passed"},
		"withdrawn":        {release: first, state: "withdrawn", final: true, reason: "tampered\x1b[2J source"},
		"held":             {release: first, state: "held", reason: "2 of 3 operators agree, but the suite allows no dissent"},
		"without-evidence": {release: first, state: "signed", final: true},
		"other-evidence":   {release: first, state: "signed", final: true, evidence: bundle(second)},
		"broken-evidence":  {release: first, state: "signed", final: true, evidence: []byte("{}")},
		"liar":             {release: first, state: "signed", final: true, evidence: bundle(first), source: "goodbye"},
	}
	s, ok := scenes[name]
	if !ok {
		return fmt.Errorf("no scene %q", name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waits) > 0 { // questions of scenes before
		<-c.waits
	}
	c.scene = s
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

func (c *coordinator) now() (scene, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scene, c.changed
}

var errNotFound = bus.Errorf(bus.KindNotFound, "no such release, or none that may be shown yet")

// Status implements bus.API.
func (c *coordinator) Status(ctx context.Context, q bus.StatusRequest) bus.StatusReply {
	if q.WaitFor != "" {
		c.waits <- struct{}{}
	}
	over := time.NewTimer(time.Duration(q.WaitSeconds) * time.Second)
	defer over.Stop()
	for {
		s, changed := c.now()
		if s.release == nil || !c.knows(s, q) {
			return bus.StatusReply{Error: errNotFound}
		}
		if q.WaitFor == "" || s.final || bus.Reached(s.state, q.WaitFor) {
			return c.reply(s, q)
		}
		select {
		case <-changed:
		case <-over.C:
			return c.reply(s, q)
		case <-ctx.Done():
			return bus.StatusReply{Error: bus.Errorf(bus.KindUnavailable, "stopping")}
		}
	}
}

// knows reports whether a question is about the release of the scene, or an
// earlier attempt at it.
func (c *coordinator) knows(s scene, q bus.StatusRequest) bool {
	if !q.Artifact.IsZero() {
		return s.final && s.state == "signed" && (q.Artifact == s.release.Artifacts[0].SHA256 || q.Artifact == s.release.Artifacts[1].SHA256)
	}
	return q.Release == c.world.first.ID || q.Release == s.release.ID || q.Request == s.release.Request.Digest()
}

func (c *coordinator) reply(s scene, q bus.StatusRequest) bus.StatusReply {
	r := &bus.ReleaseStatus{
		Release: s.release.ID, Request: s.release.Request.Digest(), Attempt: 1, Newest: s.release.ID,
		Suite: evidencetest.Suite, Source: evidencetest.Source, Version: evidencetest.Version, Architecture: evidencetest.Architecture,
		State: s.state, Final: s.final, Reason: s.reason, PolicySerial: 1, Policy: c.world.Version.Digest, Threshold: 2, Operators: 3,
		Opened: evidencetest.Opened, Deadline: evidencetest.Opened + 3600,
		Votes: []bus.VoteStatus{{Rebuilder: "rebuilder-1", Operator: "operator-1", View: "reported"}},
	}
	if s.source != "" {
		r.Source = s.source
	}
	if s.release == c.world.second {
		r.Attempt = 2
		if q.Release == c.world.first.ID {
			r.Release, r.Attempt, r.State, r.Final, r.Reason = c.world.first.ID, 1, "expired", false, "the deadline passed"
			return bus.StatusReply{Release: r}
		}
	}
	if s.state == "signed" {
		for _, a := range s.release.Artifacts {
			r.Artifacts = append(r.Artifacts, bus.ArtifactStatus{Artifact: a, Signatures: []bus.SignatureStatus{{Certificate: "FPR", Kind: "detached-binary"}}})
		}
	}
	reply := bus.StatusReply{Release: r}
	if q.Evidence {
		reply.Evidence = s.evidence
	}
	return reply
}

// Submit implements bus.API.
func (c *coordinator) Submit(_ context.Context, _ string, q bus.SubmitRequest) bus.SubmitReply {
	if q.Policy != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.policies = append(c.policies, q.Policy)
		if c.onPolicy != nil {
			c.onPolicy(q.Policy)
		}
		return bus.SubmitReply{Policy: q.Policy.Digest()}
	}
	r, err := attest.OpenRequest(q.Request, c.world.Version.PublisherKey)
	if err == nil {
		err = c.world.Version.Admit(r)
	}
	if err != nil {
		return bus.SubmitReply{Error: bus.Errorf(bus.KindDenied, "%v", err)}
	}
	if q.Claim != nil && !q.Claim.Matches(r.Claim) {
		return bus.SubmitReply{Error: bus.Errorf(bus.KindInvalid, "the claim does not open the salted digest")}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if q.Claim != nil {
		c.said["claim"] = q.Claim.Set
	}
	c.said["request"] = q.Request.Digest()
	return bus.SubmitReply{Release: c.world.first.ID, Attempt: 1}
}

// Policies implements bus.API.
func (c *coordinator) Policies(_ context.Context, q bus.PolicyRequest) bus.PolicyReply {
	c.mu.Lock()
	defer c.mu.Unlock()
	after := []*attest.Envelope{}
	for _, e := range c.policies {
		if serial, err := serialOf(e); err == nil && serial > q.After {
			after = append(after, e)
		}
	}
	return bus.PolicyReply{Policies: after}
}

// Receipts implements bus.API.
func (c *coordinator) Receipts(context.Context, string, bus.ReceiptsRequest) bus.ReceiptsReply {
	return bus.ReceiptsReply{Error: bus.Errorf(bus.KindInvalid, "not in these tests")}
}

// Complain implements bus.API.
func (c *coordinator) Complain(context.Context, string, bus.ComplainRequest) bus.ComplainReply {
	return bus.ComplainReply{Error: bus.Errorf(bus.KindInvalid, "not in these tests")}
}

// Withdraw implements bus.API.
func (c *coordinator) Withdraw(_ context.Context, q bus.WithdrawRequest) bus.WithdrawReply {
	w, err := attest.OpenWithdrawal(q.Withdrawal, c.world.Version.AuthorKey)
	if err != nil {
		return bus.WithdrawReply{Error: bus.Errorf(bus.KindDenied, "%v", err)}
	}
	if w.Release != c.world.first.ID {
		return bus.WithdrawReply{Error: errNotFound}
	}
	return bus.WithdrawReply{Release: w.Release}
}
