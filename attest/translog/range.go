package translog

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Range is the right edge of a tree: the roots of its largest complete
// subtrees, from left to right. It is all that appending leaves and computing
// the root need, however large the tree is. The zero value is the empty tree.
type Range struct {
	size  int64
	edges []tlog.Hash // one for each bit set in size, the highest first
}

// ResumeRange returns the range of a tree from what [Range.Edges] gave.
func ResumeRange(size int64, edges []tlog.Hash) (Range, error) {
	if size < 0 || size > MaxTreeSize || len(edges) != bits.OnesCount64(uint64(size)) {
		return Range{}, malformed("right edge of %d hashes for a tree of %d entries", len(edges), size)
	}
	return Range{size, append([]tlog.Hash(nil), edges...)}, nil
}

// Size returns how many leaves were appended.
func (r *Range) Size() int64 { return r.size }

// Edges returns the hashes of the right edge.
func (r *Range) Edges() []tlog.Hash { return append([]tlog.Hash(nil), r.edges...) }

// Clone returns a copy that grows on its own.
func (r *Range) Clone() Range { return Range{r.size, r.Edges()} }

// Append adds a leaf by its hash.
func (r *Range) Append(leaf tlog.Hash) error {
	if r.size >= MaxTreeSize {
		return fmt.Errorf("appending to a log of %d entries: it is full", r.size)
	}
	r.edges = append(r.edges, leaf)
	r.size++
	for range bits.TrailingZeros64(uint64(r.size)) {
		last := len(r.edges) - 1
		r.edges[last-1] = tlog.NodeHash(r.edges[last-1], r.edges[last])
		r.edges = r.edges[:last]
	}
	return nil
}

// Root returns the root of the tree.
func (r *Range) Root() tlog.Hash {
	if r.size == 0 {
		return emptyRoot
	}
	root := r.edges[len(r.edges)-1]
	for i := len(r.edges) - 2; i >= 0; i-- {
		root = tlog.NodeHash(r.edges[i], root)
	}
	return root
}
