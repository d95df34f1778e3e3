package bus_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/box"
	"github.com/reprosign/reprosign/internal/box/boxtest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
)

func TestMain(m *testing.M) { boxtest.Main(m) }

// The parties of the tests.
var (
	one   = bus.Identity{Role: bus.RoleCoordinator, Name: "one"}
	two   = bus.Identity{Role: bus.RoleCoordinator, Name: "two"}
	hsm   = bus.Identity{Role: bus.RoleSigner, Name: "hsm"}
	alpha = bus.Identity{Role: bus.RoleRebuilder, Name: "alpha"}
	beta  = bus.Identity{Role: bus.RoleRebuilder, Name: "beta"}
	press = bus.Identity{Role: bus.RolePublisher, Name: "press"}
	other = bus.Identity{Role: bus.RolePublisher, Name: "other"}
)

// house is a NATS server with the configuration of a policy.
type house struct {
	nats  *box.NATS
	conf  string
	url   string
	seeds map[bus.Identity]string // files
}

// startHouse starts a server with all parties and with the streams made.
func startHouse(t *testing.T) *house {
	t.Helper()
	h := &house{seeds: map[bus.Identity]string{}}
	p := &policy.Policy{Serial: 7}
	enrol := func(id bus.Identity) (attest.VerifierKey, string) {
		seed, public, err := bus.GenerateNKey()
		if err != nil {
			t.Fatal(err)
		}
		h.seeds[id] = filepath.Join(t.TempDir(), "nats.seed")
		if err := config.WriteSecretFile(h.seeds[id], append(seed, '\n')); err != nil {
			t.Fatal(err)
		}
		return verifierKey(t, id.Name), public
	}
	for _, id := range []bus.Identity{one, two} {
		key, public := enrol(id)
		p.Coordinators = append(p.Coordinators, policy.Party{Key: key, NATS: public})
	}
	key, public := enrol(hsm)
	p.Signers = []policy.Party{{Key: key, NATS: public}}
	for _, id := range []bus.Identity{alpha, beta} {
		key, public := enrol(id)
		p.Rebuilders = append(p.Rebuilders, policy.Rebuilder{Key: key, NATS: public, Operator: id.Name})
	}
	for _, id := range []bus.Identity{press, other} {
		key, public := enrol(id)
		p.Publishers = append(p.Publishers, policy.Publisher{Key: key, NATS: public})
	}
	var err error
	if h.conf, err = bus.ServerConfig(p, bus.ServerOptions{}); err != nil {
		t.Fatal(err)
	}
	h.nats = boxtest.NATS(t, h.conf)
	h.url = h.nats.ClientURL()
	c := h.connect(t, one)
	if err := c.EnsureStreams(t.Context(), bus.StreamOptions{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []bus.Identity{alpha, beta} {
		if err := c.EnsureRebuilder(t.Context(), r.Name); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// connect connects as a party until the test ends.
func (h *house) connect(t *testing.T, id bus.Identity) *bus.Conn {
	t.Helper()
	c, err := bus.Connect(t.Context(), h.config(id))
	if err != nil {
		t.Fatalf("connecting as %v: %v", id, err)
	}
	t.Cleanup(c.Close)
	return c
}

func (h *house) config(id bus.Identity) bus.Config {
	return bus.Config{URL: h.url, SeedFile: h.seeds[id], Identity: id}
}

func verifierKey(t *testing.T, name string) attest.VerifierKey {
	t.Helper()
	return signingKey(t, name).VerifierKey
}

func signingKey(t *testing.T, name string) attest.SigningKey {
	t.Helper()
	seed := attest.SHA256([]byte(name))
	key, err := attest.NewSigningKey(name, ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// envelope is signed and holds nothing but the text.
func envelope(t *testing.T, text string) *attest.Envelope {
	t.Helper()
	e, err := attest.Seal(attest.StatementType, []byte(text), signingKey(t, "author"))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// run runs a serving call until the test ends, or stop is called, and fails
// the test if it returns an error.
func run(t *testing.T, serve func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("serving: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// within gives a test's own calls an end.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// receive waits for a value.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-within(t).Done():
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// available repeats a call while the other side is not there yet.
func available[R any](t *testing.T, call func() (R, error)) (R, error) {
	t.Helper()
	ctx := within(t)
	for {
		r, err := call()
		if bus.KindOf(err) != bus.KindUnavailable || ctx.Err() != nil {
			return r, err
		}
	}
}

// wantKind fails the test unless err has the kind and all the words.
func wantKind(t *testing.T, err error, kind bus.Kind, words ...string) {
	t.Helper()
	if got := bus.KindOf(err); got != kind {
		t.Errorf("got error %v of kind %q, want kind %q", err, got, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error lacks %q: %v", w, err)
		}
	}
}

// patience outlasts AckWait: what a dying server had in its pipes comes again after it.
const patience = 3 * bus.AckWait

var errAway = errors.New("database away")

var quiet = slog.New(slog.DiscardHandler)
