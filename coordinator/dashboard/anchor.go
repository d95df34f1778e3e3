package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// endAnchor follows the name of a release in that of its anchor.
const endAnchor = ".anchor.sigstore.json"

// AnchorOf is where another log holds a decision.
type AnchorOf struct {
	Log    string      `json:"log"` // its origin
	Index  int64       `json:"index"`
	At     attest.Time `json:"at"`
	Bundle string      `json:"bundle"` // URL
}

// anchorOf returns nil for a decision that no other log holds yet.
func (b *Board) anchorOf(ctx context.Context, release attest.Digest) (*AnchorOf, error) {
	a, err := b.reader.Anchor(ctx, release)
	if errors.Is(err, coordinator.ErrNotFound) {
		return nil, nil //nolint:nilnil // nothing to show
	}
	if err != nil {
		return nil, err
	}
	return &AnchorOf{Log: a.Log, Index: a.Index, At: a.At, Bundle: fmt.Sprintf("/api/v1/releases/%v/anchor", release)}, nil
}

// anchor serves a decision's Sigstore bundle with the other log's proof. There
// is one, ever.
func (b *Board) anchor(r *http.Request) (any, error) {
	id, err := digestIn(r, "id")
	if err != nil {
		return nil, err
	}
	a, err := b.reader.Anchor(r.Context(), id)
	if err != nil {
		return nil, err
	}
	v, err := b.reader.View(r.Context(), id)
	if err != nil {
		return nil, err
	}
	return file{data: a.Bundle, contentType: typeJSON, cache: cacheForever, name: plainName(v) + endAnchor}, nil
}
