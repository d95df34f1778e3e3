package cmd_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box/boxtest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/signer"
)

func TestMain(m *testing.M) { boxtest.Main(m) }

// countingKey is an Ed25519 key in place of the device. It counts signatures
// and can be away.
type countingKey struct {
	private ed25519.PrivateKey
	made    atomic.Int64
	fault   atomic.Pointer[error]
}

func (k *countingKey) Public() crypto.PublicKey { return k.private.Public() }

func (k *countingKey) Sign(_ context.Context, digest []byte) ([]byte, error) {
	if fault := k.fault.Load(); fault != nil {
		return nil, *fault
	}
	k.made.Add(1)
	return ed25519.Sign(k.private, digest), nil
}

func (k *countingKey) fail(err error) { k.fault.Store(&err) }
func (k *countingKey) recover()       { k.fault.Store(nil) }

// house is all parties in one process over a real database and a real bus,
// each on a connection with its own permissions.
type house struct {
	*evidencetest.World

	dsn    string
	url    string
	seeds  map[bus.Identity]string
	device *countingKey
	writer *store.Writer
	reader *store.Reader

	publisher *bus.Conn
	agents    map[string]*bus.Conn
}

// houseOptions are the knobs of a house; zero values mean the defaults.
type houseOptions struct {
	rebuilders, threshold int
	coordinators          int // replicas under one key
	change                func(*policy.Policy)
}

func newHouse(t *testing.T, o houseOptions) *house {
	t.Helper()
	h := &house{seeds: map[bus.Identity]string{}, agents: map[string]*bus.Conn{}}
	h.device = &countingKey{private: evidencetest.Ed25519("openpgp " + evidencetest.Suite)}
	now := attest.At(time.Now())
	certificate, err := openpgp.Certify(openpgp.NewCertificate{
		UserID: "stable <stable@example.org>", Created: (now - 3600).Time(), Lifetime: 1000 * time.Hour,
	}, h.device.private)
	if err != nil {
		t.Fatal(err)
	}
	h.World = evidencetest.New(t, evidencetest.Options{Rebuilders: o.rebuilders, Threshold: o.threshold, Change: func(p *policy.Policy) {
		p.Issued, p.Expires = now-3600, now+30*24*3600
		p.Suites[0].Certificates[0].Fingerprint = certificate.Fingerprint()
		p.Coordinators[0].NATS = h.enrol(t, bus.RoleCoordinator, p.Coordinators[0].Key.Name())
		p.Signers[0].NATS = h.enrol(t, bus.RoleSigner, p.Signers[0].Key.Name())
		p.Publishers[0].NATS = h.enrol(t, bus.RolePublisher, p.Publishers[0].Key.Name())
		for i := range p.Rebuilders {
			r := &p.Rebuilders[i]
			r.ValidFrom, r.ValidUntil = now-3600, now+30*24*3600
			r.NATS = h.enrol(t, bus.RoleRebuilder, r.Key.Name())
		}
		if o.change != nil {
			o.change(p)
		}
	}})
	h.Certificate = certificate

	h.dsn = boxtest.Database(t, migrate)
	text, err := bus.ServerConfig(&h.Policy, bus.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h.url = boxtest.NATS(t, text).ClientURL()
	if h.reader, err = store.OpenReader(t.Context(), h.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.reader.Close)
	if h.writer, err = store.OpenWriter(t.Context(), h.dsn, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.writer.Close)
	for range max(o.coordinators, 1) {
		h.startCoordinator(t)
	}
	h.startSigner(t)
	h.publisher = h.connect(t, bus.Identity{Role: bus.RolePublisher, Name: h.Publisher.Name()})
	for _, key := range h.Rebuilders {
		h.agents[key.Name()] = h.connect(t, bus.Identity{Role: bus.RoleRebuilder, Name: key.Name()})
	}
	return h
}

func migrate(dsn string) error { return store.Migrate(context.Background(), dsn) }

func (h *house) enrol(t *testing.T, role bus.Role, name string) string {
	t.Helper()
	seed, public, err := bus.GenerateNKey()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "seed")
	if err := config.WriteSecretFile(path, append(seed, '\n')); err != nil {
		t.Fatal(err)
	}
	h.seeds[bus.Identity{Role: role, Name: name}] = path
	return public
}

func (h *house) connect(t *testing.T, id bus.Identity) *bus.Conn {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Config{URL: h.url, SeedFile: h.seeds[id], Identity: id, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// logger writes to the test's output, for the day on which it fails.
func logger(t *testing.T) *slog.Logger {
	t.Helper()
	if os.Getenv("TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// background runs work until the test ends, or the returned function is called, and waits for it.
func background(t *testing.T, work func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := work(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("work ended: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); ended.Wait() })
	t.Cleanup(stop)
	return stop
}

func (h *house) trust(t *testing.T) *policy.Chain {
	t.Helper()
	chain, err := policy.Pin(h.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// startCoordinator starts a replica with connections of its own.
func (h *house) startCoordinator(t *testing.T) (stop func()) {
	t.Helper()
	conn := h.connect(t, bus.Identity{Role: bus.RoleCoordinator, Name: h.Coordinator.Name()})
	if err := conn.EnsureStreams(t.Context(), bus.StreamOptions{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	writer, err := store.OpenWriter(t.Context(), h.dsn, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(writer.Close)
	seq, err := sequencer.New(writer, h.Log.Key, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	c, err := coordinator.New(coordinator.Config{
		Store: writer, Reader: h.reader, Bus: conn, Prover: seq, Trust: h.trust(t), Key: h.Coordinator, Log: logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	stops := []func(){
		background(t, seq.Run), background(t, c.Run),
		background(t, func(ctx context.Context) error { return conn.ServeAPI(ctx, c) }),
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

func (h *house) startSigner(t *testing.T) (stop func()) {
	t.Helper()
	conn := h.connect(t, bus.Identity{Role: bus.RoleSigner, Name: h.Signer.Name()})
	s, err := signer.New(signer.Config{
		Trust: h.trust(t), Key: h.Signer, Now: time.Now, Log: logger(t),
		Certificates: []signer.Certificate{{Certificate: h.Certificate, Key: h.device}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return background(t, func(ctx context.Context) error { return conn.ServeSigner(ctx, s) })
}

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
	reply, err := h.publisher.Submit(t.Context(), h.Publisher.Name(), r)
	if err != nil {
		t.Fatalf("submitting: %v", err)
	}
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

func (h *house) publish(t *testing.T, rebuilder string, v bus.Vote) {
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

// patience bounds the wait for anything in these tests.
const patience = 30 * time.Second

// await polls the status of a release, as the bus answers it, until ok.
func (h *house) await(t *testing.T, release attest.Digest, what string, ok func(*bus.ReleaseStatus) bool) *bus.ReleaseStatus {
	t.Helper()
	deadline := time.Now().Add(patience)
	var last *bus.ReleaseStatus
	for time.Now().Before(deadline) {
		reply, err := h.publisher.Status(t.Context(), bus.StatusRequest{Release: release})
		if err != nil {
			t.Fatalf("status: %v", err)
		}
		if last = reply.Release; ok(last) {
			return last
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("release is not %s: %s: %s; votes %+v", what, last.State, last.Reason, last.Votes)
	return nil
}

func (h *house) awaitState(t *testing.T, release attest.Digest, state coordinator.State) *bus.ReleaseStatus {
	t.Helper()
	return h.await(t, release, string(state), func(s *bus.ReleaseStatus) bool { return s.State == string(state) })
}
