package translog

import (
	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest/policy"
)

// Differ returns what two followers know differently.
func Differ(a, b *Follower) string {
	if d := cmp.Diff(a.edge.Edges(), b.edge.Edges()); d != "" {
		return d
	}
	if d := cmp.Diff(a.chain.To(a.chain.Newest().Digest), b.chain.To(b.chain.Newest().Digest)); d != "" {
		return d
	}
	return cmp.Diff(a.index, b.index, cmp.AllowUnexported(index{}, entryRelease{}, owner{}),
		cmp.Comparer(func(v, w *policy.Version) bool { return v.Digest == w.Digest }))
}

// OpenLeaf and MakeLeaf read and write leaves without looking at signatures.
var (
	OpenLeaf = openLeaf
	MakeLeaf = makeLeaf
)
