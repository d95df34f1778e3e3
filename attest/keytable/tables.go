package keytable

import (
	"sync"
	"sync/atomic"
)

const (
	// MaxTables bounds the tables of one [Tables]: together they have 31 MiB.
	// Further keys are verified as well, without a table.
	MaxTables = 64

	// tableAfter is how many signatures of a key must have been good before it gets
	// a table. The table has paid for itself as soon as some fifty more follow. A
	// single release never brings that many, and a flood of bad ones none at all.
	tableAfter = 100
)

// Verifier verifies signatures by one public key. It may be used concurrently.
type Verifier interface {
	// Verify reports whether signature is the key's over message.
	Verify(message, signature []byte) bool
}

// Plain is a public key whose Verify is that of the standard library.
type Plain interface {
	Verifier

	// Bytes returns the encoded key, which no key of another kind has.
	Bytes() []byte
	// Table computes the key's table. An error says that nothing is good under the key.
	Table() (Verifier, error)
}

// Tables gives tables to those of an owner's keys that sign a lot. Keys are
// remembered as long as the Tables, so it belongs to something that lives long
// and knows few of them. The zero value is empty and ready for use; it must not
// be copied, and may be used concurrently.
type Tables struct {
	mu    sync.Mutex
	keys  map[string]*Key
	built atomic.Int32
}

// Key returns the key of public: always the same one, so that nothing is
// learned of it twice.
func (t *Tables) Key(public Plain) *Key {
	id := string(public.Bytes())
	t.mu.Lock()
	defer t.mu.Unlock()
	if k, known := t.keys[id]; known {
		return k
	}
	if t.keys == nil {
		t.keys = map[string]*Key{}
	}
	k := &Key{tables: t, plain: public}
	t.keys[id] = k
	return k
}

// Key is a public key that gets a table once that pays. It may be used concurrently.
type Key struct {
	tables *Tables
	plain  Plain
	good   atomic.Int64 // signatures, until there is a table
	table  atomic.Pointer[Verifier]
}

// Verify reports whether signature is the key's over message, as its [Plain] does.
//
// What a table refuses is asked of the standard library as well. A table that a fault
// of memory has changed would refuse good signatures for as long as the process lives:
// it is thrown away. It could not accept a bad one, short of hitting the one right
// point among some 2^252. So bad signatures cost up to a half more than they
// would without a table, or somewhat more still if they came with others, and good ones nothing.
func (k *Key) Verify(message, signature []byte) bool {
	table := k.table.Load()
	if table != nil && (*table).Verify(message, signature) {
		return true
	}
	if !k.plain.Verify(message, signature) {
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

// Table returns the key's table, or nil if it has none, for those who can verify
// many signatures by tables of its kind together. What the table does not accept must be
// asked of [Key.Verify].
func (k *Key) Table() Verifier {
	if table := k.table.Load(); table != nil {
		return *table
	}
	return nil
}

// build is called once for a key.
func (k *Key) build() {
	if k.tables.built.Add(1) > MaxTables {
		return
	}
	if table, err := k.plain.Table(); err == nil {
		k.table.Store(&table)
	}
}
