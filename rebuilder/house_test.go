package rebuilder_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/box/boxtest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(doomedVariable); file != "" {
		runDoomed(file)
	}
	boxtest.Main(m)
}

// patience bounds the wait for anything in these tests.
const patience = 60 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// house is a real bus under a policy with real keys, and a coordinator on it
// that keeps what it is sent and answers as the test says.
type house struct {
	*evidencetest.World

	url   string
	seeds map[bus.Identity]string
	conn  *bus.Conn // the coordinator's

	mu       sync.Mutex
	messages []bus.Message
	asked    []attest.Digest
	answers  map[attest.Digest]*attest.Envelope   // receipts to give when asked
	answer   func(attest.Digest) *attest.Envelope // for those not in answers
	policies []*attest.Envelope
	polled   int // questions for policies
	mute     int // how many of the next ones get no policy
	serial   int // for versions

	complaints []bus.ComplainRequest // taken
	deaf       *bus.Error            // the answer to complaints, if not nil

	note   []byte              // the published checkpoint of World.Log
	edge   []tlog.Hash         // of the tree before its last entry, from right to left
	doctor func(*bus.LogReply) // changes what those hear who read the log
	reads  []bus.LogRequest    // that were answered with entries
	grown  chan struct{}       // closed when the log has grown
}

var (
	_ bus.API = (*house)(nil)
	// The first rebuilder's name, which agents have if a test says nothing else.
	name = "rebuilder-1"
)

func newHouse(t *testing.T, change func(*policy.Policy)) *house {
	t.Helper()
	h := &house{seeds: map[bus.Identity]string{}, answers: map[attest.Digest]*attest.Envelope{}, grown: make(chan struct{})}
	now := attest.At(time.Now())
	h.World = evidencetest.New(t, evidencetest.Options{Change: func(p *policy.Policy) {
		p.Issued, p.Expires = now-3600, now+30*24*3600
		p.Suites[0].Backends = []string{"command", "quick", "unknown"}
		p.Coordinators[0].NATS = h.enrol(t, bus.RoleCoordinator, p.Coordinators[0].Key.Name())
		for i := range p.Rebuilders {
			r := &p.Rebuilders[i]
			r.ValidFrom, r.ValidUntil = now-3600, now+30*24*3600
			r.NATS = h.enrol(t, bus.RoleRebuilder, r.Key.Name())
		}
		if change != nil {
			change(p)
		}
	}})
	text, err := bus.ServerConfig(&h.Policy, bus.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h.url = boxtest.NATS(t, text).ClientURL()
	h.conn = h.connect(t, bus.Identity{Role: bus.RoleCoordinator, Name: h.Coordinator.Name()})
	if err := h.conn.EnsureStreams(t.Context(), bus.StreamOptions{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	if err := h.conn.EnsureRebuilder(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	serve(t, func(ctx context.Context) error { return h.conn.ServeAPI(ctx, h) })
	serve(t, func(ctx context.Context) error { return h.conn.Votes(ctx, 100, h.collect) })
	serve(t, func(ctx context.Context) error { return h.conn.ServeLog(ctx, h) })
	return h
}

// serve runs a call until the test ends.
func serve(t *testing.T, call func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- call(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

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
	conn, err := bus.Connect(t.Context(), bus.Config{URL: h.url, SeedFile: h.seeds[id], Identity: id})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// collect is the coordinator's side of votes.
func (h *house) collect(_ context.Context, batch []bus.Message) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.messages = append(h.messages, batch...)
	return nil
}

// order is one task with its digests.
type order struct {
	bus.Task

	release attest.Digest
	request attest.Request
	opening attest.Opening
}

// order makes a task for a recipe of back-end quick, signed as it should be
// unless a change says otherwise. It is not sent.
func (h *house) order(t *testing.T, changes ...func(*order)) *order {
	t.Helper()
	h.mu.Lock()
	h.serial++
	version := fmt.Sprintf("1.%d", h.serial)
	h.mu.Unlock()
	o := &order{request: attest.Request{
		Publisher: h.Publisher.Name(), Suite: evidencetest.Suite, Source: "thing", Version: version, Architecture: evidencetest.Architecture,
		Recipe: attest.Recipe{
			Backend: "quick", Parameters: map[string]string{},
			Sources: []attest.Source{{Name: "thing.tar", SHA256: attest.SHA256([]byte("source")), Size: 6, URLs: []string{}}},
		},
	}}
	now := attest.At(time.Now())
	o.opening = attest.Opening{
		Coordinator: h.Coordinator.Name(), Policy: h.Version.Digest, PolicySerial: h.Version.Serial,
		Attempt: 1, Nonce: attest.SHA256([]byte(version)), Opened: now, Deadline: now + 3600,
	}
	for _, change := range changes {
		change(o)
	}
	if o.Request == nil {
		o.Request = seal(t, h.Publisher, o.request)
	}
	if o.opening.Request.IsZero() {
		o.opening.Request = o.Request.Digest()
	}
	if o.Opening == nil {
		o.Opening = seal(t, h.Coordinator, o.opening)
	}
	o.release = o.Opening.Digest()
	return o
}

// send publishes tasks.
func (h *house) send(t *testing.T, orders ...*order) {
	t.Helper()
	for _, o := range orders {
		if err := h.conn.PublishTask(t.Context(), evidencetest.Suite, o.Task); err != nil {
			t.Fatal(err)
		}
	}
}

// sent makes a task and publishes it.
func (h *house) sent(t *testing.T, changes ...func(*order)) *order {
	t.Helper()
	o := h.order(t, changes...)
	h.send(t, o)
	return o
}

type sealer interface {
	Seal(key attest.SigningKey) (*attest.Envelope, error)
}

func seal(t *testing.T, key attest.SigningKey, s sealer) *attest.Envelope {
	t.Helper()
	e, err := s.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func encoded(t *testing.T, v bus.Vote) bus.EncodedVote {
	t.Helper()
	e, err := bus.EncodeVote(v)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// statements returns the verified statements on a release, one for each time
// that it was sent.
func (h *house) statements(t *testing.T, release attest.Digest) []attest.Rebuild {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []attest.Rebuild
	for _, m := range h.messages {
		v, err := bus.DecodeVote(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		r, err := attest.OpenRebuild(v.Envelope, h.Policy.RebuilderKey)
		if err != nil {
			t.Fatal(err)
		}
		if built := r.Outcome == attest.Built; built != (len(v.Artifacts) > 0) {
			t.Errorf("statement %s carries %d artifacts", r.Outcome, len(v.Artifacts))
		}
		if err := attest.CheckStates(v.Artifacts, v.States); r.Outcome == attest.Built && err != nil {
			t.Error(err)
		}
		if r.Release == release {
			all = append(all, r)
		}
	}
	return all
}

// statement waits for the statement on a release.
func (h *house) statement(t *testing.T, o *order) attest.Rebuild {
	t.Helper()
	eventually(t, "statement on "+o.request.Version, func() bool { return len(h.statements(t, o.release)) > 0 })
	return h.statements(t, o.release)[0]
}

func (h *house) wantOutcome(t *testing.T, o *order, want attest.Outcome) {
	t.Helper()
	if r := h.statement(t, o); r.Outcome != want {
		t.Errorf("outcome of %s: got %s, want %s", o.request.Version, r.Outcome, want)
	}
}

// digest is how the coordinator names a rebuilder's statement.
func digest(t *testing.T, r attest.Rebuild) attest.Digest {
	t.Helper()
	payload, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return attest.SHA256(payload)
}

func (h *house) receipt(t *testing.T, statements ...attest.Digest) *attest.Envelope {
	t.Helper()
	return seal(t, h.Coordinator, attest.Receipt{
		Coordinator: h.Coordinator.Name(), Rebuilder: name, Issued: attest.At(time.Now()), Counted: statements,
	})
}

func (h *house) push(t *testing.T, e *attest.Envelope) {
	t.Helper()
	if err := h.conn.PublishReceipt(t.Context(), name, e); err != nil {
		t.Fatal(err)
	}
}

// Submit, Status and Withdraw are for others.
func (h *house) Submit(context.Context, string, bus.SubmitRequest) bus.SubmitReply {
	return bus.SubmitReply{Error: bus.Errorf(bus.KindInternal, "not for rebuilders")}
}

func (h *house) Status(context.Context, bus.StatusRequest) bus.StatusReply {
	return bus.StatusReply{Error: bus.Errorf(bus.KindInternal, "not for rebuilders")}
}

func (h *house) Withdraw(context.Context, bus.WithdrawRequest) bus.WithdrawReply {
	return bus.WithdrawReply{Error: bus.Errorf(bus.KindInternal, "not for rebuilders")}
}

func (h *house) Complain(_ context.Context, rebuilder string, q bus.ComplainRequest) bus.ComplainReply {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deaf != nil {
		return bus.ComplainReply{Error: h.deaf}
	}
	h.complaints = append(h.complaints, q)
	return bus.ComplainReply{Complaint: q.Complaint.Digest()}
}

func (h *house) Policies(_ context.Context, q bus.PolicyRequest) bus.PolicyReply {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.polled++
	if h.mute > 0 {
		h.mute--
		return bus.PolicyReply{Error: bus.Errorf(bus.KindUnavailable, "database is away")}
	}
	reply := bus.PolicyReply{Policies: []*attest.Envelope{}}
	for _, e := range h.policies {
		if p, err := policy.Parse(e.Payload); err == nil && p.Serial > q.After {
			reply.Policies = append(reply.Policies, e)
		}
	}
	return reply
}

func (h *house) Receipts(_ context.Context, _ string, q bus.ReceiptsRequest) bus.ReceiptsReply {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, q.Statements...)
	reply := bus.ReceiptsReply{Envelopes: []*attest.Envelope{}}
	for _, d := range q.Statements {
		e := h.answers[d]
		if e == nil && h.answer != nil {
			e = h.answer(d)
		}
		if e != nil {
			reply.Envelopes = append(reply.Envelopes, e)
		}
	}
	return reply
}

func (h *house) wasAsked(d attest.Digest) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.asked, d)
}

func (h *house) questions() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.polled
}

// ReadLog serves World.Log as far as it was published.
func (h *house) ReadLog(ctx context.Context, q bus.LogRequest) bus.LogReply {
	for {
		h.mu.Lock()
		reply, grown := bus.LogReply{Checkpoint: h.note}, h.grown
		if q.Newest && len(h.Log.Entries) > 0 {
			q.From = int64(len(h.Log.Entries) - 1)
			for _, x := range slices.Backward(h.edge) {
				reply.Edge = append(reply.Edge, attest.Digest(x))
			}
		}
		if h.note != nil && q.From < int64(len(h.Log.Entries)) {
			reply.Entries = slices.Clone(h.Log.Entries[q.From:])
		}
		news := len(reply.Entries) > 0
		if news {
			h.reads = append(h.reads, q)
		}
		if news && h.doctor != nil {
			h.doctor(&reply)
		}
		h.mu.Unlock()
		if news || q.WaitSeconds == 0 {
			return reply
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return bus.LogReply{Error: bus.Errorf(bus.KindUnavailable, "stopping")}
		}
	}
}

// log changes the log and publishes a checkpoint.
func (h *house) log(t *testing.T, change func(l *evidencetest.Log)) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h.Log)
	h.note = h.Log.Checkpoint(t)
	if n := int64(len(h.Log.Entries)); n > 0 {
		h.edge = h.Log.Prove(t, n-1).Hashes
	}
	close(h.grown)
	h.grown = make(chan struct{})
}
