package coordinator

import (
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// tailBytes bounds the leaves and envelopes of a tail: a few answers to those
// who keep up with the log.
const tailBytes = 4 * bus.MaxLogBytes

// tail keeps the entries that this replica stored last, so that those who
// follow the log closely are not given them from the database again.
//
// It knows an entry by the hash of its leaf and by nothing else. Where the entry
// stands, and whether it is published, only the tree in the database says, which
// all replicas write: what is not in here is read from there. The zero value is
// empty; a tail is safe for concurrent use.
type tail struct {
	mu      sync.Mutex
	entries map[tlog.Hash]tailEntry
	order   []tlog.Hash // the oldest first
	bytes   int
}

type tailEntry struct {
	translog.Entry

	bytes int
}

// add keeps an entry that is committed: its statement and the envelopes that
// this names.
func (t *tail) add(stored Entry, statement *attest.Envelope, bodies ...*attest.Envelope) {
	e := tailEntry{translog.Entry{Leaf: stored.Leaf, Envelope: statement, Bodies: bodies}, len(stored.Leaf)}
	for _, body := range stored.Bodies {
		e.bytes += len(body)
	}
	hash := translog.LeafHash(stored.Leaf)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries == nil {
		t.entries = map[tlog.Hash]tailEntry{}
	}
	if _, twice := t.entries[hash]; twice {
		return
	}
	t.entries[hash], t.order, t.bytes = e, append(t.order, hash), t.bytes+e.bytes
	for t.bytes > tailBytes {
		t.bytes -= t.entries[t.order[0]].bytes
		delete(t.entries, t.order[0])
		t.order = t.order[1:]
	}
}

// len returns how many entries there are.
func (t *tail) len() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(len(t.order))
}

// read returns the entries of leaves that stand in the log from an index on, at
// most size bytes of them unless the first alone is larger, and none if one that
// belongs among them is not there: the database has them all.
func (t *tail) read(from int64, leaves []tlog.Hash, size int) []translog.Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	var entries []translog.Entry
	for i, hash := range leaves {
		e, there := t.entries[hash]
		if !there {
			return nil
		}
		if size -= e.bytes; size < 0 && i > 0 {
			break
		}
		e.Index = from + int64(i)
		entries = append(entries, e.Entry)
	}
	return entries
}
