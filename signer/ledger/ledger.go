package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

const (
	// followWait is how long one question for new entries waits.
	followWait = 20 * time.Second
	// firstPause and longPause bound the pauses after a failed question.
	firstPause = 100 * time.Millisecond
	longPause  = 10 * time.Second
	// maxOwn bounds the remembered leaves of the owner's own statements.
	maxOwn = 1 << 16

	directoryMode = 0o700
)

// Config is what a ledger needs.
type Config struct {
	// Directory is where the ledger keeps its file; it is made if it is not there.
	Directory string
	// Trust is the chain that starts with the pinned policy. The ledger extends
	// it from the log; nobody else may.
	Trust  *policy.Chain
	Reader Reader
	Log    *slog.Logger
}

// Ledger is a verified copy of what the log says. It is safe for concurrent use.
type Ledger struct {
	directory string
	reader    Reader
	log       *slog.Logger
	metrics   *metrics

	// turn is held by whoever reads or changes what is below it.
	turn     chan struct{}
	broken   error // the log is forked, or the file cannot be written any more
	pinned   *policy.Version
	prepared bool // the policies before the pinned one were asked for
	head     head
	follower *translog.Follower
	file     *file
	note     []byte      // the newest verified checkpoint
	seen     attest.Time // when its witnesses saw it; zero without witnesses

	haltedMu sync.Mutex
	halted   error // why nothing goes on

	ownMu sync.Mutex
	own   map[attest.Digest]struct{}
}

// Open reads the ledger's file. After a fork that an earlier run met, it knows
// nothing and says why.
func Open(c Config) (*Ledger, error) {
	l := &Ledger{
		directory: c.Directory, reader: c.Reader, log: c.Log, metrics: newMetrics(), turn: make(chan struct{}, 1),
		pinned: c.Trust.Newest(), own: map[attest.Digest]struct{}{},
	}
	l.begin(c.Trust)
	if err := os.MkdirAll(c.Directory, directoryMode); err != nil {
		return nil, fmt.Errorf("opening the signer's ledger: %w", err)
	}
	path := filepath.Join(c.Directory, logName)
	var err error
	if l.file, err = openFile(path); err != nil {
		return nil, fmt.Errorf("opening the signer's ledger: %w", err)
	}
	if l.broken = checkForked(c.Directory); l.broken != nil {
		l.halt(l.broken)
	} else if err := l.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the signer's ledger %s: %w; remove it to read the log again from its first entry", path, err), l.Close())
	}
	return l, nil
}

// Begun reports whether a ledger was ever kept in a directory.
func Begun(directory string) (bool, error) {
	_, err := os.Lstat(filepath.Join(directory, logName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// begin makes the ledger know nothing but a chain of policies.
func (l *Ledger) begin(chain *policy.Chain) {
	l.follower = translog.NewFollower(chain)
	l.follower.Trust(l.isOwn)
}

// Close releases the file. What is known is on disk already.
func (l *Ledger) Close() error { return l.file.close() }

func (l *Ledger) load() error {
	began := time.Now()
	cut, err := l.file.load(func(n line) error {
		switch {
		case n.Head != nil:
			if n.Head.Form != fileForm || n.Head.Pinned != l.pinned.Digest {
				return fmt.Errorf("it is of form %d and begins with policy %s, wanted are form %d and the pinned policy %s",
					n.Head.Form, n.Head.Pinned.Short(), fileForm, l.pinned.Digest.Short())
			}
			l.head, l.prepared = *n.Head, true
			return l.precede()
		case n.Fact != nil:
			return l.follower.Learn(*n.Fact)
		case n.Proof != nil:
			return l.proven(n.Proof.Checkpoint)
		}
		return errors.New("line says nothing")
	})
	if err != nil {
		return err
	}
	c := l.follower.Confirmed()
	l.metrics.size.Set(float64(c.Size))
	l.metrics.seen.Set(float64(l.seen))
	l.log.Info("ledger read", slog.Int64("size", c.Size), slog.Int64("torn_bytes", cut), slog.Duration("took", time.Since(began)))
	return nil
}

// proven takes a checkpoint that was verified before it was written.
func (l *Ledger) proven(note []byte) error {
	c, err := l.open(note)
	if err != nil {
		return err
	}
	if err := l.follower.Advance(c); err != nil {
		return err
	}
	l.note = note
	l.seen, _ = l.witnessed(note, l.follower.Chain().Newest())
	return nil
}

// precede puts the policies of the head before the pinned one.
func (l *Ledger) precede() error {
	for _, e := range l.head.History {
		if err := l.follower.Chain().Precede(e); err != nil {
			return err
		}
	}
	return nil
}

// Run keeps up with the log until ctx ends or the file cannot be written any
// more. Everything else is logged, shown by the metrics and tried again; a fork
// is waited out, since what has halted must go on saying so.
func (l *Ledger) Run(ctx context.Context) error {
	pause := firstPause
	for ctx.Err() == nil {
		err := l.follow(ctx)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			pause = firstPause
		case errors.Is(err, ErrForked):
			l.log.ErrorContext(ctx, "halted until a person has looked", slog.Any("reason", err))
			<-ctx.Done()
		case l.isBroken() != nil:
			return l.isBroken()
		default:
			l.metrics.interruptions.Inc()
			l.log.WarnContext(ctx, "log not followed, trying again", slog.Duration("pause", pause), slog.Any("reason", err))
			timer := time.NewTimer(pause/2 + rand.N(pause/2)) //nolint:gosec // spreads load, guards nothing
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
			pause = min(2*pause, longPause)
		}
	}
	return nil
}

// follow waits for entries and takes them in.
func (l *Ledger) follow(ctx context.Context) error {
	if err := l.lock(ctx); err != nil {
		return err
	}
	from := l.follower.Size()
	l.unlock()
	served, err := l.ask(ctx, from, followWait) // nobody is kept waiting meanwhile
	if err != nil {
		return err
	}
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	return l.advance(ctx, served)
}

// View is what the ledger knows at a moment.
type View struct {
	*translog.Follower

	// Seen is when the witnesses of the newest policy saw the newest verified
	// checkpoint, zero if the policy has none.
	Seen attest.Time
}

// Ask calls use with everything that was published before Ask was called. If
// ready is given and says no, it waits for what is published next, until ready
// says yes or patience has run out. use must be quick and must not keep the
// view: nothing is taken in meanwhile. Errors say why the ledger cannot tell;
// [ErrForked] and its like are among them.
func (l *Ledger) Ask(ctx context.Context, patience time.Duration, ready func(View) bool, use func(View) error) error {
	deadline := time.Now().Add(patience)
	var served *served
	for {
		from, done, err := l.askOnce(ctx, served, func(v View) bool {
			return ready == nil || ready(v) || !time.Now().Before(deadline)
		}, use)
		if done || err != nil {
			return err
		}
		if served, err = l.ask(ctx, from, time.Until(deadline)); err != nil {
			return err
		}
	}
}

func (l *Ledger) askOnce(ctx context.Context, served *served, ready func(View) bool, use func(View) error) (from int64, done bool, err error) {
	if err := l.lock(ctx); err != nil {
		return 0, false, err
	}
	defer l.unlock()
	if err := l.advance(ctx, served); err != nil {
		return 0, false, err
	}
	v := View{l.follower, l.seen}
	if !ready(v) {
		return l.follower.Size(), false, nil
	}
	return 0, true, use(v)
}

// lock waits for its turn with the log.
func (l *Ledger) lock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if l.broken != nil {
		l.unlock()
		return l.broken
	}
	return nil
}

func (l *Ledger) unlock() { <-l.turn }

func (l *Ledger) isBroken() error {
	l.turn <- struct{}{}
	defer l.unlock()
	return l.broken
}

// Ready reports why the ledger stands still, if it does.
func (l *Ledger) Ready(context.Context) error {
	l.haltedMu.Lock()
	defer l.haltedMu.Unlock()
	return l.halted
}

func (l *Ledger) halt(err error) {
	l.haltedMu.Lock()
	defer l.haltedMu.Unlock()
	l.halted = err
	l.metrics.halt(err)
}

// Own notes that a statement with this leaf is the owner's, so that its
// signature need not be verified when it comes back in the log.
func (l *Ledger) Own(leaf []byte) {
	l.ownMu.Lock()
	defer l.ownMu.Unlock()
	if len(l.own) >= maxOwn {
		clear(l.own) // those that never reached the log; the others are verified as any
	}
	l.own[attest.Digest(translog.LeafHash(leaf))] = struct{}{}
}

func (l *Ledger) isOwn(leaf attest.Digest) bool {
	l.ownMu.Lock()
	defer l.ownMu.Unlock()
	_, own := l.own[leaf]
	delete(l.own, leaf)
	return own
}
