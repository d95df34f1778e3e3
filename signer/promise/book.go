package promise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reprosign/reprosign/attest"
)

const directoryMode = 0o700

// whatToDo ends every message about promises that are lost.
const whatToDo = "what was promised there is not known, and nothing is signed; " +
	"docs/operations.md, \"The signer's promises are damaged\", says what to do"

var (
	// ErrOther says that another decision was promised for some bytes.
	ErrOther = errors.New("another decision was promised")
	// ErrBroken says that the file could not be written. What is on disk is known
	// again after a restart.
	ErrBroken = errors.New("promises cannot be written any more")
)

// Decision is what a promise names. The statement fixes all that a signature says:
// the time, the ground and, by the policy that it names, the log's origin.
type Decision struct {
	Release   attest.Digest // that it is about
	Statement attest.Digest // the decision's own digest
}

// Promise is that the one signature over some bytes names a decision.
type Promise struct {
	SHA512   attest.Digest512
	Decision Decision
}

// Config is what a book needs.
type Config struct {
	// Directory is where the book keeps its file; it is made if it is not there.
	Directory string
	// Used says that the signer has worked before: then a file that is not there
	// was lost, and none is made in its place.
	Used bool
	Log  *slog.Logger
}

// Book is what the signer has promised. It is safe for concurrent use.
type Book struct {
	count  prometheus.Gauge
	broken chan struct{} // closed once the file could not be written

	mu           sync.Mutex
	decisions    []Decision
	certificates map[string]uint32
	promised     map[subject]uint32 // a place in decisions; no pointers, for the garbage collector
	open         *batch             // what the next write puts on disk
	fault        error              // wraps ErrBroken

	writing sync.Mutex // held by whoever writes; taken before mu
	file    *file
}

// subject is what one signature is about. The first half of a SHA-512 is enough
// to tell contents apart.
type subject struct {
	bytes       [32]byte
	certificate uint32
}

// batch are promises that one write makes durable.
type batch struct {
	entries []entry
	size    int // promises in entries

	written bool // or failed; guarded by Book.writing, as err is
	err     error
}

// Open reads what was promised. Whatever is wrong with the file, apart from a torn
// end, is an error, and so is a used signer's file that is not there. An empty file
// promises nothing: then the log alone says what was signed.
func Open(c Config) (*Book, error) {
	began := time.Now()
	b := &Book{
		count: newCount(), broken: make(chan struct{}),
		certificates: map[string]uint32{}, promised: map[subject]uint32{}, open: &batch{},
	}
	if err := os.MkdirAll(c.Directory, directoryMode); err != nil {
		return nil, fmt.Errorf("opening the signer's promises: %w", err)
	}
	path := filepath.Join(c.Directory, fileName)
	if _, err := os.Lstat(path); c.Used && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the signer's promises: %s is gone, and this signer has worked before: %s", path, whatToDo)
	}
	var err error
	if b.file, err = openFile(path); err != nil {
		return nil, fmt.Errorf("opening the signer's promises %s: %w", path, err)
	}
	cut, err := b.file.load(b.learn)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the signer's promises: %s is damaged: %w; %s", path, err, whatToDo), b.Close())
	}
	b.count.Set(float64(len(b.promised)))
	c.Log.Info("promises read", slog.Int("promises", len(b.promised)), slog.Int64("torn_bytes", cut), slog.Duration("took", time.Since(began)))
	return b, nil
}

// Close releases the file. What was promised is on disk already.
func (b *Book) Close() error { return b.file.f.Close() }

// Given returns what was promised for some bytes and a certificate, by the
// fingerprint. It may not be on disk yet: see [Book.Give].
func (b *Book) Given(certificate string, sha512 attest.Digest512) (d Decision, given bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.given(certificate, sha512)
}

func (b *Book) given(certificate string, sha512 attest.Digest512) (d Decision, given bool) {
	number, known := b.certificates[certificate]
	if !known {
		return d, false
	}
	i, given := b.promised[subject{[32]byte(sha512[:32]), number}]
	if given {
		d = b.decisions[i]
	}
	return d, given
}

// Give promises for a certificate, all or nothing, and returns when all is on
// disk: then, and not before, the device may be asked. What was promised before is
// promised again at no cost. An error that wraps [ErrOther] says that another
// decision was promised for some of the bytes, one that wraps [ErrBroken] that
// nothing can be promised any more.
func (b *Book) Give(certificate string, promises []Promise) error {
	if certificate == "" || len(certificate) > maxCertificate || len(promises) > MaxBatch {
		return fmt.Errorf("%d promises for certificate %.64q, at most %d for a fingerprint allowed", len(promises), certificate, MaxBatch)
	}
	for {
		joined, room, err := b.join(certificate, promises)
		if err != nil {
			return err
		}
		if err := b.write(joined); err != nil || room {
			return err
		}
	}
}

// join adds promises to the open batch, if it has room for them. Whoever has
// nothing to add waits for it too: another's promise of the same may be in it.
func (b *Book) join(certificate string, promises []Promise) (joined *batch, room bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault != nil {
		return nil, false, b.fault
	}
	if b.open.size+len(promises) > MaxBatch {
		return b.open, false, nil
	}
	for _, p := range promises {
		if d, given := b.given(certificate, p.SHA512); given && d != p.Decision {
			return nil, false, fmt.Errorf("%w: decision %s about release %s", ErrOther, d.Statement.Short(), d.Release.Short())
		}
	}
	for _, p := range promises {
		if _, given := b.given(certificate, p.SHA512); given {
			continue
		}
		n := len(b.open.entries)
		if n == 0 || b.open.entries[n-1].Certificate != certificate || b.open.entries[n-1].decision() != p.Decision {
			b.open.entries = append(b.open.entries, entry{Certificate: certificate, Release: p.Decision.Release, Statement: p.Decision.Statement})
			b.decisions, n = append(b.decisions, p.Decision), n+1
		}
		b.open.entries[n-1].SHA512 = append(b.open.entries[n-1].SHA512, p.SHA512)
		b.open.size++
		b.note(certificate, p.SHA512)
	}
	return b.open, true, nil
}

func (e *entry) decision() Decision { return Decision{e.Release, e.Statement} }

// note makes a promise of the newest decision.
func (b *Book) note(certificate string, sha512 attest.Digest512) {
	number, known := b.certificates[certificate]
	if !known {
		number = uint32(len(b.certificates))
		b.certificates[certificate] = number
	}
	b.promised[subject{[32]byte(sha512[:32]), number}] = uint32(len(b.decisions) - 1)
}

// write returns when a batch is on disk, which it is for all that have joined it
// once the first of them has come here.
func (b *Book) write(joined *batch) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	if joined.written {
		return joined.err
	}
	b.mu.Lock()
	b.open = &batch{} // nobody joins any more
	joined.err = b.fault
	b.mu.Unlock()
	joined.written = true
	if joined.err != nil || joined.size == 0 {
		return joined.err
	}
	if err := b.file.append(joined.entries); err != nil {
		joined.err = fmt.Errorf("%w: %w", ErrBroken, err)
		b.mu.Lock()
		b.fault = joined.err
		b.mu.Unlock()
		close(b.broken)
		return joined.err
	}
	b.count.Add(float64(joined.size))
	return nil
}

// Watch returns nil when ctx ends, and an error once the file could not be
// written: what is known here and what is on disk differ then, and only a new
// start brings the two together.
func (b *Book) Watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-b.broken:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fault
}

// learn takes in a line of the file.
func (b *Book) learn(l line) error {
	for _, e := range l.Promises {
		b.decisions = append(b.decisions, e.decision())
		for _, sha512 := range e.SHA512 {
			if _, twice := b.given(e.Certificate, sha512); twice {
				return fmt.Errorf("it promises for bytes %s what was promised before", sha512)
			}
			b.note(e.Certificate, sha512)
		}
	}
	return nil
}
