package monitor

import (
	"context"
	"errors"
	"fmt"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// maxScan bounds the entries that are searched for the policy that changed the
// log's key. Whoever looks from time to time is never so far behind.
const maxScan = 1 << 16

// open verifies a checkpoint under the key that the newest policy gives the
// log. A policy may change the key, and the origin with it; from that policy's own
// entry on checkpoints are signed with the new key. So where the known key did not sign,
// the entries from one on are searched for a policy whose key did: the admins' signatures
// on it say that it is theirs, before anything else about the tree is known.
func (l *Log) open(ctx context.Context, chain *policy.Chain, from int64, signed []byte) (translog.Checkpoint, error) {
	c, unsigned := openUnder(chain, signed)
	if unsigned == nil {
		return c, nil
	}
	claimed, err := translog.ReadForeign(signed)
	if err != nil || claimed.Size <= from {
		return c, unsigned
	}
	if err := l.searchPolicies(ctx, chain.Newest(), claimed, from, func(later *policy.Chain) bool {
		c, err = openUnder(later, signed)
		return err == nil
	}); err != nil {
		return translog.Checkpoint{}, err
	}
	if err != nil || c.Origin == "" {
		return translog.Checkpoint{}, unsigned
	}
	return c, nil
}

func openUnder(chain *policy.Chain, signed []byte) (translog.Checkpoint, error) {
	log := chain.Newest().Log
	return translog.OpenForeign(signed, log.Origin, log.Key)
}

// searchPolicies calls found with every longer chain of policies that entries
// of a claimed tree lead to, until it returns true. Errors wrap [ErrUnreachable]:
// whatever else stops the search, nothing was found.
func (l *Log) searchPolicies(ctx context.Context, newest *policy.Version, claimed translog.Checkpoint, from int64, found func(*policy.Chain) bool) error {
	chain, err := policy.Pin(newest.Envelope)
	if err != nil {
		return err
	}
	tree := l.Tree(claimed)
	for n := from / translog.TileWidth; tree.Width(n) > 0 && n*translog.TileWidth < from+maxScan; n++ {
		leaves, err := tree.Leaves(ctx, n)
		if err != nil {
			return unreachable(err)
		}
		for i, leaf := range leaves {
			if n*translog.TileWidth+int64(i) < from {
				continue
			}
			next, err := l.policyOf(ctx, leaf)
			if err != nil {
				return unreachable(err)
			}
			if next != nil && chain.Add(next) == nil && found(chain) {
				return nil
			}
		}
	}
	return nil
}

// unreachable lets pass the errors after which one has to ask again.
func unreachable(err error) error {
	if errors.Is(err, ErrUnreachable) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("searching the policy that names the log's key: %w", err)
	}
	return nil
}

// policyOf returns the policy that an entry brings into the log, unverified;
// nil if it brings none.
func (l *Log) policyOf(ctx context.Context, leaf []byte) (*attest.Envelope, error) {
	digest, err := translog.BodyOf(leaf)
	if err != nil {
		return nil, nil //nolint:nilerr // a leaf of others brings none
	}
	statement, err := l.present(ctx, digest)
	if err != nil || statement == nil || attest.PredicateType(statement.Payload) != attest.RecordType {
		return nil, err
	}
	record, err := attest.ParseRecord(statement.Payload)
	if err != nil || record.Kind != attest.RecordPolicy {
		return nil, nil //nolint:nilerr // for the follower to tell
	}
	return l.present(ctx, record.Bodies[0])
}
