package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/internal/bus"
)

const (
	// longWait is what a negative time-out means.
	longWait = 7 * 24 * time.Hour
	// askAgain is the least pause before asking again for what is not known yet; up
	// to as much again is added, so that many that wait do not ask at once.
	askAgain = 2 * time.Second
)

// waiting is what the flags of wait say.
type waiting struct {
	until    string // agreed, logged or signed
	timeout  time.Duration
	output   string
	evidence string // directory for bundles
	trust    evidence.Trust
}

func (a *app) waitCommand() *cobra.Command {
	var w waiting
	cmd := &cobra.Command{
		Use:   "wait RELEASE|SHA256|FILE…",
		Short: "Wait until releases are signed, and verify the evidence",
		Long: `Wait until releases are signed, and verify the evidence here, against the pinned policy of --trust.
The coordinator is asked, and not believed. A release that expires is followed to its next attempt.

--for=agreed and --for=logged return earlier. There is no evidence to verify before a release is
signed: it is the coordinator's word alone, and a warning says so.

A file or digest whose release is not decided yet is the same as an unknown one: waiting goes on.
--timeout=0 looks once, a negative one waits for a week. -o github also writes to $GITHUB_OUTPUT and
$GITHUB_STEP_SUMMARY. reprosign help exit-codes says what the exit status means.`,
		Example: `  reprosign wait "$RELEASE" --trust policy.json
  reprosign wait dist/*.deb --trust policy.json --timeout=2h --evidence dist
  reprosign wait "$RELEASE" --for=agreed --timeout=0 -o json`,
		Args: cobra.MinimumNArgs(1),
		RunE: a.do(func(ctx context.Context, args []string) error {
			if err := a.prepareWait(&w); err != nil {
				return err
			}
			targets, err := parseTargets(args)
			if err != nil {
				return err
			}
			conn, err := a.connect(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			return a.wait(ctx, conn, w, targets)
		}),
	}
	w.flags(cmd, "signed")
	cmd.Flags().StringVar(&w.evidence, "evidence", "", "directory to leave verified evidence bundles in, as RELEASE.evidence.json")
	outputFlag(cmd, &w.output, "text", "json", "github")
	a.takes(cmd, append(connection, "trust")...)
	return cmd
}

func (w *waiting) flags(cmd *cobra.Command, until string) {
	cmd.Flags().StringVar(&w.until, "for", until, "state to wait for: agreed, logged or signed")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 30*time.Minute, "how long to wait; 0 looks once, negative is a week")
	complete(cmd, "for", "agreed", "logged", "signed")
}

// prepareWait checks the flags before anything is asked.
func (a *app) prepareWait(w *waiting) error {
	if err := oneOf("output", w.output, "text", "json", "github"); err != nil {
		return err
	}
	if err := oneOf("for", w.until, "agreed", "logged", "signed"); err != nil {
		return err
	}
	if w.output == "github" && a.variable("GITHUB_OUTPUT") == "" {
		return usagef("-o github needs the variable GITHUB_OUTPUT, which the runner sets")
	}
	if w.timeout < 0 {
		w.timeout = longWait
	}
	if w.until != "signed" && a.settings.Trust == "" {
		return nil
	}
	var err error
	w.trust, err = a.trust()
	return err
}

// wait waits for all targets and prints the results.
func (a *app) wait(ctx context.Context, conn *bus.Conn, w waiting, targets []target) error {
	deadline, cancel := context.WithTimeoutCause(ctx, w.timeout, errTimeout)
	defer cancel()
	shown := a.newProgress(len(targets))
	results := make([]waitResult, len(targets))
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() {
			f := follower{conn: conn, waiting: w, target: t, shown: shown}
			results[i] = f.follow(ctx, deadline)
			shown.done()
		})
	}
	all.Wait()
	shown.clear()
	return a.printResults(w, results)
}

// errTimeout says that the person's patience is over.
var errTimeout = errors.New("still pending")

// follower follows one target to its end.
type follower struct {
	waiting

	conn   *bus.Conn
	target target
	shown  *progress
	last   *bus.ReleaseStatus // as it was last seen
}

// follow returns what became of the target. The deadline ends the waiting; a
// question that is asked goes on until ctx ends, so that even a time-out of
// zero gets its answer.
func (f *follower) follow(ctx, deadline context.Context) waitResult {
	err := f.find(ctx, deadline)
	for err == nil && !f.settled() {
		err = f.await(ctx, deadline)
	}
	if err == nil {
		err = f.judge()
	}
	r := waitResult{target: f.target, err: err}
	if err == nil {
		r.report, r.bundle, r.err = f.verify(ctx)
	}
	if r.err != nil && ctx.Err() != nil {
		r.err = &failure{code: exitFailed, cause: errors.New("interrupted"), hint: "waiting again goes on where this left off"}
	}
	if f.last != nil {
		r.release = documentOf(f.last)
	}
	return r
}

// find asks until the release is known.
func (f *follower) find(ctx, deadline context.Context) error {
	for {
		r, err := f.target.lookUp(ctx, f.conn)
		if err == nil && r.Newest != r.Release {
			f.see(r)
			return f.ask(ctx, bus.StatusRequest{Request: r.Request})
		}
		if err == nil {
			f.see(r)
			return nil
		}
		if !errors.Is(err, errUnknown) && bus.KindOf(err) != bus.KindUnavailable {
			return err
		}
		f.shown.show(f.target.given, "not known yet, or not decided")
		if pause(deadline) != nil {
			if errors.Is(err, errUnknown) {
				return timedOut("%w", err)
			}
			return err
		}
	}
}

// await waits for the next news. It asks by the request, which leads to the
// newest attempt as soon as there is one.
func (f *follower) await(ctx, deadline context.Context) error {
	end, _ := deadline.Deadline()
	left := time.Until(end)
	if left <= 0 || deadline.Err() != nil {
		return timedOut("%s is %s: %s", documentOf(f.last).title(), f.last.State, f.last.Reason)
	}
	err := f.ask(ctx, bus.StatusRequest{
		Request: f.last.Request, WaitFor: f.until, WaitSeconds: min(bus.MaxWait, max(1, int(left/time.Second))),
	})
	if bus.KindOf(err) == bus.KindUnavailable && ctx.Err() == nil {
		f.shown.show(f.target.given, "coordinator away")
		if pause(deadline) == nil {
			return nil
		}
	}
	return err
}

// ask asks for the newest attempt at the same request.
func (f *follower) ask(ctx context.Context, q bus.StatusRequest) error {
	reply, err := f.conn.Status(ctx, q)
	if err != nil {
		return err
	}
	if reply.Release == nil || reply.Release.Request != f.last.Request {
		return errors.New("the coordinator answered about another request")
	}
	f.see(reply.Release)
	return nil
}

func (f *follower) see(r *bus.ReleaseStatus) {
	f.last = r
	f.shown.show(f.target.given, fmt.Sprintf("%s, attempt %d: %s", r.State, r.Attempt, r.Reason))
}

// settled reports whether the newest attempt reached the state, or never will.
func (f *follower) settled() bool {
	newest := f.last.Newest == f.last.Release
	return newest && (f.last.Final || bus.Reached(f.last.State, f.until)) || bus.Reached(f.last.State, "signed")
}

// judge turns the settled state into the error that it means.
func (f *follower) judge() error {
	if bus.Reached(f.last.State, f.until) {
		return nil
	}
	return &failure{
		code:  exitRefused,
		cause: fmt.Errorf("%s will not be signed: %s: %s", documentOf(f.last).title(), f.last.State, f.last.Reason),
		hint:  "do not retry; mend what the reason names, then submit another version",
	}
}

func timedOut(format string, args ...any) error {
	return &failure{
		code: exitTimeout, cause: fmt.Errorf("%w: %w", errTimeout, fmt.Errorf(format, args...)),
		hint: "waiting again goes on where this left off; a longer --timeout waits longer",
	}
}

// pause waits a little before the next question.
func pause(ctx context.Context) error {
	timer := time.NewTimer(askAgain + rand.N(askAgain)) //nolint:gosec // jitter is no secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
