package monitor

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

// Entries returns the entries of leaves, which begin at an index, with their
// envelopes. An envelope that is not served, or is none, is left out: whoever
// reads the entry then says what is missing. Errors wrap [ErrUnreachable].
func (l *Log) Entries(ctx context.Context, first int64, leaves [][]byte) ([]translog.Entry, error) {
	entries := make([]translog.Entry, len(leaves))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, leaf := range leaves {
		entries[i] = translog.Entry{Index: first + int64(i), Leaf: leaf}
		group.Go(func() error { return l.complete(ctx, &entries[i]) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return entries, nil
}

// complete fetches what an entry names.
func (l *Log) complete(ctx context.Context, e *translog.Entry) error {
	digest, err := translog.BodyOf(e.Leaf)
	if err != nil {
		return nil //nolint:nilerr // a leaf of others: the follower says so
	}
	if e.Envelope, err = l.present(ctx, digest); err != nil || e.Envelope == nil {
		return err
	}
	for _, named := range translog.BodiesOf(e.Envelope) {
		body, err := l.present(ctx, named)
		if err != nil {
			return err
		}
		if body != nil {
			e.Bodies = append(e.Bodies, body)
		}
	}
	return nil
}

// present returns a body, or nil if there is none. Only when nobody can tell
// there is an error.
func (l *Log) present(ctx context.Context, digest attest.Digest) (*attest.Envelope, error) {
	e, err := l.Body(ctx, digest)
	switch {
	case err == nil:
		return e, nil
	case errors.Is(err, ErrUnreachable), ctx.Err() != nil:
		return nil, fmt.Errorf("body %s: %w", digest.Short(), err)
	}
	return nil, nil // what is no envelope is as good as nothing
}
