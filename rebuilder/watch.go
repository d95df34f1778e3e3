package rebuilder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// errAlarm is wrapped by what no honest log shows: somebody has to look.
var errAlarm = errors.New("alarm")

func alarm(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errAlarm, fmt.Errorf(format, args...))
}

// suspect reports what no honest log shows but no reader must stop at: nobody
// else takes such an entry for what it pretends to be either.
func (a *Agent) suspect(ctx context.Context, format string, args ...any) error {
	a.metrics.alarms.Inc()
	a.Log.ErrorContext(ctx, "log entry is not what it pretends to be, passing over it", slog.Any("reason", fmt.Errorf(format, args...)))
	return nil
}

// reading is an agent's way through the log. Entries are looked at as they
// come, and compared with the checkpoint as soon as they fill its tree; only
// then the place is kept, so that entries of no checkpoint are read again.
type reading struct {
	agent *Agent
	kept  place
	tree  translog.Range      // of all entries up to the last one read
	next  translog.Checkpoint // that the tree is compared with; of size zero if there is none
}

// watch reads the log from where the agent left it, the first time from the
// newest entry on, until something fails.
func (a *Agent) watch(ctx context.Context) error {
	err := func() error {
		r, err := a.resume(ctx)
		for err == nil {
			err = r.ask(ctx)
		}
		return err
	}()
	if errors.Is(err, errAlarm) {
		a.metrics.alarms.Inc()
		a.Log.ErrorContext(ctx, "the log is not what an honest log is", slog.Any("reason", err))
	}
	return err
}

func (a *Agent) resume(ctx context.Context) (*reading, error) {
	kept, err := a.Spool.place()
	if errors.Is(err, fs.ErrNotExist) {
		return a.begin(ctx)
	}
	if err != nil {
		return nil, err
	}
	a.metrics.read.Set(float64(kept.Size))
	r := &reading{agent: a, kept: kept}
	r.tree, err = resumeRange(kept.Size, kept.Edge)
	return r, err
}

// begin starts at the newest entry. What was decided before concerns no
// statement of an agent that begins, or of one that was told to begin again.
func (a *Agent) begin(ctx context.Context) (*reading, error) {
	reply, err := a.Bus.ReadLog(ctx, bus.LogRequest{Newest: true})
	if err != nil {
		return nil, fmt.Errorf("asking for the newest log entry: %w", err)
	}
	r := &reading{agent: a, kept: place{Origin: a.Trust.Newest().Log.Origin}}
	if len(reply.Entries) > 0 {
		if r.tree, err = resumeRange(reply.Entries[0].Index, reply.Edge); err != nil {
			return nil, err
		}
	}
	if err := r.take(ctx, reply); err != nil {
		return nil, err
	}
	a.Log.InfoContext(ctx, "reading the log from here on", slog.String("log", r.kept.Origin), slog.Int64("entry", r.tree.Size()))
	return r, nil
}

func resumeRange(size int64, edge []attest.Digest) (translog.Range, error) {
	hashes := make([]tlog.Hash, len(edge))
	for i, h := range edge {
		hashes[i] = tlog.Hash(h)
	}
	return translog.ResumeRange(size, hashes)
}

// ask waits for further entries and takes them.
func (r *reading) ask(ctx context.Context) error {
	asked := time.Now()
	reply, err := r.agent.Bus.ReadLog(ctx, bus.LogRequest{From: r.tree.Size(), WaitSeconds: bus.MaxLogWait})
	if err != nil {
		return fmt.Errorf("asking for log entries from %d on: %w", r.tree.Size(), err)
	}
	if err := r.take(ctx, reply); err != nil {
		return err
	}
	if len(reply.Entries) == 0 && time.Since(asked) < firstPause {
		return sleep(ctx, firstPause) // else an answer that does not wait would make us ask without end
	}
	return nil
}

func (r *reading) take(ctx context.Context, reply bus.LogReply) error {
	if len(reply.Checkpoint) == 0 {
		if r.tree.Size() > 0 || len(reply.Entries) > 0 {
			return alarm("log without checkpoint, of which %d entries were read; was the database put back?", r.kept.Size)
		}
		return nil
	}
	newest, err := r.open(ctx, reply.Checkpoint)
	if err != nil {
		return err
	}
	if newest.Origin != r.kept.Origin {
		// Only admins can name another log, in a policy.
		r.agent.Log.WarnContext(ctx, "the policy names another log, reading it from its first entry on", slog.String("before", r.kept.Origin), slog.String("log", newest.Origin))
		r.kept, r.tree, r.next = place{Origin: newest.Origin}, translog.Range{}, translog.Checkpoint{}
		return nil
	}
	if newest.Size < r.tree.Size() {
		return alarm("log has shrunk from %d entries to %d; was the database put back?", r.tree.Size(), newest.Size)
	}
	if r.next.Size == 0 {
		r.next = newest
	}
	if err := r.compare(newest); err != nil { // nothing may have come since the last time
		return err
	}
	for _, e := range reply.Entries {
		if e.Index != r.tree.Size() || e.Index >= newest.Size {
			return alarm("entry %d came where entry %d of %d is next", e.Index, r.tree.Size(), newest.Size)
		}
		if err := r.agent.entry(ctx, e); err != nil {
			return fmt.Errorf("log entry %d: %w", e.Index, err)
		}
		if err := r.tree.Append(translog.LeafHash(e.Leaf)); err != nil {
			return err
		}
		if err := r.compare(newest); err != nil {
			return err
		}
	}
	return nil
}

// open verifies a checkpoint under the newest policy, which may be newer than
// those that the agent knows.
func (r *reading) open(ctx context.Context, note []byte) (translog.Checkpoint, error) {
	verify := func() (translog.Checkpoint, error) {
		p := r.agent.Trust.Newest()
		c, err := translog.OpenCheckpoint(note, p.Log.Key)
		if err == nil && !p.Witnesses.IsZero() {
			_, _, err = translog.WitnessesOf(p.Witnesses).Time(note)
		}
		return c, err
	}
	c, err := verify()
	if err == nil {
		return c, nil
	}
	if err := r.agent.refresh(ctx); err != nil {
		return c, err
	}
	return verify()
}

// compare compares the tree with the checkpoint that it fills, if it does, and
// keeps the place. The newest checkpoint is the one to reach next.
func (r *reading) compare(newest translog.Checkpoint) error {
	if r.tree.Size() != r.next.Size {
		return nil
	}
	if r.tree.Root() != r.next.Root {
		return alarm("checkpoint of size %d is signed over other entries than those that were served; keep it, and show it to the admins", r.next.Size)
	}
	if r.next = newest; newest.Size == r.tree.Size() {
		r.next = translog.Checkpoint{}
		if newest.Root != r.tree.Root() {
			return alarm("two checkpoints of size %d are signed over different entries; keep them, and show them to the admins", newest.Size)
		}
	}
	if r.kept.Size == r.tree.Size() && r.kept.Size > 0 {
		return nil
	}
	r.kept = place{Origin: r.kept.Origin, Size: r.tree.Size()}
	for _, h := range r.tree.Edges() {
		r.kept.Edge = append(r.kept.Edge, attest.Digest(h))
	}
	r.agent.metrics.read.Set(float64(r.kept.Size))
	return r.agent.Spool.putPlace(r.kept)
}

// entry looks at one entry: decisions and complaints are what an agent cares about.
func (a *Agent) entry(ctx context.Context, e translog.Entry) error {
	body, err := translog.BodyOf(e.Leaf)
	if err != nil {
		return nil //nolint:nilerr // no statement of anybody, and not for an agent to judge
	}
	if e.Envelope == nil || translog.BodyDigest(e.Envelope) != body {
		return alarm("statement %s is missing, or another one served in its place", body.Short())
	}
	switch attest.PredicateType(e.Envelope.Payload) {
	case attest.DecisionType:
		return a.decided(ctx, e.Envelope)
	case attest.RecordType:
		return a.recorded(e)
	}
	return nil
}
