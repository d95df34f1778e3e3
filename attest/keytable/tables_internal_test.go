package keytable

import (
	"bytes"
	"crypto/ed25519"
	"sync"
	"sync/atomic"
	"testing"
)

// signer signs the same message again and again. It is its own public key, too.
type signer struct {
	public          ed25519.PublicKey
	message, signed []byte
}

func newSigner(seed byte) signer {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	message := []byte("a vote")
	return signer{private.Public().(ed25519.PublicKey), message, ed25519.Sign(private, message)}
}

func (s signer) Bytes() []byte { return s.public }
func (s signer) Verify(message, signature []byte) bool {
	return ed25519.Verify(s.public, message, signature)
}
func (s signer) Table() (Verifier, error) { return &table{signer: s}, nil }

// table verifies until a fault of memory makes it refuse everything.
type table struct {
	signer

	faulty atomic.Bool
}

func (t *table) Verify(message, signature []byte) bool {
	return !t.faulty.Load() && t.signer.Verify(message, signature)
}

// verify verifies n good signatures.
func (s signer) verify(t *testing.T, k *Key, n int) {
	t.Helper()
	for range n {
		if !k.Verify(s.message, s.signed) {
			t.Fatal("good signature refused")
		}
	}
}

// refuse verifies n bad signatures.
func (s signer) refuse(t *testing.T, k *Key, n int) {
	t.Helper()
	for range n {
		if k.Verify([]byte("another vote"), s.signed) {
			t.Fatal("bad signature accepted")
		}
	}
}

func TestAKeyGetsATableByItsGoodSignatures(t *testing.T) {
	t.Parallel()
	var tables Tables
	s := newSigner(1)
	k := tables.Key(s)
	s.refuse(t, k, 2*tableAfter)
	s.verify(t, k, tableAfter-1)
	if k.table.Load() != nil {
		t.Errorf("table after %d good signatures", tableAfter-1)
	}
	s.verify(t, k, 1)
	table := k.table.Load()
	if table == nil {
		t.Fatalf("no table after %d good signatures", tableAfter)
	}
	s.refuse(t, k, 1)
	s.verify(t, k, 2*tableAfter)
	if k.table.Load() != table || tables.built.Load() != 1 {
		t.Errorf("%d tables built", tables.built.Load())
	}
	if tables.Key(newSigner(1)) != k {
		t.Error("the same key is another one when asked for again")
	}
}

func TestATableIsBuiltOnceByWhomeverUsesItsKey(t *testing.T) {
	t.Parallel()
	var tables Tables
	s := newSigner(1)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			k := tables.Key(s)
			s.verify(t, k, tableAfter)
			s.refuse(t, k, tableAfter)
		})
	}
	wg.Wait()
	if n := tables.built.Load(); n != 1 || tables.Key(s).table.Load() == nil {
		t.Errorf("%d tables built, want 1", n)
	}
}

func TestTablesAreBounded(t *testing.T) {
	t.Parallel()
	var tables Tables
	with := 0
	for seed := range byte(MaxTables + 2) {
		s := newSigner(seed)
		k := tables.Key(s)
		k.good.Store(tableAfter - 1)
		s.verify(t, k, 2)
		s.refuse(t, k, 1)
		if k.table.Load() != nil {
			with++
		}
	}
	if with != MaxTables {
		t.Errorf("%d of %d keys have a table, want %d", with, MaxTables+2, MaxTables)
	}
}

func TestATableThatWentWrongIsThrownAway(t *testing.T) {
	t.Parallel()
	var tables Tables
	s := newSigner(1)
	k := tables.Key(s)
	s.verify(t, k, tableAfter)
	(*k.table.Load()).(*table).faulty.Store(true)
	s.refuse(t, k, 1)
	if k.table.Load() == nil {
		t.Error("table thrown away for a bad signature")
	}
	s.verify(t, k, 1)
	if k.table.Load() != nil {
		t.Error("wrong table still there")
	}
	s.verify(t, k, 2*tableAfter)
	if k.table.Load() != nil {
		t.Error("table built again")
	}
}
