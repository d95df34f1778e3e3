package sequencer

import (
	"context"
	"fmt"
	"log/slog"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
)

// whatToDo ends every message about a fork.
const whatToDo = "nothing is signed any more: connect the newest copy of the database, or, if it is lost, end this log and open the next one (docs/operations.md, \"After a restore\")"

// vouched asks the witnesses how large the log was that they cosigned, before
// this process signs for the first time, and again after every fault of the
// database: behind the same address may now be an older copy of it. So many
// must know of nothing larger that one of them was in every quorum there was.
func (s *Sequencer) vouched(ctx context.Context, r rule) error {
	if s.checked || !r.witnessed() {
		return nil
	}
	empty, err := translog.Checkpoint{Origin: r.key.Name(), Root: tlog.Hash(attest.SHA256(nil))}.Sign(r.key)
	if err != nil {
		return err
	}
	all := s.of(r)
	answers, asked := s.ask(ctx, r.key.Name(), all, func(ctx context.Context, w *witness) answer {
		return answer{err: s.vouches(ctx, w, empty)}
	})
	vouching, err := collect(ctx, answers, asked, r.vouchers())
	if err != nil {
		return err
	}
	if err := s.undisputed(ctx, r, all); err != nil {
		return err
	}
	if len(vouching) < r.vouchers() {
		return lacking("waiting to hear how large the log is before anything is signed", r.vouchers(), all, vouching)
	}
	s.checked = true
	return nil
}

// vouches asks one witness, and only then reads how large the log is: what
// another replica published meanwhile is in the database.
func (s *Sequencer) vouches(ctx context.Context, w *witness, empty []byte) error {
	size, err := w.size(ctx, empty)
	if err != nil {
		return err
	}
	tree, _, err := s.store.Committed(ctx)
	if err != nil {
		return err
	}
	if size > tree.Size {
		return &contradiction{size: size, why: fmt.Sprintf("says that it cosigned size %d, the database has %d", size, tree.Size)}
	}
	return nil
}

// undisputed looks at the witnesses that contradict us. One of them alone may
// lie, and must not stop the log by it; it is proof if it shows a checkpoint
// with our signature that does not fit, and reason enough if without the
// witnesses that contradict there is no quorum.
func (s *Sequencer) undisputed(ctx context.Context, r rule, all []*witness) error {
	// Read before the database: an answer that comes in between may be about what
	// another replica committed after our look.
	contradictions := make([]*contradiction, len(all))
	for i, w := range all {
		contradictions[i] = w.contradicts()
	}
	tree, _, err := s.store.Committed(ctx)
	if err != nil {
		return err
	}
	disputing := 0
	var last error
	for i, w := range all {
		c := contradictions[i]
		if c == nil || c.size >= 0 && c.size <= tree.Size { // another replica was ahead of us
			continue
		}
		disputing++
		last = fmt.Errorf("%w: witness %s %s; %s", coordinator.ErrForked, w.key.Name(), c.why, whatToDo)
		if err := s.disproved(ctx, r, tree, w, c.note); err != nil {
			return err
		}
	}
	if disputing > len(all)-r.set.Quorum {
		return last
	}
	return nil
}

// disproved returns an error if what a witness shows is a checkpoint that this
// log signed and that the database does not continue.
func (s *Sequencer) disproved(ctx context.Context, r rule, tree coordinator.Tree, w *witness, note []byte) error {
	c, err := translog.OpenCheckpoint(note, r.key.VerifierKey)
	if err != nil {
		return nil //nolint:nilerr // it shows nothing, or nothing that this log signed
	}
	if c.Size <= tree.Size {
		root, err := tlog.TreeHash(c.Size, s.hashes(ctx))
		if err != nil || root == c.Root {
			return err
		}
	}
	s.log.ErrorContext(ctx, "checkpoint of another history", slog.String("witness", w.key.Name()), slog.String("checkpoint", string(note)))
	return fmt.Errorf("%w: witness %s shows a checkpoint of size %d with the log's signature that the database, of size %d, does not continue; %s",
		coordinator.ErrForked, w.key.Name(), c.Size, tree.Size, whatToDo)
}
