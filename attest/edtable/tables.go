package edtable

import (
	"crypto/ed25519"
	"sync"
	"sync/atomic"
)

const (
	// MaxTables bounds the tables of one [Tables]: together they have 17 MiB.
	// Further keys are verified as well, by crypto/ed25519 alone.
	MaxTables = 64

	// tableAfter is how many signatures of a key must have been good before it gets
	// a table. The table has paid for itself as soon as some thirty more follow. A
	// single release never brings that many, and a flood of bad ones none at all.
	tableAfter = 100
)

// Tables gives tables to those of an owner's keys that sign a lot. Keys are
// remembered as long as the Tables, so it belongs to something that lives long
// and knows few of them. The zero value is empty and ready for use; it must not
// be copied, and may be used concurrently.
type Tables struct {
	mu    sync.Mutex
	keys  map[string]*Key
	built atomic.Int32
}

// Key returns the key of public, which has [ed25519.PublicKeySize] bytes: always
// the same one, so that nothing is learned of it twice.
func (t *Tables) Key(public ed25519.PublicKey) *Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k, known := t.keys[string(public)]; known {
		return k
	}
	if t.keys == nil {
		t.keys = map[string]*Key{}
	}
	k := &Key{tables: t, public: append(ed25519.PublicKey(nil), public...)}
	t.keys[string(public)] = k
	return k
}

// Key is a public key that gets a table once that pays. It may be used concurrently.
type Key struct {
	tables *Tables
	public ed25519.PublicKey
	good   atomic.Int64 // signatures, until there is a table
	table  atomic.Pointer[Table]
}

// Verify reports whether signature is the key's over message, as
// [ed25519.Verify] does.
//
// What a table refuses is asked of crypto/ed25519 as well. A table that a fault
// of memory has changed would refuse good signatures for as long as the process lives:
// it is thrown away. It could not accept a bad one, short of hitting the one right
// point among 2^252. So bad signatures cost a third more than they
// would without a table, and good ones nothing.
func (k *Key) Verify(message, signature []byte) bool {
	table := k.table.Load()
	if table != nil && table.Verify(message, signature) {
		return true
	}
	if !ed25519.Verify(k.public, message, signature) {
		return false
	}
	switch {
	case table != nil:
		k.table.Store(nil)
	case k.good.Add(1) == tableAfter:
		k.build()
	}
	return true
}

// build is called once for a key.
func (k *Key) build() {
	if k.tables.built.Add(1) > MaxTables {
		return
	}
	if table, err := NewTable(k.public); err == nil {
		k.table.Store(table)
	}
}
