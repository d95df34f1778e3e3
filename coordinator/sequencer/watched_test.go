package sequencer_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/internal/box/boxtest"
	"github.com/reprosign/reprosign/witness"
)

// watched is a log under a policy with real witnesses, each behind a handler
// that a test may put another before.
type watched struct {
	*evidencetest.World

	dsn       string
	trust     *policy.Chain
	set       translog.Witnesses
	servers   []*observed
	endpoints []sequencer.Endpoint
}

type observed struct {
	*witness.Witness

	key    attest.SigningKey
	name   string
	skew   atomic.Int64 // of its clock, in nanoseconds
	before atomic.Pointer[http.HandlerFunc]
	asked  atomic.Int64
}

// fault puts a handler before the witness; nil takes it away.
func (o *observed) fault(h http.HandlerFunc) {
	if h == nil {
		o.before.Store(nil)
		return
	}
	o.before.Store(&h)
}

func (o *observed) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	o.asked.Add(1)
	if h := o.before.Load(); h != nil {
		(*h)(rw, r)
		return
	}
	o.Handler().ServeHTTP(rw, r)
}

func newWatched(t testing.TB, witnesses int) *watched {
	t.Helper()
	w := &watched{dsn: boxtest.Database(t, migrate)}
	w.World = evidencetest.New(t, evidencetest.Options{Witnesses: witnesses, Rebuilders: 3})
	w.pin(t)
	for _, k := range w.Witnesses {
		w.servers = append(w.servers, w.serve(t, k))
	}
	return w
}

func (w *watched) pin(t testing.TB) {
	t.Helper()
	var err error
	w.trust, err = policy.Pin(w.Envelope)
	must(t, err)
	w.set = translog.WitnessesOf(w.trust.Newest().Witnesses)
}

// serve starts a witness of the log.
func (w *watched) serve(t testing.TB, key attest.SigningKey, logs ...attest.SigningKey) *observed {
	t.Helper()
	o := &observed{key: key, name: key.Name()}
	dir := filepath.Join(t.TempDir(), "memory")
	must(t, witness.Create(dir, key.VerifierKey))
	config := witness.Config{
		Key: key, Dir: dir, Logs: []attest.VerifierKey{w.Log.Key.VerifierKey},
		Now: func() time.Time { return time.Now().Add(time.Duration(o.skew.Load())) },
	}
	for _, k := range logs {
		config.Logs = append(config.Logs, k.VerifierKey)
	}
	var err error
	o.Witness, err = witness.Open(config)
	must(t, err)
	server := httptest.NewServer(o)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		must(t, o.Close())
	})
	w.endpoints = append(w.endpoints, sequencer.Endpoint{Name: key.Name(), URL: server.URL + "/"})
	return o
}

// open returns a sequencer as a process that has just started.
func (w *watched) open(t testing.TB, s sequencer.Store) *sequencer.Sequencer {
	t.Helper()
	q, err := sequencer.Open(sequencer.Config{
		Store: s, Key: w.Log.Key, Trust: w.trust, Witnesses: w.endpoints,
		Timeout: time.Hour, // who waits for a witness that hangs does not come back
	})
	must(t, err)
	return q
}

// seen opens the newest published checkpoint and returns who cosigned it.
func (w *watched) seen(t testing.TB, s sequencer.Store) (int64, []translog.Cosignature) {
	t.Helper()
	tree, note, err := s.Checkpoint(t.Context())
	must(t, err)
	c, err := translog.OpenCheckpoint(note, w.Log.Key.VerifierKey)
	must(t, err)
	if c.Size != tree.Size || c.Root != tree.Root {
		t.Fatalf("checkpoint %v is stored as %v", c, tree)
	}
	if _, _, err := w.set.Time(note); err != nil {
		t.Fatalf("size %d is public: %v", c.Size, err)
	}
	by, err := w.set.Cosignatures(note)
	must(t, err)
	return c.Size, by
}

// unpublished fails the test if a checkpoint above a size is public.
func unpublished(t testing.TB, s sequencer.Store, above int64) {
	t.Helper()
	tree, _, err := s.Checkpoint(t.Context())
	if err == nil && tree.Size > above {
		t.Errorf("checkpoint of size %d is public", tree.Size)
	}
	if err != nil && !errors.Is(err, coordinator.ErrNotFound) {
		t.Error(err)
	}
}

// drain drains until it succeeds: a witness that failed is left alone a little.
func drain(t testing.TB, q *sequencer.Sequencer) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(time.Minute); ; {
		err := q.Drain(t.Context())
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not published within a minute: %v", err)
		}
	}
}

// goneAway is a witness that nobody reaches.
func goneAway(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hanging is one that takes a request and never answers.
func hanging(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // a server sees the end of a connection only behind the body
	<-r.Context().Done()
}
