package cmd_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"log/slog"
	"net/url"
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
	"github.com/reprosign/reprosign/internal/box"
	"github.com/reprosign/reprosign/internal/box/boxtest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/signer"
	"github.com/reprosign/reprosign/signer/ledger"
	"github.com/reprosign/reprosign/signer/promise"
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

	dsn      string
	url      string
	nats     *box.NATS
	dir      string // of its streams
	seeds    map[bus.Identity]string
	pinned   *attest.Envelope
	device   *countingKey
	promises string // directory of the signer's promises, over its restarts

	writer *store.Writer
	reader *store.Reader

	witnesses []*cosigner

	publisher *bus.Conn
	agents    map[string]*bus.Conn
	admitted  chan uint64 // serials of policies whose parties the bus has learned

	faulty          func(coordinator.Store) coordinator.Store
	unsignedAfter   time.Duration
	also            []signer.Certificate
	tap             *tap // of the coordinator that was started last
	stopCoordinator func()
	stopSigner      func()
}

// tap is a coordinator's bus into which a test may put votes that no
// connection of ours would send.
type tap struct {
	*bus.Conn

	handle chan func(context.Context, []bus.Message) error
	signs  atomic.Pointer[bus.SignRequest] // the last one
	omits  atomic.Pointer[attest.Digest]   // a statement that the signer leaves out
}

// Decide answers as a signer that leaves out a statement would.
func (b *tap) Decide(ctx context.Context, q bus.DecideRequest) (bus.DecideReply, error) {
	for i := range q.Cases {
		q.Cases[i].Votes = without(q.Cases[i].Votes, b.omits.Load())
	}
	return b.Conn.Decide(ctx, q)
}

// without returns statements but one, if it is named.
func without(statements []*attest.Envelope, one *attest.Digest) []*attest.Envelope {
	return slices.DeleteFunc(slices.Clone(statements), func(e *attest.Envelope) bool { return one != nil && e.Digest() == *one })
}

// Sign passes the request on and keeps it, for tests that repeat it.
func (b *tap) Sign(ctx context.Context, q bus.SignRequest) (bus.SignReply, error) {
	b.signs.Store(&q)
	return b.Conn.Sign(ctx, q)
}

func (b *tap) Votes(ctx context.Context, batch int, handle func(context.Context, []bus.Message) error) error {
	b.handle <- handle
	return b.Conn.Votes(ctx, batch, handle)
}

// deliver hands messages to the coordinator as one batch.
func (h *house) deliver(t *testing.T, messages ...bus.Message) {
	t.Helper()
	handle := <-h.tap.handle
	defer func() { h.tap.handle <- handle }()
	if err := handle(t.Context(), messages); err != nil {
		t.Fatalf("delivering a batch: %v", err)
	}
}

// message is a vote as the bus hands it over.
func message(t *testing.T, rebuilder string, v bus.Vote) bus.Message {
	t.Helper()
	return raw(rebuilder, encoded(t, v).Data())
}

func raw(rebuilder string, data []byte) bus.Message {
	return bus.Message{Subject: "vote." + rebuilder, Rebuilder: rebuilder, Data: data, Delivered: 1}
}

// houseOptions are the knobs of a house; zero values mean the defaults.
type houseOptions struct {
	rebuilders, threshold int
	coordinators          int // replicas under one key
	witnesses             int // of the log, two of which must cosign; default none
	unsignedAfter         time.Duration
	also                  []signer.Certificate // that the signer signs for, beside its own
	change                func(*policy.Policy)
	dsn                   string                                    // of a migrated database; empty means one of its own
	store                 func(coordinator.Store) coordinator.Store // puts faults before the store
}

func newHouse(t *testing.T, o houseOptions) *house {
	t.Helper()
	h := &house{seeds: map[bus.Identity]string{}, agents: map[string]*bus.Conn{}, dir: t.TempDir(), dsn: o.dsn, admitted: make(chan uint64, 8), faulty: o.store, unsignedAfter: o.unsignedAfter, also: o.also}
	if h.faulty == nil {
		h.faulty = func(s coordinator.Store) coordinator.Store { return s }
	}
	h.device = &countingKey{private: evidencetest.Ed25519("openpgp " + evidencetest.Suite)}
	now := attest.At(time.Now())
	certificate, err := openpgp.Certify(openpgp.NewCertificate{
		UserID: "stable <stable@example.org>", Created: (now - 3600).Time(), Lifetime: 1000 * time.Hour,
	}, h.device.private)
	if err != nil {
		t.Fatal(err)
	}
	h.World = evidencetest.New(t, evidencetest.Options{Rebuilders: o.rebuilders, Threshold: o.threshold, Witnesses: o.witnesses, Change: func(p *policy.Policy) {
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
	h.Certificate, h.pinned = certificate, h.Envelope
	for _, key := range h.Witnesses {
		h.witnesses = append(h.witnesses, h.startWitness(t, key))
	}

	if h.dsn == "" {
		h.dsn = boxtest.Database(t, migrate)
	}
	if h.startNATS(t, "127.0.0.1:0", &h.Policy); t.Failed() {
		t.FailNow()
	}
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

// startNATS starts the bus on the streams that are there.
func (h *house) startNATS(t *testing.T, listen string, p *policy.Policy) {
	t.Helper()
	nats, err := box.StartNATS(context.Background(), h.natsConfig(t, p), box.NATSOptions{Dir: h.dir, Listen: listen})
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(nats.Shutdown)
	h.nats = nats
	if h.url == "" {
		h.url = nats.ClientURL()
	}
}

// restartNATS starts the bus again, where it was, for the parties of a policy.
func (h *house) restartNATS(t *testing.T, p *policy.Policy) {
	t.Helper()
	address, err := url.Parse(h.url)
	if err != nil {
		t.Error(err)
		return
	}
	h.nats.Shutdown()
	h.startNATS(t, address.Host, p)
}

func (h *house) natsConfig(t *testing.T, p *policy.Policy) string {
	t.Helper()
	text, err := bus.ServerConfig(p, bus.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return text
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
	chain, err := policy.Pin(h.pinned)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// startCoordinator starts a replica with connections of its own.
func (h *house) startCoordinator(t *testing.T) {
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
	trust := h.trust(t)
	seq, err := sequencer.Open(h.logConfig(writer, trust, logger(t)))
	if err != nil {
		t.Fatal(err)
	}
	h.tap = &tap{Conn: conn, handle: make(chan func(context.Context, []bus.Message) error, 1)}
	c, err := coordinator.New(coordinator.Config{
		Store: h.faulty(writer), Reader: h.reader, Bus: h.tap, Prover: seq, Trust: trust, Key: h.Coordinator, UnsignedAfter: h.unsignedAfter, Log: logger(t),
		OnPolicy: func(_ context.Context, v *policy.Version) error {
			h.restartNATS(t, &v.Policy)
			h.admitted <- v.Serial
			return nil
		},
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
		background(t, func(ctx context.Context) error { return conn.ServeLog(ctx, c) }),
	}
	h.stopCoordinator = func() {
		for _, stop := range stops {
			stop()
		}
	}
}

func (h *house) startSigner(t *testing.T) {
	t.Helper()
	conn := h.connect(t, bus.Identity{Role: bus.RoleSigner, Name: h.Signer.Name()})
	trust := h.trust(t)
	memory, err := ledger.Open(ledger.Config{Directory: t.TempDir(), Trust: trust, Reader: ledger.OverBus(conn), Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if h.promises == "" {
		h.promises = t.TempDir()
	}
	book, err := promise.Open(promise.Config{Directory: h.promises, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := signer.New(signer.Config{
		Trust: trust, Ledger: memory, Promises: book, Key: h.Signer, Now: time.Now, Log: logger(t),
		Certificates: append([]signer.Certificate{{Certificate: h.Certificate, Key: h.device}}, h.also...),
	})
	if err != nil {
		t.Fatal(err)
	}
	follow := background(t, memory.Run)
	serve := background(t, func(ctx context.Context) error { return conn.ServeSigner(ctx, s) })
	h.stopSigner = func() {
		serve()
		follow()
		_ = memory.Close()
		_ = book.Close()
	}
}
