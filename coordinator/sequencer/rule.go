package sequencer

import (
	"context"
	"fmt"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
)

// rule is what the newest policy says of the log: who signs checkpoints, and
// who must have cosigned them before anybody sees them.
type rule struct {
	key attest.SigningKey
	set translog.Witnesses
}

func (r rule) witnessed() bool { return r.set.Quorum > 0 }

// vouchers is how many witnesses must say that they know of nothing larger
// before anything is signed: so many that one of them was in every quorum.
func (r rule) vouchers() int { return len(r.set.Keys) - r.set.Quorum + 1 }

// rule returns what is in force. It reads the policies anew: the entry of a
// policy that brings another log key must not come under a checkpoint of the
// key before.
func (s *Sequencer) rule(ctx context.Context) (rule, error) {
	if s.trust == nil {
		return rule{key: s.key}, nil
	}
	stored, err := s.store.Policies(ctx, s.trust.Newest().Serial)
	if err != nil {
		return rule{}, err
	}
	for _, e := range stored {
		if err := s.trust.Add(e); err != nil {
			return rule{}, fmt.Errorf("stored policy %s: %w", e.Digest().Short(), err)
		}
	}
	newest := s.trust.Newest()
	if newest.Log.Key.String() != s.key.String() {
		if s.keyOf == nil {
			return rule{}, fmt.Errorf("policy %d names another log key than the one that is here", newest.Serial)
		}
		key, err := s.keyOf(newest.Log.Key)
		if err != nil {
			return rule{}, fmt.Errorf("log key of policy %d: %w", newest.Serial, err)
		}
		if err := checkKey(key); err != nil {
			return rule{}, err
		}
		s.key, s.checked = key, false // its witnesses may know more than we do
	}
	return rule{key: s.key, set: translog.WitnessesOf(newest.Witnesses)}, nil
}

// openStored opens a stored checkpoint, which may be of an earlier policy's
// key. The policy that is pinned here may be newer than that; for what the
// database itself has signed, the policies that it holds will do.
func (s *Sequencer) openStored(ctx context.Context, note []byte) (translog.Checkpoint, error) {
	c, err := translog.OpenCheckpoint(note, s.key.VerifierKey)
	unknown := fmt.Errorf("%w: newest checkpoint: %w", coordinator.ErrForked, err)
	switch {
	case err == nil:
		return c, nil
	case s.trust == nil:
		return translog.Checkpoint{}, unknown
	}
	stored, err := s.store.Policies(ctx, 0)
	if err != nil {
		return translog.Checkpoint{}, err
	}
	for _, v := range s.trust.Since(0) {
		stored = append(stored, v.Envelope)
	}
	for _, e := range stored {
		p, parseErr := policy.Parse(e.Payload)
		if parseErr != nil {
			continue
		}
		if c, err := translog.OpenCheckpoint(note, p.Log.Key); err == nil {
			return c, nil
		}
	}
	return translog.Checkpoint{}, unknown
}

// confirm judges a decision by the witnesses' time (coordinator.Seen).
func (s *Sequencer) confirm(c coordinator.Case, d attest.Decision, seen policy.Seen) error {
	version, known := s.trust.ByDigest(c.Opening.Policy)
	if !known {
		// Older than the one pinned here: the next attempt is under a newer one.
		return fmt.Errorf("%w: policy %d of the release is not known here any more", policy.ErrTooLate, c.Opening.PolicySerial)
	}
	if version.Witnesses.IsZero() {
		return nil
	}
	c.Policy = version
	return policy.Confirm(c.Case, d, seen)
}
