package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// watch follows one log.
type watch struct {
	Watched

	log      *Log
	origin   string
	patience Patience
	now      func() time.Time
	logger   *slog.Logger
	metrics  *metrics

	memory  *memory
	state   *state
	auditor *auditor // nil until the log has answered once

	hook *webhook // nil if there is none

	found Pass // of the pass under way
	lost  bool // it did not reach all of the log
	deaf  bool // the webhook did not take an alarm
}

// open opens the memory of the log.
func (w *watch) open(dir string) error {
	var err error
	w.memory, w.state, err = openMemory(dir, w.Trust.Policy.Digest(), func(s *state) (func(translog.Fact) error, error) {
		if s.Entries == 0 {
			return nil, nil // the chain may begin with older policies, which the log has
		}
		chain, err := s.chain(w.Trust.Policy)
		if err != nil {
			return nil, err
		}
		w.auditor = newAuditor(w.log, w.Trust, chain)
		return w.auditor.learn, nil
	})
	return err
}

// pass takes one look at the log. Errors are of the memory, or of the context.
func (w *watch) pass(ctx context.Context) (Pass, error) {
	w.found, w.lost, w.deaf = Pass{}, false, false
	if err := w.follow(ctx); err != nil {
		return w.found, err
	}
	if !w.lost {
		w.state.Answered = w.time()
		w.over(Unreachable)
	}
	w.expiries(ctx)
	w.device(ctx)
	if err := w.memory.save(w.state, nil); err != nil {
		return w.found, err
	}
	for _, a := range w.state.Alarms {
		if a.Stands && !slices.ContainsFunc(w.found.Raised, func(b Alarm) bool { return a.Kind == b.Kind && a.Cause == b.Cause }) {
			w.found.Standing = append(w.found.Standing, a.Alarm)
		}
	}
	w.measure()
	return w.found, ctx.Err()
}

// follow reads what is new in the log.
func (w *watch) follow(ctx context.Context) error {
	if w.auditor == nil && !w.begin(ctx) {
		return nil
	}
	signed, c, ok := w.checkpoint(ctx)
	if !ok {
		return nil
	}
	if !w.continues(ctx, signed, c) {
		return nil
	}
	w.witnesses()
	return w.read(ctx)
}

// begin starts with the first entry.
func (w *watch) begin(ctx context.Context) bool {
	chain, err := w.log.Chain(ctx, w.Trust.Policy)
	if err != nil {
		w.away(err)
		return false
	}
	w.auditor = newAuditor(w.log, w.Trust, chain)
	w.state.Older = olderThan(chain, w.Trust.Policy)
	return true
}

// time is the clock's, to the second.
func (w *watch) time() attest.Time { return attest.At(w.now()) }

// raise notes an alarm whose cause happened, once and for all.
func (w *watch) raise(a Alarm) { w.note(a, false) }

// stands notes an alarm whose condition holds: once, until it is over.
func (w *watch) stands(a Alarm) {
	if !slices.ContainsFunc(w.state.Alarms, func(old raised) bool { return old.Stands && old.Kind == a.Kind && old.Cause == a.Cause }) {
		w.note(a, true)
	}
}

func (w *watch) note(a Alarm, stands bool) {
	a.Log, a.At = w.Source.String(), w.time()
	w.state.Alarms = append(w.state.Alarms, raised{Alarm: a, Stands: stands})
	w.found.Raised = append(w.found.Raised, a)
	say := w.logger.Warn
	if a.Kind.Announces() {
		say = w.logger.Info
	}
	say("alarm", slog.String("kind", string(a.Kind)), slog.String("what", a.What), slog.String("next", a.Next))
	w.metrics.alarms.WithLabelValues(a.Log, string(a.Kind)).Inc()
}

// over ends all alarms of a kind whose condition held, but for those of causes
// that still do.
func (w *watch) over(kind Kind, but ...string) {
	for i := range w.state.Alarms {
		a := &w.state.Alarms[i]
		if a.Stands && a.Kind == kind && !slices.Contains(but, a.Cause) {
			w.end(a)
		}
	}
}

// overOf ends the alarm of one cause.
func (w *watch) overOf(kind Kind, cause string) {
	for i := range w.state.Alarms {
		if a := &w.state.Alarms[i]; a.Stands && a.Kind == kind && a.Cause == cause {
			w.end(a)
		}
	}
}

func (w *watch) end(a *raised) {
	a.Stands = false
	w.logger.Info("alarm is over", slog.String("kind", string(a.Kind)), slog.String("what", a.What))
}

// away notes that something of the log is not to be had, and alarms when that
// has lasted too long.
func (w *watch) away(err error) {
	w.lost = true
	if w.state.Answered.IsZero() { // never since this memory began
		w.state.Answered = w.time()
	}
	w.logger.Info("log not reached", slog.Any("reason", err))
	if w.time() >= w.state.Answered.Add(w.patience.Unreachable) {
		w.stands(alarm(Unreachable, "checkpoint", "the log does not answer in full since %v: %v", w.state.Answered, err))
	}
}

// checkpoint gets the newest checkpoint, signed with the log's key. A checkpoint
// from before the key was changed is the log's too, but shows nothing new.
func (w *watch) checkpoint(ctx context.Context) (signed []byte, c translog.Checkpoint, ok bool) {
	chain := w.auditor.follower.Chain()
	signed, err := w.log.Checkpoint(ctx)
	if err == nil {
		c, err = w.log.open(ctx, chain, w.auditor.follower.Size(), signed)
	}
	if err != nil && signed != nil {
		for _, v := range chain.Since(0) {
			earlier, mistaken := translog.OpenForeign(signed, v.Log.Origin, v.Log.Key)
			if mistaken == nil && earlier.Size <= w.state.Entries {
				c, err = earlier, nil
			}
		}
	}
	switch {
	case err == nil:
		w.over(Unsigned)
		return signed, c, true
	case errors.Is(err, ErrUnreachable), errors.Is(err, ErrMissing), ctx.Err() != nil:
		w.away(err)
	default:
		w.stands(alarm(Unsigned, "checkpoint", "the checkpoint of %s is not signed with its key: %v", w.origin, err))
	}
	return nil, c, false
}

// seen returns the checkpoint that was seen last.
func (w *watch) seen() (translog.Checkpoint, error) {
	if w.state.Seen == nil {
		return translog.Checkpoint{Origin: w.origin, Root: (&translog.Range{}).Root()}, nil
	}
	return translog.ReadForeign(w.state.Seen)
}

// continues reports whether a checkpoint continues the one seen last, and takes
// its place then.
func (w *watch) continues(ctx context.Context, signed []byte, c translog.Checkpoint) bool {
	seen, err := w.seen()
	if err != nil {
		w.stands(alarm(Damaged, "memory", "the remembered checkpoint: %v", err))
		return false
	}
	older, newer := seen, c
	if c.Size < seen.Size {
		older, newer = c, seen
	}
	root, err := w.root(ctx, newer, older.Size)
	switch {
	case err == nil && root != older.Root:
		w.state.Rival = signed
		w.stands(alarm(Fork, "checkpoint",
			"the key of %s signed two histories: the tree of %d entries with root %v does not continue that of %d entries with root %v; the state file holds both checkpoints",
			w.origin, newer.Size, newer.Root, older.Size, older.Root))
		return false
	case c.Size < seen.Size:
		w.stands(alarm(Shrunk, "checkpoint", "%s serves a checkpoint of %d entries, and served one of %d before", w.origin, c.Size, seen.Size))
		return false
	case errors.Is(err, ErrUnreachable), ctx.Err() != nil:
		w.away(err)
		return false
	case err != nil:
		w.stands(alarm(Damaged, "tree", "%s: whether the tree of %d entries continues that of %d cannot be seen: %v", w.origin, c.Size, seen.Size, err))
		return false
	}
	w.over(Shrunk)
	if c != seen || w.state.First.IsZero() {
		w.state.First = w.time()
	}
	w.state.Seen = signed
	return true
}

// root returns the root that the log had at a size: by the entries that were
// read, whatever is served now, else by the tiles of a newer tree.
func (w *watch) root(ctx context.Context, newer translog.Checkpoint, size int64) (tlog.Hash, error) {
	if size < w.state.Entries {
		return w.memory.root(size)
	}
	return w.log.Tree(newer).Root(ctx, size)
}

// trusted returns the witnesses that count: the trust's own, else those of the
// newest policy.
func (w *watch) trusted() policy.Witnesses {
	if !w.Trust.Witnesses.IsZero() {
		return w.Trust.Witnesses
	}
	return w.auditor.follower.Chain().Newest().Witnesses
}

// witnesses looks at who cosigned the checkpoint, and when.
func (w *watch) witnesses() {
	from, limit := w.state.First, w.patience.Stale
	if set := w.trusted(); !set.IsZero() {
		by, err := cosigned(w.state.Seen, set)
		if err != nil {
			w.stands(alarm(Unwitnessed, "checkpoint", "the newest checkpoint of %s: %v", w.origin, err))
			return
		}
		w.over(Unwitnessed)
		from = by[len(by)-1].At
		if limit == 0 {
			limit = 2 * w.allowedAge()
		}
	}
	if limit == 0 || w.time() < from.Add(limit) {
		w.over(Stale)
		return
	}
	w.stands(alarm(Stale, "checkpoint", "the newest checkpoint of %s is of %v, older than %v", w.origin, from, limit))
}

// allowedAge is the longest that the newest policy lets a checkpoint be used.
func (w *watch) allowedAge() time.Duration {
	longest := time.Duration(0)
	p := w.auditor.follower.Chain().Newest()
	for i := range p.Suites {
		longest = max(longest, p.Suites[i].CheckpointAge())
	}
	return longest
}

// read reads the entries of the tree that was seen, bundle by bundle, and
// remembers each bundle as it is read.
func (w *watch) read(ctx context.Context) error {
	seen, err := w.seen()
	if err != nil {
		return err
	}
	tree, follower := w.log.Tree(seen), w.auditor.follower
	for follower.Size() < seen.Size {
		done, err := w.readBundle(ctx, tree)
		if err != nil || !done {
			return err
		}
	}
	for _, kind := range []Kind{MissingBody, OldPolicy, Damaged} {
		w.over(kind)
	}
	if err := follower.Advance(seen); err != nil {
		// Each entry was compared with the tree, so this is a fault here.
		return fmt.Errorf("log %s: %w", w.Source, err)
	}
	return w.evaluate(ctx)
}

// readBundle reads what is new in the next entry bundle. It reports whether it
// came to its end.
func (w *watch) readBundle(ctx context.Context, tree Tree) (done bool, err error) {
	follower := w.auditor.follower
	n, from := follower.Size()/translog.TileWidth, int(follower.Size()%translog.TileWidth)
	leaves, err := tree.Leaves(ctx, n)
	var entries []translog.Entry
	if err == nil {
		w.over(Damaged)
		entries, err = w.log.Entries(ctx, follower.Size(), leaves[from:])
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrUnreachable), ctx.Err() != nil:
		w.away(err)
		return false, nil //nolint:nilerr // told as an alarm, when it lasts
	default:
		w.stands(alarm(Damaged, fmt.Sprintf("bundle %d", n), "%s: entries from %d on cannot be read: %v", w.origin, follower.Size(), err))
		return false, nil
	}
	serial := follower.Chain().Newest().Serial
	facts, alarms, err := w.auditor.read(entries)
	for _, a := range alarms {
		w.raise(a)
	}
	for _, v := range follower.Chain().Since(max(serial, w.MaxSerial)) {
		if w.MaxSerial > 0 {
			w.raise(alarm(UnexpectedPolicy, fmt.Sprint(v.Serial), "policy %d, %v, is in force; the highest expected serial is %d", v.Serial, v.Digest, w.MaxSerial))
		}
	}
	if a, halted := w.auditor.halted(err); halted {
		w.over(MissingBody, a.Cause)
		w.stands(a)
	} else if err != nil {
		return false, fmt.Errorf("log %s: %w", w.Source, err)
	}
	for i := range facts {
		w.await(&facts[i])
	}
	for _, c := range w.auditor.takeComplaints() {
		c.Since, c.Next = w.time(), w.time()
		w.state.Complaints = append(w.state.Complaints, c)
	}
	if saved := w.memory.save(w.state, facts); saved != nil {
		return false, saved
	}
	if failed := w.evaluate(ctx); failed != nil {
		return false, failed
	}
	// Not at the end of the pass: how long that takes is up to the log.
	return err == nil, w.tell(ctx)
}

// tell posts the alarms that the webhook has not taken. It gives up for this
// pass at the first one that it does not take.
func (w *watch) tell(ctx context.Context) error {
	before := len(w.state.Alarms)
	untold := slices.ContainsFunc(w.state.Alarms, func(a raised) bool { return !a.Told })
	left := 0
	for i := range w.state.Alarms {
		a := &w.state.Alarms[i]
		switch {
		case a.Told:
		case w.hook == nil:
			a.Told = true
		case w.deaf:
			left++
		default:
			if err := w.hook.post(ctx, a.Alarm); err != nil {
				w.logger.WarnContext(ctx, "alarm not posted, will be again", slog.Any("reason", err))
				w.deaf = true
				left++
				continue
			}
			a.Told = true
		}
	}
	w.metrics.untold.WithLabelValues(w.Source.String()).Set(float64(left))
	if !untold || before == 0 {
		return nil
	}
	return w.memory.save(w.state, nil)
}

// measure shows where the watch is.
func (w *watch) measure() {
	log := w.Source.String()
	if seen, err := w.seen(); err == nil {
		w.metrics.size.WithLabelValues(log).Set(float64(seen.Size))
	}
	if w.auditor != nil {
		w.metrics.read.WithLabelValues(log).Set(float64(w.auditor.follower.Size()))
		w.metrics.known.WithLabelValues(log).Set(float64(w.auditor.follower.Chain().Newest().Serial))
	}
	w.metrics.pending.WithLabelValues(log).Set(float64(len(w.state.Pending)))
	w.metrics.last.WithLabelValues(log).Set(float64(w.state.Answered))
	w.metrics.standing.DeletePartialMatch(map[string]string{"log": log})
	for _, a := range w.state.Alarms {
		if a.Stands {
			w.metrics.standing.WithLabelValues(log, string(a.Kind)).Inc()
		}
	}
}
