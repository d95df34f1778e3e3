package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// prepare writes the head of a new file. The policies before the pinned one
// belong to it; how many of them are to be had decides which entries can be read.
func (l *Ledger) prepare(ctx context.Context) error {
	if l.prepared {
		return nil
	}
	l.head = head{Form: fileForm, Pinned: l.pinned.Digest}
	if !l.pinned.Previous.IsZero() {
		all, err := l.reader.Policies(ctx)
		if err != nil {
			return fmt.Errorf("asking for the policies before the pinned one: %w", err)
		}
		l.head.History = before(l.pinned, all)
	}
	if err := l.precede(); err != nil {
		return err
	}
	l.prepared = true
	return l.breakOn(l.file.write(line{Head: &l.head}))
}

// restart begins with the first entry again, before anything is proven: entries
// that were read with too few old policies may mean something else with all of them.
func (l *Ledger) restart() error {
	chain, err := policy.Pin(l.pinned.Envelope)
	if err != nil {
		return err
	}
	l.begin(chain)
	l.prepared = false
	return l.breakOn(l.file.empty())
}

// before returns the policies that lead to the pinned one, the newest first, as
// far as they are among those given.
func before(pinned *policy.Version, all []*attest.Envelope) []*attest.Envelope {
	var history []*attest.Envelope
	for wanted := pinned.Previous; !wanted.IsZero(); {
		next := attest.Digest{}
		for _, e := range all {
			if e == nil || e.Digest() != wanted {
				continue
			}
			p, err := policy.Parse(e.Payload)
			if err != nil {
				return history
			}
			history, next = append(history, e), p.Previous
			break
		}
		wanted = next
	}
	return history
}

// served is one answer of the reader.
type served struct {
	from    int64
	note    []byte
	entries []translog.Entry
}

func (l *Ledger) ask(ctx context.Context, from int64, wait time.Duration) (*served, error) {
	note, entries, err := l.reader.Read(ctx, from, max(wait, 0))
	return &served{from, note, entries}, err
}

// advance takes in all that is published. It begins with what was served
// already, if that still fits.
func (l *Ledger) advance(ctx context.Context, s *served) error {
	if err := l.prepare(ctx); err != nil {
		return err
	}
	for {
		if from := l.follower.Size(); s == nil || s.from != from {
			var err error
			if s, err = l.ask(ctx, from, 0); err != nil {
				return err
			}
		}
		done, err := l.take(ctx, s)
		if done || err != nil {
			return err
		}
		if len(s.entries) == 0 {
			err := fmt.Errorf("%w: entry %d is not served, though a checkpoint covers it", ErrMissingBody, l.follower.Size())
			l.halt(err)
			return err
		}
		s = nil
	}
}

// take verifies what was served and reports whether all of it is known now that
// its checkpoint covers.
func (l *Ledger) take(ctx context.Context, s *served) (done bool, err error) {
	done, err = l.verify(ctx, s)
	if errors.Is(err, ErrForked) {
		err = l.forked(err, s.note)
		l.broken = err
		l.log.ErrorContext(ctx, "log forked, nothing is decided or signed any more", slog.Any("reason", err))
	}
	if errors.Is(err, ErrOldPolicy) && l.note == nil {
		err = errors.Join(err, l.restart()) // the policies are asked for once more
	}
	l.halt(err)
	return done, err
}

func (l *Ledger) verify(ctx context.Context, s *served) (done bool, err error) {
	known := l.follower.Confirmed()
	if s.note == nil {
		if known.Size > 0 {
			return false, fmt.Errorf("%w: no checkpoint is published, one of size %d was", ErrShrunk, known.Size)
		}
		return true, nil
	}
	c, err := l.openNewest(ctx, s.note)
	switch {
	case err != nil:
		return false, err
	case c.Size < l.follower.Size():
		// Entries may have been served beyond the largest checkpoint that was confirmed.
		return false, fmt.Errorf("%w: the newest checkpoint has size %d, entries up to %d were served before; was the database restored?", ErrShrunk, c.Size, l.follower.Size())
	case c.Size == known.Size && c.Root != known.Root:
		return false, fmt.Errorf("%w: two checkpoints of size %d with different roots", ErrForked, c.Size)
	}
	before := l.follower.Chain().Newest()
	if err := l.read(ctx, c.Size, s.entries); err != nil {
		return false, err
	}
	if l.follower.Size() != c.Size {
		return false, nil
	}
	return true, l.confirm(c, s.note, before)
}

// read takes in entries below a size.
func (l *Ledger) read(ctx context.Context, size int64, entries []translog.Entry) error {
	for i, e := range entries {
		if e.Index >= size {
			entries = entries[:i]
			break
		}
	}
	first := l.follower.Size()
	facts, err := l.follower.Append(entries)
	for i := range facts {
		f := &facts[i]
		if f.Problem != "" {
			l.metrics.problems.WithLabelValues(string(f.Kind)).Inc()
			l.log.WarnContext(ctx, "log entry changes nothing", slog.Int64("index", first+int64(i)), slog.Any("kind", f.Kind), slog.String("reason", f.Problem))
		}
		if err := l.breakOn(l.file.write(line{Fact: f})); err != nil {
			return err
		}
	}
	l.metrics.entries.Add(float64(len(facts)))
	return err
}

// confirm compares what was read with a checkpoint and stores both.
func (l *Ledger) confirm(c translog.Checkpoint, note []byte, before *policy.Version) error {
	seen, err := l.accepted(note, l.follower.Chain().Newest())
	if err != nil {
		// Who published a checkpoint over a new policy may not have known it yet.
		var again error
		if seen, again = l.accepted(note, before); again != nil {
			return err
		}
	}
	if c.Size == l.follower.Confirmed().Size && seen <= l.seen && l.note != nil {
		return nil // what is known already, or older cosignatures of it
	}
	if err := l.follower.Advance(c); err != nil {
		return err
	}
	if err := l.breakOn(l.file.prove(note)); err != nil {
		return err
	}
	l.note, l.seen = note, seen
	l.metrics.size.Set(float64(c.Size))
	l.metrics.seen.Set(float64(seen))
	return nil
}

// breakOn notes that the file could not be written: what is in memory is not on
// disk, and only a new start brings the two together.
func (l *Ledger) breakOn(err error) error {
	if err == nil {
		return nil
	}
	l.broken = fmt.Errorf("writing the signer's ledger: %w", err)
	return l.broken
}

// accepted returns when the witnesses of a policy saw a checkpoint that the
// policy's log key signed. A key counts from the entry of the policy that brings
// it until that of one with another, for it may have been changed because it got out.
func (l *Ledger) accepted(note []byte, v *policy.Version) (attest.Time, error) {
	if _, err := translog.OpenCheckpoint(note, v.Log.Key); err != nil {
		return 0, fmt.Errorf("%w of policy %d, the newest that the log holds: %w", ErrBadCheckpoint, v.Serial, err)
	}
	return l.witnessed(note, v)
}

// witnessed returns when the witnesses of a policy saw a checkpoint, zero if it
// has none.
func (l *Ledger) witnessed(note []byte, v *policy.Version) (attest.Time, error) {
	if v.Witnesses.IsZero() {
		return 0, nil
	}
	at, _, err := translog.WitnessesOf(v.Witnesses).Time(note)
	if err != nil {
		return 0, fmt.Errorf("%w %d: %w", ErrUnwitnessed, v.Serial, err)
	}
	return at, nil
}

// open verifies a checkpoint under the log key of any policy that is known.
// Whether the key is the one that counts is known once the tree is read.
func (l *Ledger) open(note []byte) (translog.Checkpoint, error) {
	return openUnder(l.follower.Chain(), note)
}

func openUnder(chain *policy.Chain, note []byte) (translog.Checkpoint, error) {
	versions := chain.Since(0)
	var first error
	for i := len(versions) - 1; i >= 0; i-- {
		c, err := translog.OpenCheckpoint(note, versions[i].Log.Key)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
	}
	return translog.Checkpoint{}, fmt.Errorf("%w: %w", ErrBadCheckpoint, first)
}

// openNewest is open also for a log key that only a policy brings which is
// among the entries still to be read.
func (l *Ledger) openNewest(ctx context.Context, note []byte) (translog.Checkpoint, error) {
	c, err := l.open(note)
	if err == nil {
		return c, nil
	}
	all, readErr := l.reader.Policies(ctx)
	if readErr != nil {
		return c, err
	}
	known := l.follower.Chain().Newest()
	ahead, pinErr := policy.Pin(known.Envelope)
	if pinErr != nil {
		return c, err
	}
	for _, e := range all {
		if e != nil && ahead.Check(e) == nil {
			_ = ahead.Add(e) // was just checked
		}
	}
	if c, newErr := openUnder(ahead, note); newErr == nil {
		return c, nil
	}
	return c, err
}
