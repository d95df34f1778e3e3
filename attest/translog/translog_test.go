package translog_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

const origin = "log.example.org"

func logKey(tb testing.TB, name string, seed byte) attest.SigningKey {
	tb.Helper()
	k, err := attest.NewSigningKey(name, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func statementKey(tb testing.TB, seed byte) attest.SigningKey {
	tb.Helper()
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		tb.Fatal(err)
	}
	k, err := attest.NewSigningKey("opener", private)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func statement(tb testing.TB, n byte) *attest.Envelope {
	tb.Helper()
	e, err := attest.Opening{
		Coordinator: "opener", Request: attest.Digest{1}, Policy: attest.Digest{2}, PolicySerial: 1, Attempt: 1,
		Nonce: attest.Digest{n}, Opened: 1_800_000_000, Deadline: 1_800_003_600,
	}.Seal(statementKey(tb, 1))
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// tree is a log in memory: stored hashes in the order of package tlog.
type tree struct {
	hashes []tlog.Hash
	leaves [][]byte
}

func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = t.hashes[x]
	}
	return out, nil
}

func (t *tree) add(tb testing.TB, leaf []byte) {
	tb.Helper()
	h, err := tlog.StoredHashes(int64(len(t.leaves)), leaf, t)
	if err != nil {
		tb.Fatal(err)
	}
	t.hashes = append(t.hashes, h...)
	t.leaves = append(t.leaves, leaf)
}

func (t *tree) checkpoint(tb testing.TB, key attest.SigningKey) []byte {
	tb.Helper()
	root, err := tlog.TreeHash(int64(len(t.leaves)), t)
	if err != nil {
		tb.Fatal(err)
	}
	signed, err := translog.Checkpoint{Origin: key.Name(), Size: int64(len(t.leaves)), Root: root}.Sign(key)
	if err != nil {
		tb.Fatal(err)
	}
	return signed
}

func (t *tree) prove(tb testing.TB, index int64, checkpoint []byte) translog.Proof {
	tb.Helper()
	hashes, err := tlog.ProveRecord(int64(len(t.leaves)), index, t)
	if err != nil {
		tb.Fatal(err)
	}
	return translog.Proof{Index: index, Hashes: hashes, Checkpoint: checkpoint}
}

func grow(tb testing.TB, n int) *tree {
	tb.Helper()
	t := &tree{}
	for i := range n {
		t.add(tb, fmt.Appendf(nil, "leaf %d", i))
	}
	return t
}
