package sequencer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
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

func TestNothingIsPublicBeforeAQuorumHasCosigned(t *testing.T) {
	w := newWatched(t, 3)
	writer, c := openWriter(t, w.dsn), connect(t, w.dsn)
	q := w.open(t, writer)
	add(t, c, "first", 3)
	must(t, q.Drain(t.Context()))
	if size, _ := w.seen(t, writer); size != 3 {
		t.Fatalf("size %d is public, want 3", size)
	}
	for _, o := range w.servers[1:] {
		o.fault(goneAway)
	}
	add(t, c, "second", 2)
	for range 2 {
		err := q.Drain(t.Context())
		if err == nil || !strings.Contains(err.Error(), "waiting for cosignatures: 1 of 2 witnesses, "+w.servers[1].name+" unreachable, "+w.servers[2].name+" unreachable") {
			if err == nil || !strings.Contains(err.Error(), "0 of 2") { // the first may be left alone as well: it cosigned this size
				t.Fatalf("with one witness: %v", err)
			}
		}
		unpublished(t, writer, 3)
	}
	w.servers[1].fault(nil)
	drain(t, q)
	if size, by := w.seen(t, writer); size != 5 || len(by) != 2 {
		t.Errorf("size %d is public, by %v", size, by)
	}
	// The one that was away is told what it missed, from where it was.
	w.servers[2].fault(nil)
	for round := int64(0); ; round++ {
		add(t, c, "later", 1)
		drain(t, q)
		if size, by := w.seen(t, writer); size != 6+round {
			t.Fatalf("size %d is public, want %d", size, 6+round)
		} else if len(by) == 3 {
			break
		}
	}
	check(t, w.dsn, w.Log.Key, q)
}

func TestAFaultyWitnessDoesNoHarm(t *testing.T) {
	stranger := evidencetest.WitnessKey(t, "stranger")
	reply := func(status int, kind, body string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				http.NotFound(rw, r)
				return
			}
			rw.Header().Set("Content-Type", kind)
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(body))
		}
	}
	const size = "text/x.tlog.size"
	for name, fault := range map[string]http.HandlerFunc{
		"never answers":             hanging,
		"closes the connection":     goneAway,
		"answers garbage":           reply(http.StatusOK, "text/plain", "\xff\x00<html>\n\n"),
		"answers nothing":           reply(http.StatusOK, "text/plain", ""),
		"answers without end":       reply(http.StatusOK, "text/plain", strings.Repeat("x", translog.MaxCosignatures+1)),
		"cosigns with another key":  cosigning(t, stranger, 0),
		"cosigns in the far future": nil, // its own clock, below
		"fails":                     reply(http.StatusInternalServerError, "text/plain", "no"),
		"does not know the log":     reply(http.StatusNotFound, "text/plain", "no"),
		"sends elsewhere":           reply(http.StatusTemporaryRedirect, "text/plain", ""),
		"lies that it saw more":     reply(http.StatusConflict, size, "9007199254740991\n"),
		"says a size of no number":  reply(http.StatusConflict, size, "-1\n"),
		"says a size without end":   reply(http.StatusConflict, size, strings.Repeat("9", 1000)),
		"says less every time":      reply(http.StatusConflict, size, "1\n"),
		"says that we forked":       reply(http.StatusUnprocessableEntity, "text/plain", "no"),
		"shows a forged checkpoint": forging(t),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t, 3)
			bad := w.servers[1]
			if fault == nil {
				bad.skew.Store(int64(24 * time.Hour))
			} else {
				bad.fault(fault)
			}
			writer, c := openWriter(t, w.dsn), connect(t, w.dsn)
			q := w.open(t, writer)
			for round := int64(1); round <= 3; round++ {
				add(t, c, "writer", 2)
				must(t, q.Drain(t.Context()))
				size, by := w.seen(t, writer)
				if size != 2*round {
					t.Fatalf("size %d is public, want %d", size, 2*round)
				}
				for _, c := range by {
					if c.Witness == bad.name {
						t.Errorf("the faulty witness counts: %v", by)
					}
				}
			}
			check(t, w.dsn, w.Log.Key, q)
			// And it is well again as soon as it behaves.
			bad.fault(nil)
			bad.skew.Store(0)
			if fault == nil {
				return // it remembers a time that is still to come
			}
			if name == "never answers" {
				return // it has an hour left
			}
			for {
				add(t, c, "later", 1)
				must(t, q.Drain(t.Context()))
				if _, by := w.seen(t, writer); len(by) == 3 {
					return
				}
			}
		})
	}
}

// cosigning is a witness that cosigns whatever it is asked with a key.
func cosigning(t *testing.T, key attest.SigningKey, _ int) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		if _, err := body.ReadFrom(r.Body); err != nil || r.Method != http.MethodPost {
			http.NotFound(rw, r)
			return
		}
		request, err := translog.ParseAddCheckpoint(body.Bytes())
		if err != nil {
			t.Errorf("request: %v", err)
			return
		}
		line, err := translog.Cosign(request.Checkpoint, key, attest.At(time.Now()))
		if err != nil {
			t.Error(err)
		}
		_, _ = rw.Write(line)
	}
}

// forging is a witness that claims a larger tree and shows a checkpoint for it
// that the log's key did not sign.
func forging(t *testing.T) http.HandlerFunc {
	key := evidencetest.Ed25519Key(t, "forger", evidencetest.Origin)
	note, err := translog.Checkpoint{Origin: evidencetest.Origin, Size: 1 << 40}.Sign(key)
	must(t, err)
	return func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = rw.Write(note)
			return
		}
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintln(rw, 1<<40)
	}
}

func TestTwoReplicasPublishOneWitnessedHistory(t *testing.T) {
	const rounds = 15
	w := newWatched(t, 3)
	c := connect(t, w.dsn)
	var replicas []*sequencer.Sequencer
	for range 2 {
		replicas = append(replicas, w.open(t, openWriter(t, w.dsn)))
	}
	for range rounds {
		add(t, c, "writer", 3)
		var both sync.WaitGroup
		for _, q := range replicas {
			both.Go(func() {
				// Only one of them may be in time; it must never be a fork.
				if err := q.Drain(t.Context()); errors.Is(err, coordinator.ErrForked) {
					t.Errorf("drain: %v", err)
				}
			})
		}
		both.Wait()
	}
	drain(t, replicas[0])
	drain(t, replicas[1])
	writer := openWriter(t, w.dsn)
	if size, _ := w.seen(t, writer); size != 3*rounds {
		t.Errorf("size %d is public, want %d", size, 3*rounds)
	}
	rows, err := c.Query(t.Context(), `SELECT note FROM log_checkpoints`)
	must(t, err)
	for rows.Next() {
		var note []byte
		must(t, rows.Scan(&note))
		if _, _, err := w.set.Time(note); err != nil {
			t.Errorf("public: %v\n%s", err, note)
		}
	}
	must(t, rows.Err())
}

// The witnesses have the signature, and then the process dies. Nobody else has
// seen the checkpoint, and the next process asks for the same one again.
func TestCrashBetweenCosigningAndPublicationIsMadeGood(t *testing.T) {
	w := newWatched(t, 2)
	c := connect(t, w.dsn)
	f := &faulty{Writer: openWriter(t, w.dsn)}
	f.publishSeen = func(context.Context, coordinator.Tree, []byte, coordinator.Seen) error { return errFault }
	add(t, c, "writer", 300)
	if err := w.open(t, f).Drain(t.Context()); !errors.Is(err, errFault) {
		t.Fatalf("drain: %v, want the fault", err)
	}
	unpublished(t, f, 0)
	if size := w.servers[0].size(t, w); size != 300 {
		t.Fatalf("the witness is at size %d, want 300", size)
	}
	writer := openWriter(t, w.dsn)
	next := w.open(t, writer)
	drain(t, next)
	if size, by := w.seen(t, writer); size != 300 || len(by) != 2 {
		t.Errorf("size %d is public, by %v", size, by)
	}
	check(t, w.dsn, w.Log.Key, next)
}

// rollBack puts the database back to an earlier size, as a restore does, and
// lets it grow differently from there.
func rollBack(t *testing.T, dsn string, size, grown int) {
	t.Helper()
	c := connect(t, dsn)
	// session_replication_role takes the triggers off.
	_, err := c.Exec(t.Context(), fmt.Sprintf(`SET session_replication_role = replica;
		DELETE FROM log_checkpoints WHERE size > %[1]d;
		DELETE FROM log_entries WHERE index >= %[1]d;
		UPDATE log_tiles SET data = substring(data FOR %[1]d * 32);
		UPDATE log_state SET size = %[1]d, root = (SELECT root FROM log_checkpoints WHERE size = %[1]d)`, size))
	must(t, err)
	add(t, connect(t, dsn), "another history", grown)
}

func TestAfterARestoreNothingIsSignedThatTheWitnessesKnowBetter(t *testing.T) {
	for _, test := range []struct {
		name  string
		grown int // entries after the restore: below, and beyond, what was signed
		blind bool
		want  string
	}{
		{"smaller", 1, false, "shows a checkpoint of size 6 with the log's signature"},
		{"grown beyond", 20, false, "shows a checkpoint of size 6 with the log's signature"},
		{"smaller, witnesses show nothing", 1, true, "says that it cosigned size 6"},
		{"grown beyond, witnesses show nothing", 20, true, "does not continue what it cosigned"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWatched(t, 3)
			c := connect(t, w.dsn)
			before := openWriter(t, w.dsn)
			q := w.open(t, before)
			for range 2 {
				add(t, c, "first history", 3)
				drain(t, q)
			}
			if test.blind {
				for _, o := range w.servers {
					o.fault(func(rw http.ResponseWriter, r *http.Request) {
						if r.Method == http.MethodGet {
							http.NotFound(rw, r)
							return
						}
						o.Handler().ServeHTTP(rw, r)
					})
				}
			}
			rollBack(t, w.dsn, 3, test.grown)
			f := &faulty{Writer: openWriter(t, w.dsn)}
			f.publishSeen = func(_ context.Context, tree coordinator.Tree, _ []byte, _ coordinator.Seen) error {
				t.Errorf("a checkpoint of size %d became public", tree.Size)
				return nil
			}
			next := w.open(t, f) // a process that remembers nothing
			said := ""
			for range 3 {
				err := next.Drain(t.Context())
				if !errors.Is(err, coordinator.ErrForked) {
					if test.grown > 3 && err != nil { // found out once enough witnesses have refused
						continue
					}
					t.Fatalf("drain: %v, want ErrForked", err)
				}
				said = err.Error()
			}
			for _, part := range []string{test.want, "nothing is signed any more", "end this log and open the next one"} {
				if !strings.Contains(said, part) {
					t.Errorf("message does not say %q: %s", part, said)
				}
			}
			if got := forked(t, next); got != 1 {
				t.Errorf("metric forked is %v, want 1", got)
			}
			for _, o := range w.servers { // and the witnesses know one history only
				if size := o.size(t, w); size != 6 {
					t.Errorf("witness %s is at size %d, want 6", o.name, size)
				}
			}
		})
	}
}

// forked returns the metric that operators alarm on.
func forked(t *testing.T, q *sequencer.Sequencer) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(q.Collectors()...)
	families, err := registry.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == "reprosign_log_forked" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("no metric reprosign_log_forked")
	return 0
}

// size asks a witness what it cosigned last.
func (o *observed) size(t *testing.T, w *watched) int64 {
	t.Helper()
	empty, err := translog.Checkpoint{Origin: evidencetest.Origin, Root: emptyRoot}.Sign(w.Log.Key)
	must(t, err)
	_, err = o.AddCheckpoint(translog.AddCheckpoint{Checkpoint: empty}.Marshal())
	var conflict witness.Conflict
	if err == nil || !errors.As(err, &conflict) {
		return 0
	}
	return conflict.Size
}

func TestNothingIsSignedBeforeEnoughWitnessesVouch(t *testing.T) {
	w := newWatched(t, 3)
	c := connect(t, w.dsn)
	add(t, c, "first history", 3)
	drain(t, w.open(t, openWriter(t, w.dsn)))
	add(t, c, "first history", 3)
	w.servers[0].fault(goneAway)
	w.servers[1].fault(goneAway)
	q := w.open(t, openWriter(t, w.dsn))
	for range 2 {
		if err := q.Drain(t.Context()); err == nil || !strings.Contains(err.Error(), "before anything is signed: 1 of 2 witnesses") &&
			!strings.Contains(err.Error(), "before anything is signed: 0 of 2 witnesses") {
			t.Fatalf("drain: %v", err)
		}
	}
	if size := w.servers[2].size(t, w); size != 3 {
		t.Errorf("a witness got to see size %d before the others vouched", size)
	}
	w.servers[0].fault(nil)
	drain(t, q)
}

func TestAnotherCopyOfTheDatabaseBehindTheSameAddressIsFoundOut(t *testing.T) {
	w := newWatched(t, 2)
	c := connect(t, w.dsn)
	f := &faulty{Writer: openWriter(t, w.dsn)}
	q := w.open(t, f)
	add(t, c, "first history", 3)
	drain(t, q)
	// Another replica goes on, and this one knows nothing of it.
	add(t, c, "first history", 3)
	drain(t, w.open(t, openWriter(t, w.dsn)))
	rollBack(t, w.dsn, 3, 1)
	// All that it notices of the fail-over is that its connection was lost.
	f.integrate = func(context.Context, int, coordinator.Grow) (int, error) {
		return 0, fmt.Errorf("integrating: %w", coordinator.ErrUnavailable)
	}
	if err := q.Drain(t.Context()); !errors.Is(err, coordinator.ErrUnavailable) {
		t.Fatalf("drain: %v", err)
	}
	f.integrate = nil
	before := w.servers[0].size(t, w)
	if err := q.Drain(t.Context()); !errors.Is(err, coordinator.ErrForked) {
		t.Errorf("drain: %v, want ErrForked", err)
	}
	if after := w.servers[0].size(t, w); after != before {
		t.Errorf("the witness went from size %d to %d", before, after)
	}
	unpublished(t, f, 3)
}

// A real dump of a real database is put back, as somebody would at night, and
// the coordinator is started over it; then the newest copy comes back.
func TestARestoredBackupIsNotSignedUntilTheNewestCopyIsBack(t *testing.T) {
	w := newWatched(t, 2)
	c := connect(t, w.dsn)
	q := w.open(t, openWriter(t, w.dsn))
	add(t, c, "first history", 300)
	drain(t, q)
	backup := filepath.Join(t.TempDir(), "backup.sql")
	run(t, "pg_dump", "--format=plain", "--file="+backup, "--dbname="+w.dsn)
	add(t, c, "first history", 40)
	drain(t, q)

	restored := boxtest.Database(t, nil)
	run(t, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", restored, "-f", backup)
	add(t, connect(t, restored), "another history", 5)
	f := openWriter(t, restored)
	for range 2 {
		if err := w.open(t, f).Drain(t.Context()); !errors.Is(err, coordinator.ErrForked) {
			t.Fatalf("over the backup: %v, want ErrForked", err)
		}
	}
	unpublished(t, f, 300)
	// The newest copy is there after all.
	add(t, c, "first history", 5)
	drain(t, w.open(t, openWriter(t, w.dsn)))
	if leaves := check(t, w.dsn, w.Log.Key, q); len(leaves) != 345 {
		t.Errorf("%d entries are public, want 345", len(leaves))
	}
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stderr, cmd.Stdout = os.Stderr, nil
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
}

func TestRunOutlivesAForkAndEndsWithItsContext(t *testing.T) {
	w := newWatched(t, 2)
	c := connect(t, w.dsn)
	q := w.open(t, openWriter(t, w.dsn))
	for range 2 {
		add(t, c, "first history", 3)
		drain(t, q)
	}
	rollBack(t, w.dsn, 3, 1)
	next := w.open(t, openWriter(t, w.dsn))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- next.Run(ctx) }()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(time.Minute); forked(t, next) != 1; {
		select {
		case err := <-ended:
			t.Fatalf("Run ended: %v", err)
		case <-ticker.C:
		case <-deadline:
			t.Fatal("the fork was not found within a minute")
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
}

// older is a store whose newest note is of another time.
type older struct {
	sequencer.Store

	note func([]byte) []byte
}

func (o older) Checkpoint(ctx context.Context) (coordinator.Tree, []byte, error) {
	tree, note, err := o.Store.Checkpoint(ctx)
	if err == nil {
		note = o.note(note)
	}
	return tree, note, err
}

func TestAnOldCheckpointIsCosignedAgainAndProofsKeepTheFirstTime(t *testing.T) {
	w := newWatched(t, 2)
	writer := openWriter(t, w.dsn)
	add(t, connect(t, w.dsn), "writer", 3)
	// The witnesses' clocks were behind when they cosigned it.
	for _, o := range w.servers {
		o.skew.Store(int64(-3 * time.Minute))
	}
	q := w.open(t, writer)
	must(t, q.Drain(t.Context()))
	_, first, err := writer.Checkpoint(t.Context())
	must(t, err)
	must(t, q.Drain(t.Context()))
	if _, again, err := writer.Checkpoint(t.Context()); err != nil || !bytes.Equal(first, again) {
		t.Fatalf("a young checkpoint was cosigned again: %v\n%s", err, again)
	}
	for _, o := range w.servers {
		o.skew.Store(0)
	}
	// As if an hour had gone by: nobody in the note is known any more.
	unread := w.open(t, older{writer, func(note []byte) []byte {
		text := note[: bytes.Index(note, []byte("\n\n"))+2 : len(note)]
		return append(bytes.Clone(text), logLine(note)...)
	}})
	must(t, unread.Drain(t.Context()))
	tree, renewed, err := writer.Checkpoint(t.Context())
	must(t, err)
	before, _, err := w.set.Time(first)
	must(t, err)
	after, _, err := w.set.Time(renewed)
	must(t, err)
	if tree.Size != 3 || after <= before {
		t.Errorf("size %d, seen at %v, before at %v", tree.Size, after, before)
	}
	proof, err := q.Proof(t.Context(), 1, w.trust.Newest())
	must(t, err)
	if !bytes.Equal(proof.Checkpoint, first) {
		t.Errorf("proof is under\n%swant\n%s", proof.Checkpoint, first)
	}
	// What everybody reads is the renewed one.
	r, err := store.OpenReader(t.Context(), w.dsn)
	must(t, err)
	defer r.Close()
	if note, err := r.Checkpoint(t.Context()); err != nil || !bytes.Equal(note, renewed) {
		t.Errorf("public is %v\n%s", err, note)
	}
}

// logLine returns the log's own signature line of a note.
func logLine(note []byte) []byte {
	lines := note[bytes.Index(note, []byte("\n\n"))+2:]
	return lines[:bytes.IndexByte(lines, '\n')+1]
}

// policies is a store that knows policies, as the coordinator would have stored them.
type policies struct {
	sequencer.Store

	all []*attest.Envelope // by serial
}

func (p *policies) Policies(_ context.Context, after uint64) ([]*attest.Envelope, error) {
	return p.all[min(int(after), len(p.all)):], nil
}

func TestANewPolicyChangesTheLogsKeyItsOriginAndItsWitnesses(t *testing.T) {
	for _, test := range []struct {
		name, origin string
		pinned       bool
	}{
		{"next key, same origin", evidencetest.Origin, false},
		{"next log", "log2.example.org", false},
		{"next log, pinned", "log2.example.org", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			pinned := test.pinned
			next := evidencetest.Ed25519Key(t, "the next log key of", test.origin)
			w := newWatched(t, 0)
			key := evidencetest.WitnessKey(t, "late.example.net")
			late := w.serve(t, key, next)
			writer := openWriter(t, w.dsn)
			p := &policies{Store: writer, all: []*attest.Envelope{w.Envelope}}
			q, err := sequencer.Open(sequencer.Config{
				Store: p, Key: w.Log.Key, Trust: w.trust, Witnesses: w.endpoints,
				KeyOf: func(want attest.VerifierKey) (attest.SigningKey, error) {
					if want.String() != next.String() {
						return attest.SigningKey{}, errFault
					}
					return next, nil
				},
			})
			must(t, err)
			c := connect(t, w.dsn)
			add(t, c, "before", 300)
			must(t, q.Drain(t.Context()))
			first := w.trust.Newest()

			second := w.Policy
			second.Serial, second.Previous = 2, first.Digest
			second.Log = policy.Log{Key: next.VerifierKey, Origin: test.origin, Operator: "log-operator"}
			second.Witnesses = policy.Witnesses{Quorum: 1, Keys: []policy.Witness{{Key: key.VerifierKey, Operator: "late"}}}
			p.all = append(p.all, w.Seal(t, second))
			add(t, c, "the entry of the policy", 1)
			if pinned {
				// A process that is started with the new policy, before anything came under a checkpoint of it.
				w.trust, err = policy.Pin(p.all[1])
				must(t, err)
				q, err = sequencer.Open(sequencer.Config{Store: p, Key: next, Trust: w.trust, Witnesses: w.endpoints})
				must(t, err)
			}
			drain(t, q)
			if serial := w.trust.Newest().Serial; serial != 2 {
				t.Fatalf("policy %d is in force", serial)
			}
			_, note, err := writer.Checkpoint(t.Context())
			must(t, err)
			if c, err := translog.OpenCheckpoint(note, next.VerifierKey); err != nil || c.Origin != test.origin || c.Size != 301 {
				t.Errorf("newest checkpoint: %v, %v", c, err)
			}
			if late.asked.Load() == 0 {
				t.Error("the witness of the new policy was never asked")
			}
			// Either policy's readers get a proof that they accept.
			for _, v := range []*policy.Version{first, w.trust.Newest()} {
				proof, err := q.Proof(t.Context(), 7, v)
				must(t, err)
				if _, err := proof.Verify([]byte("before 7"), v.Log.Key); err != nil {
					t.Errorf("policy %d: %v", v.Serial, err)
				}
			}
			// A process that starts now knows the new key alone.
			add(t, c, "after", 1)
			started, err := sequencer.Open(sequencer.Config{Store: writer, Key: next, Trust: w.trust, Witnesses: w.endpoints})
			must(t, err)
			drain(t, started)
		})
	}
}

func TestALogKeyThatThePolicyDoesNotNameSignsNothing(t *testing.T) {
	w := newWatched(t, 0)
	f := &faulty{Writer: openWriter(t, w.dsn)}
	f.publish = func(context.Context, coordinator.Tree, []byte) error {
		t.Error("a checkpoint was signed with it")
		return nil
	}
	q, err := sequencer.Open(sequencer.Config{Store: f, Key: logKey(t), Trust: w.trust})
	must(t, err)
	add(t, connect(t, w.dsn), "writer", 1)
	if err := q.Drain(t.Context()); err == nil || !strings.Contains(err.Error(), "another log key") {
		t.Errorf("drain: %v", err)
	}
}

func TestAddressesOfWitnessesAreChecked(t *testing.T) {
	for _, at := range []sequencer.Endpoint{
		{Name: "w", URL: ""},
		{Name: "w", URL: "witness.example.net"},
		{Name: "w", URL: "ftp://witness.example.net"},
		{Name: "w", URL: "https://user:secret@witness.example.net"},
		{Name: "w", URL: "https://w/?a=b"},
		{Name: "", URL: "https://w"},
	} {
		_, err := sequencer.Open(sequencer.Config{Key: logKey(t), Witnesses: []sequencer.Endpoint{at}})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v", at, err)
		}
	}
	twice := []sequencer.Endpoint{{Name: "w", URL: "https://a"}, {Name: "w", URL: "https://b"}}
	if _, err := sequencer.Open(sequencer.Config{Key: logKey(t), Witnesses: twice}); err == nil {
		t.Error("two addresses of one witness")
	}
}
