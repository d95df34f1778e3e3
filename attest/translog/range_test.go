package translog_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest/translog"
)

// Package tlog computes the same roots from all hashes of the tree.
func TestRangeHasTheRootOfTheWholeTreeAtEverySize(t *testing.T) {
	whole := &tree{}
	var edge translog.Range
	for size := range int64(600) {
		want, err := tlog.TreeHash(size, whole)
		if err != nil {
			t.Fatal(err)
		}
		if edge.Size() != size || edge.Root() != want {
			t.Fatalf("size %d: got root %v at size %d, want %v", size, edge.Root(), edge.Size(), want)
		}
		leaf := fmt.Appendf(nil, "leaf %d", size)
		whole.add(t, leaf)
		if err := edge.Append(translog.LeafHash(leaf)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRangeResumesFromItsEdges(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 141))
	var straight, resumed translog.Range
	for i := range 1000 {
		leaf := translog.LeafHash(fmt.Appendf(nil, "leaf %d", i))
		if random.IntN(10) == 0 {
			copied := resumed.Clone()
			if err := resumed.Append(tlog.Hash{}); err != nil { // grows on its own
				t.Fatal(err)
			}
			var err error
			if resumed, err = translog.ResumeRange(copied.Size(), copied.Edges()); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range []*translog.Range{&straight, &resumed} {
			if err := r.Append(leaf); err != nil {
				t.Fatal(err)
			}
		}
		if straight.Root() != resumed.Root() {
			t.Fatalf("roots differ at size %d", i+1)
		}
	}
}

func TestRangeRefusesEdgesOfAnotherSize(t *testing.T) {
	for _, size := range []int64{-1, 2, 3, 7, translog.MaxTreeSize + 1} {
		if _, err := translog.ResumeRange(size, nil); err == nil {
			t.Errorf("size %d without edges was accepted", size)
		}
	}
	full, err := translog.ResumeRange(translog.MaxTreeSize, make([]tlog.Hash, 53))
	if err != nil {
		t.Fatal(err)
	}
	if err := full.Append(tlog.Hash{}); err == nil {
		t.Error("a full log took another entry")
	}
}
