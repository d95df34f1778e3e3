package sequencer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/internal/box/boxtest"
	"github.com/reprosign/reprosign/witness"
)

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

// ahead is a store that calls between after each look at what is committed, once
// it is set.
type ahead struct {
	*faulty

	between func()
}

func (a *ahead) Committed(ctx context.Context) (tree coordinator.Tree, published bool, err error) {
	tree, published, err = a.faulty.Committed(ctx)
	if a.between != nil {
		a.between()
	}
	return tree, published, err
}

// refusals tells of every witness that did not cosign.
type refusals struct {
	slog.Handler

	heard chan struct{}
}

func (refusals) Enabled(context.Context, slog.Level) bool { return true }

func (r refusals) Handle(ctx context.Context, record slog.Record) error {
	if record.Message == "witness did not cosign" {
		r.heard <- struct{}{}
	}
	return nil
}

// A witness answers after the quorum, and after our look at the database, with
// the size that another replica has just had cosigned.
func TestAReplicaThatIsAheadIsNoFork(t *testing.T) {
	w := newWatched(t, 3)
	c := connect(t, w.dsn)
	s := &ahead{faulty: &faulty{Writer: openWriter(t, w.dsn)}}
	heard := refusals{slog.DiscardHandler, make(chan struct{}, 8)}
	q, err := sequencer.Open(sequencer.Config{
		Store: s, Key: w.Log.Key, Trust: w.trust, Witnesses: w.endpoints, Timeout: time.Hour, Log: slog.New(heard),
	})
	must(t, err)
	add(t, c, "writer", 3)
	drain(t, q)
	add(t, c, "writer", 3)
	slow, first, gate := w.servers[2], make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow.fault(func(rw http.ResponseWriter, r *http.Request) {
		ours := false
		once.Do(func() { ours = true })
		if ours {
			close(first)
			<-gate
		}
		slow.Handler().ServeHTTP(rw, r)
	})
	for _, o := range w.servers[:2] {
		o.fault(func(rw http.ResponseWriter, r *http.Request) {
			<-first // or the slow one might not be asked yet
			o.Handler().ServeHTTP(rw, r)
		})
	}
	s.between = func() {
		select {
		case <-first:
		default:
			return
		}
		s.between = nil
		add(t, c, "writer", 3)
		other := w.open(t, openWriter(t, w.dsn))
		drain(t, other)
		for deadline := time.Now().Add(time.Minute); slow.size(t, w) != 9; drain(t, other) {
			if time.Now().After(deadline) {
				t.Error("the slow witness never cosigned the other replica's checkpoint")
				break
			}
		}
		close(gate)
		<-heard.heard
	}
	if err := q.Drain(t.Context()); errors.Is(err, coordinator.ErrForked) {
		t.Errorf("drain: %v", err)
	}
	if s.between != nil || forked(t, q) != 0 {
		t.Errorf("metric forked is %v; the other replica was ahead: %v", forked(t, q), s.between == nil)
	}
	drain(t, q)
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
