package evidencetest

import (
	"bytes"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

// Log is an evidence log in memory.
type Log struct {
	Key    attest.SigningKey
	Leaves [][]byte
	// Entries are the leaves with their envelopes, as a follower reads them.
	Entries []translog.Entry
	// Witnesses cosign every checkpoint, the first one at Now and each other
	// one a second after the one before.
	Witnesses []attest.SigningKey
	Now       attest.Time

	hashes []tlog.Hash
}

// Append logs a statement that key has signed, and returns its index.
func (l *Log) Append(tb testing.TB, e *attest.Envelope, key attest.VerifierKey) int64 {
	tb.Helper()
	leaf, err := translog.Leaf(e, key)
	if err != nil {
		tb.Fatal(err)
	}
	return l.AppendLeaf(tb, leaf)
}

// AppendLeaf logs a leaf, whatever it is, and returns its index.
func (l *Log) AppendLeaf(tb testing.TB, leaf []byte) int64 {
	tb.Helper()
	index := int64(len(l.Leaves))
	hashes, err := tlog.StoredHashes(index, leaf, tlog.HashReaderFunc(l.read))
	if err != nil {
		tb.Fatal(err)
	}
	l.hashes, l.Leaves = append(l.hashes, hashes...), append(l.Leaves, leaf)
	return index
}

func (l *Log) read(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = l.hashes[x]
	}
	return out, nil
}

// Checkpoint signs the tree as it is, and has it cosigned.
func (l *Log) Checkpoint(tb testing.TB) []byte {
	tb.Helper()
	size := int64(len(l.Leaves))
	root, err := tlog.TreeHash(size, tlog.HashReaderFunc(l.read))
	if err != nil {
		tb.Fatal(err)
	}
	signed, err := translog.Checkpoint{Origin: l.Key.Name(), Size: size, Root: root}.Sign(l.Key)
	if err != nil {
		tb.Fatal(err)
	}
	return l.Cosign(tb, signed)
}

// Cosign returns a checkpoint with the cosignatures of all witnesses behind it.
func (l *Log) Cosign(tb testing.TB, signed []byte) []byte {
	tb.Helper()
	cosigned := bytes.Clone(signed)
	for i, w := range l.Witnesses {
		line, err := translog.Cosign(signed, w, l.Now+attest.Time(i))
		if err != nil {
			tb.Fatal(err)
		}
		cosigned = append(cosigned, line...)
	}
	return cosigned
}

// Prove returns the proof of an entry in the tree as it is.
func (l *Log) Prove(tb testing.TB, index int64) translog.Proof {
	tb.Helper()
	hashes, err := tlog.ProveRecord(int64(len(l.Leaves)), index, tlog.HashReaderFunc(l.read))
	if err != nil {
		tb.Fatal(err)
	}
	return translog.Proof{Index: index, Hashes: hashes, Checkpoint: l.Checkpoint(tb)}
}
