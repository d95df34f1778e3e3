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

// Append logs a statement that key has signed, with the envelopes that it
// names, and returns its index.
func (l *Log) Append(tb testing.TB, e *attest.Envelope, key attest.VerifierKey, bodies ...*attest.Envelope) int64 {
	tb.Helper()
	leaf, err := translog.Leaf(e, key)
	if err != nil {
		tb.Fatal(err)
	}
	return l.Add(tb, translog.Entry{Leaf: leaf, Envelope: e, Bodies: bodies})
}

// Record logs envelopes through a coordinator's record of them.
func (l *Log) Record(tb testing.TB, kind attest.RecordKind, coordinator attest.SigningKey, bodies ...*attest.Envelope) int64 {
	tb.Helper()
	r, err := attest.NewRecord(coordinator.Name(), kind, bodies...)
	if err != nil {
		tb.Fatal(err)
	}
	return l.Append(tb, seal(tb, coordinator, r), coordinator.VerifierKey, bodies...)
}

// Add logs any entry at all, at the next index.
func (l *Log) Add(tb testing.TB, e translog.Entry) int64 {
	tb.Helper()
	index := int64(len(l.Leaves))
	hashes, err := tlog.StoredHashes(index, e.Leaf, tlog.HashReaderFunc(l.read))
	if err != nil {
		tb.Fatal(err)
	}
	e.Index = index
	l.hashes, l.Leaves, l.Entries = append(l.hashes, hashes...), append(l.Leaves, e.Leaf), append(l.Entries, e)
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
