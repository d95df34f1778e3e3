package translog

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// Follower knows what the entries of a log from the first one on say, as far as
// it has read them: which releases were opened, decided and withdrawn, which
// file names belong to whom, which policies are in force. It believes what
// follows from its pinned policy and skips, with a reason, what does not.
//
// Entries are believed to be the log's once [Follower.Advance] has compared
// them with a signed checkpoint. Ask it nothing between an Append and the
// Advance that confirms it.
//
// Two followers that start with the same policy and read the same entries know
// the same, whatever comes in between. A follower is not safe for concurrent use
// while it reads; it may be asked concurrently while it does not.
type Follower struct {
	chain *policy.Chain
	known func(leaf attest.Digest) bool

	edge      Range
	confirmed Checkpoint

	index index
}

// NewFollower returns a follower of the log from its first entry on. chain
// starts with the pinned policy, preceded by as many older ones as are to be
// had; the follower adds the newer ones as it meets them. Nobody else may.
func NewFollower(chain *policy.Chain) *Follower {
	return &Follower{chain: chain, confirmed: Checkpoint{Root: emptyRoot}, index: newIndex()}
}

// Trust spares the follower the verification of signatures that its owner
// made: known reports whether a leaf, by its hash, is the owner's own.
func (f *Follower) Trust(known func(leaf attest.Digest) bool) { f.known = known }

// Size returns how many entries were read.
func (f *Follower) Size() int64 { return f.edge.Size() }

// Root returns the root of the tree of the entries that were read.
func (f *Follower) Root() tlog.Hash { return f.edge.Root() }

// Confirmed returns the newest checkpoint that the entries were compared with.
func (f *Follower) Confirmed() Checkpoint { return f.confirmed }

// Chain returns the policies so far.
func (f *Follower) Chain() *policy.Chain { return f.chain }

// Append reads entries, which must follow on the last one, and returns what
// they mean. At an error it has read those whose facts it returns; errors wrap
// [ErrMissingBody] or [ErrOldPolicy].
func (f *Follower) Append(entries []Entry) ([]Fact, error) {
	facts := make([]Fact, 0, len(entries))
	for _, e := range entries {
		fact, err := f.Read(e)
		if err != nil {
			return facts, err
		}
		if err := f.Learn(fact); err != nil {
			return facts, err
		}
		facts = append(facts, fact)
	}
	return facts, nil
}

// Learn takes the meaning of the next entry from whoever read it before: from
// the follower's own cache. An error says that the fact cannot follow on those
// before it.
func (f *Follower) Learn(fact Fact) error {
	index := f.Size()
	if err := f.index.learn(f.chain, index, &fact); err != nil {
		return fmt.Errorf("learning of log entry %d: %w", index, err)
	}
	return f.edge.Append(tlog.Hash(fact.Leaf))
}

// Advance compares the entries with a checkpoint that the log's key signed.
// Another root for the same size is [ErrForked]: then the follower is of no use
// any more.
func (f *Follower) Advance(c Checkpoint) error {
	if c.Size != f.Size() {
		return fmt.Errorf("checkpoint of size %d for %d entries", c.Size, f.Size())
	}
	if c.Root != f.Root() {
		return fmt.Errorf("%w: checkpoint of size %d is signed over other entries than those served", ErrForked, c.Size)
	}
	f.confirmed = c
	return nil
}
