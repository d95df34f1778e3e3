package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/signer/ledger"
)

// shelf serves a log in memory as a coordinator does.
type shelf struct {
	mu       sync.Mutex
	note     []byte
	entries  []translog.Entry
	policies []*attest.Envelope
	batch    int // entries of one answer
	grown    chan struct{}
	fault    error
}

func newShelf() *shelf { return &shelf{batch: 3, grown: make(chan struct{})} }

// publish serves what a log holds now.
func (s *shelf) publish(tb testing.TB, log *evidencetest.Log) {
	tb.Helper()
	s.show(log.Checkpoint(tb), log.Entries)
}

func (s *shelf) show(note []byte, entries []translog.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note, s.entries = note, slices.Clone(entries)
	close(s.grown)
	s.grown = make(chan struct{})
}

func (s *shelf) Read(ctx context.Context, from int64, wait time.Duration) ([]byte, []translog.Entry, error) {
	over := time.After(wait)
	for {
		s.mu.Lock()
		note, grown, fault := s.note, s.grown, s.fault
		var entries []translog.Entry
		if from < int64(len(s.entries)) {
			entries = s.entries[from:min(from+int64(s.batch), int64(len(s.entries)))]
		}
		s.mu.Unlock()
		if len(entries) > 0 || fault != nil || wait == 0 {
			return note, entries, fault
		}
		select {
		case <-grown:
		case <-over:
			wait = 0
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

func (s *shelf) Policies(context.Context) ([]*attest.Envelope, error) { return s.policies, nil }

// open opens a ledger in a directory until the test ends or it is closed.
func open(tb testing.TB, dir string, pinned *attest.Envelope, s ledger.Reader) (*ledger.Ledger, error) {
	tb.Helper()
	chain, err := policy.Pin(pinned)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := ledger.Open(ledger.Config{Directory: dir, Trust: chain, Reader: s, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		tb.Cleanup(func() { _ = l.Close() })
	}
	return l, err
}

func mustOpen(tb testing.TB, dir string, pinned *attest.Envelope, s ledger.Reader) *ledger.Ledger {
	tb.Helper()
	l, err := open(tb, dir, pinned, s)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// size asks for the newest and returns how much the ledger knows.
func size(tb testing.TB, l *ledger.Ledger) (int64, error) {
	tb.Helper()
	var n int64
	err := l.Ask(tb.Context(), 0, nil, func(v ledger.View) error {
		n = v.Size()
		return nil
	})
	return n, err
}

func wantSize(tb testing.TB, l *ledger.Ledger, want int) {
	tb.Helper()
	if n, err := size(tb, l); err != nil || n != int64(want) {
		tb.Fatalf("ledger knows %d entries, %v; want %d", n, err, want)
	}
}

// metric returns the value of a gauge, with the label if it has one.
func metric(tb testing.TB, l *ledger.Ledger, name, label string) float64 {
	tb.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(l.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetGauge().GetValue()
			}
		}
	}
	tb.Fatalf("no metric %s %s", name, label)
	return 0
}

// halted returns the value of the alarm.
func halted(tb testing.TB, l *ledger.Ledger, reason string) float64 {
	tb.Helper()
	return metric(tb, l, "reprosign_signer_log_halted", reason)
}

func known(tb testing.TB, l *ledger.Ledger) float64 {
	tb.Helper()
	return metric(tb, l, "reprosign_signer_log_size", "")
}

func fileOf(dir string) string { return filepath.Join(dir, "log.jsonl") }

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// story is a log with some of everything.
func story(tb testing.TB) (*evidencetest.World, *shelf) {
	tb.Helper()
	w := evidencetest.New(tb, evidencetest.Options{})
	w.Log.Record(tb, attest.RecordPolicy, w.Coordinator, w.Envelope)
	w.Release(tb, 1)
	o := w.Open(tb, evidencetest.Suite, "other", 1)
	o.Decide(tb, w, evidencetest.File(tb, "other.deb", "content"))
	w.Withdraw(tb, o.ID)
	s := newShelf()
	s.publish(tb, w.Log)
	return w, s
}

func TestAnAnswerIsOnDiskBeforeItIsGiven(t *testing.T) {
	w, s := story(t)
	dir := t.TempDir()
	l := mustOpen(t, dir, w.Envelope, s)
	for range 3 {
		err := l.Ask(t.Context(), 0, nil, func(v ledger.View) error {
			copied := t.TempDir()
			if err := os.WriteFile(fileOf(copied), read(t, fileOf(dir)), 0o600); err != nil {
				t.Fatal(err)
			}
			unserved := newShelf()
			unserved.fault = errors.New("away")
			again := mustOpen(t, copied, w.Envelope, unserved)
			defer again.Close()
			if got := known(t, again); got != float64(v.Size()) {
				t.Errorf("%v entries are on disk, %d are known", got, v.Size())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		w.Open(t, evidencetest.Suite, "more", 1)
		s.publish(t, w.Log)
	}
}

func TestAFreshLedgerAndOneFromItsFileKnowTheSame(t *testing.T) {
	w, s := story(t)
	dir := t.TempDir()
	first := mustOpen(t, dir, w.Envelope, s)
	wantSize(t, first, 6)
	first.Close()
	w.Open(t, evidencetest.Suite, "more", 1)
	s.publish(t, w.Log)
	resumed, fresh := mustOpen(t, dir, w.Envelope, s), mustOpen(t, t.TempDir(), w.Envelope, s)
	var roots []string
	for _, l := range []*ledger.Ledger{resumed, fresh} {
		wantSize(t, l, 7)
		err := l.Ask(t.Context(), 0, nil, func(v ledger.View) error {
			for _, e := range w.Log.Entries {
				r, _ := v.Release(e.Envelope.Digest())
				roots = append(roots, r.Suite+r.Source+r.Refused+v.Root().String())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(roots[:7], roots[7:]) {
		t.Errorf("they know different things:\n%q", roots)
	}
}

func TestATornTailIsCutOff(t *testing.T) {
	w, s := story(t)
	dir := t.TempDir()
	l := mustOpen(t, dir, w.Envelope, s)
	wantSize(t, l, 6)
	l.Close()
	whole := read(t, fileOf(dir))
	w.Open(t, evidencetest.Suite, "more", 1)
	s.publish(t, w.Log)
	l = mustOpen(t, dir, w.Envelope, s)
	wantSize(t, l, 7)
	l.Close()
	longer := read(t, fileOf(dir))
	if !bytes.HasPrefix(longer, whole) {
		t.Fatal("the file was not only added to")
	}
	for cut := len(whole); cut < len(longer); cut += 37 {
		torn := t.TempDir()
		if err := os.WriteFile(fileOf(torn), longer[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l := mustOpen(t, torn, w.Envelope, s)
		if got := read(t, fileOf(torn)); !bytes.Equal(got, whole) {
			t.Errorf("cut at %d: %d bytes are left, want %d", cut, len(got), len(whole))
		}
		wantSize(t, l, 7)
		l.Close()
		if got := read(t, fileOf(torn)); !bytes.Equal(got, longer) {
			t.Errorf("cut at %d: the file was written in another way the second time", cut)
		}
	}
	// Before the first checkpoint there is nothing to keep.
	torn := t.TempDir()
	if err := os.WriteFile(fileOf(torn), whole[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	wantSize(t, mustOpen(t, torn, w.Envelope, s), 7)
}

func TestADamagedFileIsRefusedWithAWayOut(t *testing.T) {
	w, s := story(t)
	dir := t.TempDir()
	l := mustOpen(t, dir, w.Envelope, s)
	wantSize(t, l, 6)
	l.Close()
	whole := read(t, fileOf(dir))
	other := evidencetest.New(t, evidencetest.Options{Rebuilders: 5})
	for name, test := range map[string]struct {
		data   []byte
		pinned *attest.Envelope
	}{
		"a changed word":  {bytes.Replace(whole, []byte("other.deb"), []byte("ather.deb"), 1), w.Envelope},
		"a line less":     {slices.Concat(whole[:bytes.IndexByte(whole, '\n')+1], whole[bytes.IndexByte(whole[500:], '\n')+501:]), w.Envelope},
		"another pin":     {whole, other.Envelope},
		"an unknown line": {slices.Concat([]byte("{\"hello\":1}\n"), whole), w.Envelope},
		"an empty line":   {slices.Concat([]byte("{}\n"), whole), w.Envelope},
	} {
		damaged := t.TempDir()
		if err := os.WriteFile(fileOf(damaged), test.data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := open(t, damaged, test.pinned, s)
		if err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTheFileHasOneOwner(t *testing.T) {
	w, s := story(t)
	dir := t.TempDir()
	l := mustOpen(t, dir, w.Envelope, s)
	if _, err := open(t, dir, w.Envelope, s); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second owner: %v", err)
	}
	l.Close()
	mustOpen(t, dir, w.Envelope, s)
}

func TestAShorterLogIsRefusedUntilItHasGrownAgain(t *testing.T) {
	w, s := story(t)
	dir := t.TempDir()
	short, entries := w.Log.Checkpoint(t), slices.Clone(w.Log.Entries)
	w.Open(t, evidencetest.Suite, "more", 1)
	s.publish(t, w.Log)
	l := mustOpen(t, dir, w.Envelope, s)
	wantSize(t, l, 7)
	s.show(short, entries)
	if _, err := size(t, l); !errors.Is(err, ledger.ErrShrunk) || halted(t, l, "shrunk") != 1 {
		t.Errorf("shorter log: %v", err)
	}
	s.show(nil, nil)
	if _, err := size(t, l); !errors.Is(err, ledger.ErrShrunk) {
		t.Errorf("no log: %v", err)
	}
	l.Close()
	s.show(short, entries)
	l = mustOpen(t, dir, w.Envelope, s) // a start forgets nothing
	if _, err := size(t, l); !errors.Is(err, ledger.ErrShrunk) {
		t.Errorf("shorter log, after a start: %v", err)
	}
	s.publish(t, w.Log)
	wantSize(t, l, 7)
	if halted(t, l, "shrunk") != 0 {
		t.Error("the alarm goes on")
	}
}

func TestAForkHaltsUntilAPersonHasLooked(t *testing.T) {
	for name, fork := range map[string]func(w *evidencetest.World, s *shelf){
		"two trees of one size": func(w *evidencetest.World, s *shelf) {
			w.Log.Entries[5] = w.Log.Entries[0]
			other := &evidencetest.Log{Key: w.Log.Key}
			for _, e := range w.Log.Entries {
				other.Add(t, e)
			}
			s.publish(t, other)
		},
		"a larger tree over another past": func(w *evidencetest.World, s *shelf) {
			other := &evidencetest.Log{Key: w.Log.Key}
			other.Add(t, w.Log.Entries[1])
			for _, e := range w.Log.Entries {
				other.Add(t, e)
			}
			s.show(other.Checkpoint(t), slices.Concat(w.Log.Entries, other.Entries[6:]))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := story(t)
			dir := t.TempDir()
			l := mustOpen(t, dir, w.Envelope, s)
			wantSize(t, l, 6)
			honest := w.Log.Checkpoint(t)
			entries := slices.Clone(w.Log.Entries)
			fork(w, s)
			if _, err := size(t, l); !errors.Is(err, ledger.ErrForked) || halted(t, l, "forked") != 1 {
				t.Fatalf("got %v", err)
			}
			s.show(honest, entries) // as if nothing had been
			if _, err := size(t, l); !errors.Is(err, ledger.ErrForked) {
				t.Errorf("it goes on: %v", err)
			}
			l.Close()
			l = mustOpen(t, dir, w.Envelope, s)
			_, err := size(t, l)
			if !errors.Is(err, ledger.ErrForked) || !strings.Contains(err.Error(), "forked.txt") || halted(t, l, "forked") != 1 {
				t.Errorf("after a start: %v", err)
			}
			if err := l.Ready(t.Context()); !errors.Is(err, ledger.ErrForked) {
				t.Errorf("ready: %v", err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- l.Run(ctx) }()
			stop()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
			l.Close()
			proof := read(t, filepath.Join(dir, "forked.txt"))
			if !bytes.Contains(proof, honest) || bytes.Count(proof, []byte(evidencetest.Origin+"\n")) != 2 {
				t.Errorf("the file lacks the two checkpoints:\n%s", proof)
			}
			if err := os.Remove(filepath.Join(dir, "forked.txt")); err != nil {
				t.Fatal(err)
			}
			wantSize(t, mustOpen(t, dir, w.Envelope, s), 6)
		})
	}
}

func TestAMissingBodyHaltsUntilItIsServed(t *testing.T) {
	w, s := story(t)
	l := mustOpen(t, t.TempDir(), w.Envelope, s)
	spoiled := slices.Clone(w.Log.Entries)
	spoiled[4].Envelope = nil
	s.show(w.Log.Checkpoint(t), spoiled)
	for range 2 {
		if _, err := size(t, l); !errors.Is(err, ledger.ErrMissingBody) || halted(t, l, "missing-body") != 1 {
			t.Fatalf("got %v", err)
		}
	}
	s.show(w.Log.Checkpoint(t), w.Log.Entries[:4])
	if _, err := size(t, l); !errors.Is(err, ledger.ErrMissingBody) {
		t.Errorf("entries held back: %v", err)
	}
	s.publish(t, w.Log)
	wantSize(t, l, 6)
	if halted(t, l, "missing-body") != 0 {
		t.Error("the alarm goes on")
	}
}

func TestACheckpointThatIsNotTheLogsIsRefused(t *testing.T) {
	w, s := story(t)
	l := mustOpen(t, t.TempDir(), w.Envelope, s)
	stranger := *w.Log
	stranger.Key = evidencetest.Ed25519Key(t, "stranger", evidencetest.Origin)
	for _, note := range [][]byte{[]byte("hello"), stranger.Checkpoint(t)} {
		s.show(note, w.Log.Entries)
		if _, err := size(t, l); !errors.Is(err, ledger.ErrBadCheckpoint) || halted(t, l, "bad-checkpoint") != 1 {
			t.Errorf("got %v", err)
		}
	}
	s.publish(t, w.Log)
	wantSize(t, l, 6)
}

func TestACheckpointNeedsThePolicysWitnesses(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{Witnesses: 3})
	w.Release(t, 1)
	dir, s := t.TempDir(), newShelf()
	l := mustOpen(t, dir, w.Envelope, s)
	witnesses := w.Log.Witnesses
	w.Log.Witnesses = witnesses[:1]
	s.publish(t, w.Log)
	if _, err := size(t, l); !errors.Is(err, ledger.ErrUnwitnessed) || halted(t, l, "unwitnessed") != 1 {
		t.Errorf("one witness: %v", err)
	}
	w.Log.Witnesses, w.Log.Now = witnesses, evidencetest.Opened+500
	s.publish(t, w.Log)
	for range 2 {
		wantSize(t, l, 2)
		err := l.Ask(t.Context(), 0, nil, func(v ledger.View) error {
			if v.Seen != evidencetest.Opened+501 { // the second of three, a second apart
				t.Errorf("seen at %v", v.Seen)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		l = mustOpen(t, dir, w.Envelope, s)
	}
	w.Log.Now += 3600 // cosigned again, later
	s.publish(t, w.Log)
	wantSize(t, l, 2)
	written := len(read(t, fileOf(dir)))
	w.Log.Now -= 3600 // a replica that has not heard of it
	s.publish(t, w.Log)
	err := l.Ask(t.Context(), 0, nil, func(v ledger.View) error {
		if v.Seen != evidencetest.Opened+4101 {
			t.Errorf("seen again at %v", v.Seen)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(read(t, fileOf(dir))); n != written {
		t.Errorf("old news was written: %d bytes, %d before", n, written)
	}
}

// Who publishes the first checkpoint over a policy that brings witnesses may
// not know it yet.
func TestWitnessesAreWantedFromThePolicyThatBringsThem(t *testing.T) {
	w, s := story(t)
	l := mustOpen(t, t.TempDir(), w.Envelope, s)
	wantSize(t, l, 6)
	next := w.Policy
	next.Serial, next.Previous, next.Issued, next.Log.Operator = 2, w.Version.Digest, next.Issued+1, "log-operator"
	witness := evidencetest.WitnessKey(t, "witness.example.net")
	next.Witnesses = policy.Witnesses{Keys: []policy.Witness{{Key: witness.VerifierKey, Operator: "somebody"}}, Quorum: 1}
	w.Log.Record(t, attest.RecordPolicy, w.Coordinator, w.Seal(t, next))
	s.publish(t, w.Log)
	wantSize(t, l, 7)
	w.Open(t, evidencetest.Suite, "more", 1)
	s.publish(t, w.Log)
	if _, err := size(t, l); !errors.Is(err, ledger.ErrUnwitnessed) {
		t.Errorf("after it: %v", err)
	}
	w.Log.Witnesses, w.Log.Now = []attest.SigningKey{witness}, evidencetest.Opened
	s.publish(t, w.Log)
	wantSize(t, l, 8)
}

func TestANewLogKeyIsBelievedOnceAPolicyBringsIt(t *testing.T) {
	w, s := story(t)
	l := mustOpen(t, t.TempDir(), w.Envelope, s)
	wantSize(t, l, 6)
	next := w.Policy
	next.Serial, next.Previous, next.Issued = 2, w.Version.Digest, next.Issued+1
	key := evidencetest.Ed25519Key(t, "next log key", evidencetest.Origin)
	next.Log.Key = key.VerifierKey
	second := w.Seal(t, next)
	w.Log.Record(t, attest.RecordPolicy, w.Coordinator, second)
	for i := range 5 { // more than one answer holds
		w.Open(t, evidencetest.Suite, "more", i+1)
	}
	w.Log.Key = key
	s.publish(t, w.Log)
	if _, err := size(t, l); !errors.Is(err, ledger.ErrBadCheckpoint) {
		t.Errorf("a key that nobody vouches for: %v", err)
	}
	s.policies = []*attest.Envelope{w.Envelope, second}
	wantSize(t, l, 12)
}

// Otherwise a key that got out would be good for ever, and a ledger could not
// read its own file after a checkpoint of a key that no policy before it brings.
func TestALogKeyCountsFromItsPolicysEntryToTheNextKeys(t *testing.T) {
	w, s := story(t)
	dir := t.TempDir()
	l := mustOpen(t, dir, w.Envelope, s)
	wantSize(t, l, 6)
	next := w.Policy
	next.Serial, next.Previous, next.Issued = 2, w.Version.Digest, next.Issued+1
	old, key := w.Log.Key, evidencetest.Ed25519Key(t, "next log key", evidencetest.Origin)
	next.Log.Key = key.VerifierKey
	second := w.Seal(t, next)
	s.policies = []*attest.Envelope{w.Envelope, second}
	wantRefused := func(when string) {
		t.Helper()
		if _, err := size(t, l); !errors.Is(err, ledger.ErrBadCheckpoint) || halted(t, l, "bad-checkpoint") != 1 {
			t.Errorf("%s: %v", when, err)
		}
	}
	w.Open(t, evidencetest.Suite, "before", 1)
	w.Log.Key = key
	s.publish(t, w.Log)
	wantRefused("a key before its policy's entry")
	l.Close()
	l = mustOpen(t, dir, w.Envelope, s)
	w.Log.Record(t, attest.RecordPolicy, w.Coordinator, second)
	s.publish(t, w.Log)
	wantSize(t, l, 8)
	w.Open(t, evidencetest.Suite, "after", 1)
	w.Log.Key = old
	s.publish(t, w.Log)
	wantRefused("a key after the next one's policy")
	w.Log.Key = key
	s.publish(t, w.Log)
	wantSize(t, l, 9)
	l.Close()
	wantSize(t, mustOpen(t, dir, w.Envelope, s), 9)
}

func TestEntriesBeforeThePinnedPolicyAreReadWithTheOlderOnes(t *testing.T) {
	w, s := story(t)
	first := w.Envelope
	next := w.Policy
	next.Serial, next.Previous, next.Issued = 2, w.Version.Digest, next.Issued+1
	second := w.Seal(t, next)
	w.Log.Record(t, attest.RecordPolicy, w.Coordinator, second)
	s.publish(t, w.Log)

	l := mustOpen(t, t.TempDir(), second, s)
	if _, err := size(t, l); !errors.Is(err, ledger.ErrOldPolicy) || halted(t, l, "old-policy") != 1 {
		t.Errorf("without the older policy: %v", err)
	}
	s.policies = []*attest.Envelope{second, first}
	dir := t.TempDir()
	for range 2 {
		l := mustOpen(t, dir, second, s)
		wantSize(t, l, 7)
		l.Close()
		s.policies = nil // they are in the file
	}
}

// Whoever keeps an old policy back, or does not have it yet, stops the ledger no
// longer than that; and what was read without it is read again.
func TestOlderPoliciesThatComeLaterAreTakenFromTheBeginning(t *testing.T) {
	w, s := evidencetest.New(t, evidencetest.Options{}), newShelf()
	first := w.Envelope
	w.Log.Record(t, attest.RecordPolicy, w.Coordinator, first) // read before it is seen that a policy lacks
	o := w.Open(t, evidencetest.Suite, evidencetest.Source, 1)
	next := w.Policy
	next.Serial, next.Previous, next.Issued = 2, w.Version.Digest, next.Issued+1
	second := w.Seal(t, next)
	w.Log.Record(t, attest.RecordPolicy, w.Coordinator, second)
	s.publish(t, w.Log)

	dir := t.TempDir()
	if begun, err := ledger.Begun(dir); begun || err != nil {
		t.Errorf("begun in an empty directory: %v, %v", begun, err)
	}
	l := mustOpen(t, dir, second, s)
	if begun, err := ledger.Begun(dir); !begun || err != nil {
		t.Errorf("begun: %v, %v", begun, err)
	}
	for range 2 {
		if _, err := size(t, l); !errors.Is(err, ledger.ErrOldPolicy) || l.Ready(t.Context()) == nil {
			t.Errorf("without the older policy: %v", err)
		}
	}
	s.policies = []*attest.Envelope{second, first}
	for range 2 {
		wantSize(t, l, 3)
		if err := l.Ready(t.Context()); err != nil || halted(t, l, "old-policy") != 0 {
			t.Errorf("once the older policy is there: %v", err)
		}
		err := l.Ask(t.Context(), 0, nil, func(v ledger.View) error {
			if r, known := v.Release(o.ID); !known || r.Policy.Digest != first.Digest() || len(v.Chain().Since(0)) != 2 {
				t.Errorf("the release is known: %v, under %v", known, r.Policy)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		s.policies = nil // they are in the file
		l = mustOpen(t, dir, second, s)
	}
	if n := bytes.Count(read(t, fileOf(dir)), []byte(`{"head":`)); n != 1 {
		t.Errorf("the file has %d heads", n)
	}
}

func TestManyOldPoliciesAreReadAgainFromTheFile(t *testing.T) {
	w, s := story(t)
	newest := w.Envelope
	for serial := uint64(2); serial <= 16; serial++ {
		next := w.Policy
		next.Serial, next.Previous, next.Issued = serial, newest.Digest(), next.Issued+1
		next.Publishers = slices.Clone(next.Publishers)
		next.Publishers[0].Sources = nil
		for i := range policy.MaxEntries {
			next.Publishers[0].Sources = append(next.Publishers[0].Sources, fmt.Sprintf("%0128d", i))
		}
		s.policies = append(s.policies, newest)
		newest = w.Seal(t, next)
		w.Log.Record(t, attest.RecordPolicy, w.Coordinator, newest)
	}
	s.publish(t, w.Log)
	dir := t.TempDir()
	for range 2 {
		l := mustOpen(t, dir, newest, s)
		wantSize(t, l, 21)
		l.Close()
	}
}

func TestAskWaitsForWhatIsPublishedNext(t *testing.T) {
	w, s := story(t)
	l := mustOpen(t, t.TempDir(), w.Envelope, s)
	wantSize(t, l, 6)
	answered := make(chan error, 1)
	waiting := make(chan struct{})
	var once sync.Once
	go func() {
		answered <- l.Ask(t.Context(), time.Hour, func(v ledger.View) bool {
			once.Do(func() { close(waiting) })
			return v.Size() == 8
		}, func(v ledger.View) error {
			if v.Size() != 8 {
				t.Errorf("%d entries", v.Size())
			}
			return nil
		})
	}()
	<-waiting
	for range 2 {
		w.Open(t, evidencetest.Suite, "more", 1)
		s.publish(t, w.Log)
		wantSize(t, l, len(w.Log.Entries)) // nobody is kept waiting by it
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	// Patience ends.
	err := l.Ask(t.Context(), time.Millisecond, func(ledger.View) bool { return false }, func(v ledger.View) error { return errors.New("asked") })
	if err == nil || err.Error() != "asked" {
		t.Errorf("got %v", err)
	}
}

func TestRunKeepsUpAndGoesOnAfterInterruptions(t *testing.T) {
	w, s := story(t)
	l := mustOpen(t, t.TempDir(), w.Envelope, s)
	s.fault = errors.New("away")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	wait := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); known(t, l) != float64(want); {
			if time.Now().After(deadline) {
				t.Fatalf("%v entries, want %d", known(t, l), want)
			}
		}
	}
	if _, err := size(t, l); err == nil {
		t.Error("asked while the log was away")
	}
	s.mu.Lock()
	s.fault = nil
	s.mu.Unlock()
	wait(6)
	w.Open(t, evidencetest.Suite, "more", 1)
	s.publish(t, w.Log)
	wait(7)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
