package witness

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

// MaxLogs bounds the logs that one witness cosigns.
const MaxLogs = 1024

// The refusals of C2SP tlog-witness. What is refused is never cosigned; all but
// ErrConflict and ErrClock stay refused however often it is asked.
var (
	// ErrMalformed: the request is none, or its old size is above its checkpoint's.
	ErrMalformed = errors.New("request is malformed")
	// ErrUnknownLog: the origin is not of a log that this witness cosigns.
	ErrUnknownLog = errors.New("log is not known to this witness")
	// ErrUnsigned: no known key of the log signed the checkpoint, or one did badly.
	ErrUnsigned = errors.New("checkpoint is not signed by the log")
	// ErrConflict: the old size is not the last one cosigned. See [Conflict].
	ErrConflict = errors.New("old size is not the last one cosigned")
	// ErrInconsistent: the checkpoint does not provably continue the last one
	// cosigned. With a checkpoint that the log did sign this is the sign of a fork.
	ErrInconsistent = errors.New("checkpoint does not continue the last one cosigned")
	// ErrClock: this machine's clock is behind its last cosignature.
	ErrClock = errors.New("clock went back")
)

// Conflict is the refusal that tells the size to prove from. It is an ErrConflict.
type Conflict struct{ Size int64 }

func (c Conflict) Error() string {
	return fmt.Sprintf("old size is not the last one cosigned, which is %d", c.Size)
}

// Is reports that a Conflict is an ErrConflict.
func (Conflict) Is(target error) bool { return target == ErrConflict }

// Config is what a witness is made of.
type Config struct {
	// Key is the witness's own, of type attest.Cosignature.
	Key attest.SigningKey
	// Logs are the keys of the logs that are cosigned, each named by its log's
	// origin. A log that changes its key has two for a time.
	Logs []attest.VerifierKey
	// Dir is the directory that [Create] made.
	Dir string
	// Now is the clock; nil means the machine's.
	Now    func() time.Time
	Logger *slog.Logger // nil discards
}

// Witness cosigns the checkpoints of logs. It is safe for concurrent use.
type Witness struct {
	key     attest.SigningKey
	memory  *memory
	logs    map[string]*watched // by origin
	byName  map[string]*watched // by the name over HTTP
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics
}

// watched is one log. Its lock is held from reading what was cosigned last
// until the next one is on the disk.
type watched struct {
	origin string
	keys   []attest.VerifierKey

	mu     sync.Mutex
	loaded bool // what follows is what the disk holds
	note   []byte
	last   translog.Checkpoint
	at     attest.Time
}

// Open returns a witness over its memory, which stays locked against other
// processes until Close.
func Open(c Config) (*Witness, error) {
	if c.Key.Algorithm() != attest.Cosignature {
		return nil, fmt.Errorf("witness key of %q is %v, must be %v", c.Key.Name(), c.Key.Algorithm(), attest.Cosignature)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Witness{key: c.Key, logs: map[string]*watched{}, byName: map[string]*watched{}, now: c.Now, log: c.Logger, metrics: newMetrics()}
	for _, k := range c.Logs {
		if err := w.watch(k); err != nil {
			return nil, err
		}
	}
	if len(w.logs) == 0 || len(w.logs) > MaxLogs {
		return nil, fmt.Errorf("witness of %d logs, 1 to %d allowed", len(w.logs), MaxLogs)
	}
	var err error
	if w.memory, err = openMemory(c.Dir, c.Key.VerifierKey); err != nil {
		return nil, err
	}
	for _, l := range w.logs {
		if err := w.recall(l); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	return w, nil
}

// Close lets another process have the memory. Call it when nothing is served any more.
func (w *Witness) Close() error { return w.memory.close() }

func (w *Witness) watch(key attest.VerifierKey) error {
	origin := key.Name()
	if key.Algorithm() != attest.Ed25519 {
		return fmt.Errorf("key of log %q is %v, must be %v", origin, key.Algorithm(), attest.Ed25519)
	}
	l := w.logs[origin]
	if l == nil {
		l = &watched{origin: origin}
		w.logs[origin], w.byName[name(origin)] = l, l
	}
	if slices.ContainsFunc(l.keys, func(k attest.VerifierKey) bool { return k.ID() == key.ID() }) {
		return fmt.Errorf("key of log %q is listed twice", origin)
	}
	l.keys = append(l.keys, key)
	return nil
}

// recall reads what was cosigned last, if that is not known.
func (w *Witness) recall(l *watched) error {
	if l.loaded {
		return nil
	}
	note, c, at, err := w.memory.load(l.origin)
	if err != nil {
		return err
	}
	if note == nil {
		c = translog.Checkpoint{Origin: l.origin, Root: tlog.Hash(attest.SHA256(nil))}
	}
	l.note, l.last, l.at, l.loaded = note, c, at, true
	w.metrics.cosigned(l)
	return nil
}

// AddCheckpoint checks a request, remembers its checkpoint and returns the
// cosignature: a signature line. Errors other than the refusals above are
// faults of this machine.
func (w *Witness) AddCheckpoint(body []byte) ([]byte, error) {
	r, err := translog.ParseAddCheckpoint(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	l := w.logs[translog.Origin(r.Checkpoint)]
	if l == nil {
		return nil, ErrUnknownLog
	}
	c, err := translog.OpenForeign(r.Checkpoint, l.origin, l.keys...)
	switch {
	case errors.Is(err, attest.ErrBadSignature):
		return nil, fmt.Errorf("%w: %w", ErrUnsigned, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	case r.Old > c.Size:
		return nil, fmt.Errorf("%w: old size %d, checkpoint of size %d", ErrMalformed, r.Old, c.Size)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return w.cosign(l, r, c)
}

// cosign does the part that is atomic for a log.
func (w *Witness) cosign(l *watched, r translog.AddCheckpoint, c translog.Checkpoint) ([]byte, error) {
	if err := w.recall(l); err != nil {
		return nil, err
	}
	if r.Old != l.last.Size {
		return nil, Conflict{l.last.Size}
	}
	if err := translog.CheckConsistency(r.Proof, c, l.last); err != nil {
		w.suspect(l, r, c, err)
		return nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	now := attest.At(w.now())
	if now < l.at {
		return nil, fmt.Errorf("%w: it is %v, the last cosignature is of %v", ErrClock, now, l.at)
	}
	line, err := translog.Cosign(r.Checkpoint, w.key, now)
	if err != nil {
		return nil, err
	}
	note, err := translog.Prune(r.Checkpoint, l.keys...)
	if err != nil {
		return nil, err
	}
	if note = append(note, line...); len(note) > translog.MaxCheckpoint {
		return nil, fmt.Errorf("%w: checkpoint leaves no room for a cosignature", ErrMalformed)
	}
	l.loaded = false // until the disk has it
	if err := w.memory.store(l.origin, note); err != nil {
		return nil, err
	}
	l.note, l.last, l.at, l.loaded = note, c, now, true
	w.metrics.cosigned(l)
	return line, nil
}

// suspect notes a checkpoint that may prove a fork, since the log signed it and
// it was not shown to continue the last one. Anybody can send again what the log
// has signed, with a proof that is none and with lines behind it: so what any tree
// continues is left out, and of the checkpoint only what the log signed is kept.
func (w *Witness) suspect(l *watched, r translog.AddCheckpoint, c translog.Checkpoint, reason error) {
	if c == l.last || l.last.Size == 0 && c.Size > 0 {
		return
	}
	w.metrics.contradictions.WithLabelValues(l.origin).Inc()
	if pruned, err := translog.Prune(r.Checkpoint, l.keys...); err == nil {
		r.Checkpoint = pruned
	}
	w.log.Error("checkpoint refused that does not continue its log", slog.String("request", string(r.Marshal())), slog.Any("reason", reason))
}

// newest returns the last checkpoint of a log that was cosigned, by the log's
// name over HTTP; nil if there is none.
func (w *Witness) newest(name string) ([]byte, error) {
	l := w.byName[name]
	if l == nil {
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := w.recall(l); err != nil {
		return nil, err
	}
	return l.note, nil
}
