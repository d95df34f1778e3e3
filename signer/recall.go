package signer

import (
	"context"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/signer/ledger"
)

// logPatience is how long a request waits for entries that it rests on and
// that are not published yet: a checkpoint is on its way a moment later.
const logPatience = 500 * time.Millisecond

// recallTime bounds the whole look at the log. Who asked gives up not much later,
// and must not have the device sign for nothing.
const recallTime = 10 * time.Second

// Ledger is what the signer needs of its memory of the log.
type Ledger interface {
	// Ask calls use with everything that was published before; see [ledger.Ledger.Ask].
	Ask(ctx context.Context, patience time.Duration, ready func(ledger.View) bool, use func(ledger.View) error) error
	// Own notes a leaf whose signature need not be verified when it comes back.
	Own(leaf []byte)
}

// recollection is what the log says, at one moment, of what one release needs.
type recollection struct {
	translog.Release

	logged  bool // the opening is in the log
	names   error
	newest  *policy.Version
	seen    attest.Time // when the witnesses saw the newest checkpoint; zero without witnesses
	problem string      // why nobody knows which policy is in force
}

// recall asks the ledger. Whatever keeps it from answering keeps the signer
// from deciding and signing.
func (s *Signer) recall(ctx context.Context, ready func(ledger.View) bool, use func(ledger.View)) error {
	ctx, cancel := context.WithTimeout(ctx, recallTime)
	defer cancel()
	err := s.ledger.Ask(ctx, logPatience, ready, func(v ledger.View) error {
		use(v)
		return nil
	})
	if err != nil {
		return refusal(bus.KindUnavailable, "signer does not know the log: %w", err)
	}
	return nil
}

// recollect picks out of a view what is about a release and its artifacts.
func recollect(v ledger.View, opening *attest.Envelope, artifacts attest.Artifacts) *recollection {
	m := &recollection{newest: v.Chain().Newest(), seen: v.Seen, problem: v.Contradiction()}
	if opening == nil {
		return m
	}
	if m.Release, m.logged = v.Release(opening.Digest()); !m.logged {
		return m
	}
	for _, a := range artifacts {
		if m.names = v.CheckName(m.Suite, m.Source, a.Name, a.SHA256); m.names != nil {
			break
		}
	}
	return m
}

// inForce reports why nothing may be decided or signed now, whatever it is.
func (m *recollection) inForce(suite *policy.Suite, at attest.Time) error {
	if m.problem != "" {
		return refusal(bus.KindDenied, "the admins contradict themselves (%s); they must sign a policy that follows", m.problem)
	}
	if err := m.newest.InForce(at); err != nil {
		return refusal(bus.KindDenied, "%w", err)
	}
	if m.seen.IsZero() {
		return nil // unwitnessed, as every verdict under this policy says
	}
	if limit := suite.CheckpointAge(); m.seen.Add(limit) < at {
		return refusal(bus.KindNotReady, "the log's newest checkpoint was seen by its witnesses at %v, more than %v ago: "+
			"nobody can tell what was logged since; see that coordinators and witnesses are up", m.seen, limit)
	}
	if m.seen > at.Add(MaxClockSkew) {
		return refusal(bus.KindNotReady, "the log's witnesses saw its newest checkpoint at %v, the signer's clock says %v; set it right", m.seen, at)
	}
	return nil
}

// objections are those that the log raises against the release.
func (m *recollection) objections() []policy.Objection {
	var out []policy.Objection
	for _, rebuilder := range m.Equivocators {
		out = append(out, policy.Objection{Kind: policy.ObjectionEquivocation, Rebuilder: rebuilder})
	}
	if m.Withdrawn {
		out = append(out, policy.Objection{Kind: policy.ObjectionWithdrawal})
	}
	return out
}
