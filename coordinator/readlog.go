package coordinator

import (
	"context"
	"time"

	"github.com/reprosign/reprosign/internal/bus"
)

// ReadLog gives entries of the evidence log to whoever follows it, and waits
// for the log to grow if asked to. Entries and their envelopes are public from
// the moment a checkpoint covers them.
func (c *Coordinator) ReadLog(ctx context.Context, q bus.LogRequest) bus.LogReply {
	timer := time.NewTimer(time.Duration(q.WaitSeconds) * time.Second)
	defer timer.Stop()
	for over := q.WaitSeconds == 0; ; {
		grown := c.grown.wait() // before reading, so that no entry falls between
		note, entries, err := c.store.LogEntries(ctx, q.From, bus.MaxLogEntries, bus.MaxLogBytes)
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
