package coordinator

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// ReadLog gives entries of the evidence log to whoever follows it, and waits
// for the log to grow if asked to. Entries and their envelopes are public from
// the moment a checkpoint covers them.
func (c *Coordinator) ReadLog(ctx context.Context, q bus.LogRequest) bus.LogReply {
	if q.Newest {
		reply, err := c.newestEntry(ctx)
		reply.Error = answer(err)
		return reply
	}
	timer := time.NewTimer(time.Duration(q.WaitSeconds) * time.Second)
	defer timer.Stop()
	for over := q.WaitSeconds == 0; ; {
		grown := c.grown.wait() // before reading, so that no entry falls between
		note, entries, err := c.logEntries(ctx, q.From, bus.MaxLogEntries)
		if err != nil {
			return bus.LogReply{Error: answer(err)}
		}
		if len(entries) > 0 || over {
			c.metrics.entriesRead.Add(float64(len(entries)))
			return bus.LogReply{Checkpoint: note, Entries: entries}
		}
		select {
		case <-grown:
		case <-timer.C:
			over = true
		case <-ctx.Done():
			return bus.LogReply{Error: bus.Errorf(bus.KindUnavailable, "coordinator is stopping; ask again")}
		}
	}
}

// readsAtOnce bounds the answers that are read from the database at one time:
// whoever may ask must not take the connections that votes are stored over.
const readsAtOnce = 4

// logEntries returns the newest checkpoint and entries that it covers, like
// [Store.LogEntries], from memory if this replica wrote them lately.
func (c *Coordinator) logEntries(ctx context.Context, from int64, limit int) (note []byte, entries []translog.Entry, err error) {
	if err := c.reading.Acquire(ctx, 1); err != nil {
		return nil, nil, err
	}
	defer c.reading.Release(1)
	published, note, err := c.store.Checkpoint(ctx)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil || from >= published.Size {
		return note, nil, err
	}
	if published.Size-from <= c.tail.len() {
		// A fault here is none of who asks: the database is asked for all.
		if leaves, err := c.leafHashes(ctx, from, min(from+int64(limit), published.Size)); err == nil {
			if entries := c.tail.read(from, leaves, bus.MaxLogBytes); len(entries) > 0 {
				return note, entries, nil
			}
		}
	}
	return c.store.LogEntries(ctx, from, limit, bus.MaxLogBytes)
}

// leafHashes reads from the tree which entries stand from one index up to another.
func (c *Coordinator) leafHashes(ctx context.Context, from, to int64) ([]tlog.Hash, error) {
	var tiles []tlog.Tile
	for n := from >> translog.TileHeight; n<<translog.TileHeight < to; n++ {
		width := min(to-n<<translog.TileHeight, 1<<translog.TileHeight)
		tiles = append(tiles, tlog.Tile{H: translog.TileHeight, N: n, W: int(width)})
	}
	data, err := c.store.Tiles(ctx, tiles)
	if err != nil {
		return nil, err
	}
	leaves := make([]tlog.Hash, 0, to-from)
	for index := from; index < to; index++ {
		tile := data[index>>translog.TileHeight-tiles[0].N]
		leaves = append(leaves, tlog.Hash(tile[index%(1<<translog.TileHeight)*tlog.HashSize:][:tlog.HashSize]))
	}
	return leaves, nil
}

// newestEntry gives the newest entry with the right edge of the tree before it.
// That is what the entry's proof consists of: where the last leaf is on the
// way to the root, all that is beside the way is on its left.
func (c *Coordinator) newestEntry(ctx context.Context) (bus.LogReply, error) {
	note, _, err := c.logEntries(ctx, translog.MaxTreeSize, 1)
	if err != nil || note == nil {
		return bus.LogReply{}, err
	}
	newest, err := translog.ReadForeign(note)
	if err != nil {
		return bus.LogReply{}, err
	}
	proof, err := c.prover.Proof(ctx, newest.Size-1, c.trust.Newest())
	proven, readErr := translog.ReadForeign(proof.Checkpoint) // perhaps cosigned at another time than the note
	if errors.Is(err, ErrNotFound) || err == nil && (readErr != nil || proven != newest) {
		return bus.LogReply{}, bus.Errorf(bus.KindNotReady, "the log is growing, or not yet witnessed as the newest policy wants it; ask again")
	}
	if err != nil {
		return bus.LogReply{}, err
	}
	_, entries, err := c.logEntries(ctx, newest.Size-1, 1)
	if err != nil {
		return bus.LogReply{}, err
	}
	reply := bus.LogReply{Checkpoint: note, Entries: entries}
	for _, h := range slices.Backward(proof.Hashes) {
		reply.Edge = append(reply.Edge, attest.Digest(h))
	}
	return reply, nil
}
