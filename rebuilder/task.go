package rebuilder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/rebuilder/backend"
)

// handle takes one task to its end and tells the bus. What it began goes on in
// the context builds when ctx, the subscription's, ends.
func (a *Agent) handle(ctx, builds context.Context, m bus.TaskMessage) {
	if ctx.Err() != nil {
		m.Later(firstPause) // stopping; another agent may be there
		return
	}
	again := func() time.Duration {
		defer extend(m)()
		return a.take(builds, m)
	}()
	if again > 0 {
		m.Later(again)
		return
	}
	m.Done()
}

// take returns zero when a statement is in the spool and was published, or the
// task is not for this agent; else when the task is to be delivered again.
func (a *Agent) take(ctx context.Context, m bus.TaskMessage) (again time.Duration) {
	log := a.Log.With(slog.Any("release", m.Task.Opening.Digest()))
	j, err := a.verify(ctx, m.Task)
	var later *notYet
	switch {
	case errors.As(err, &later):
		log.InfoContext(ctx, "task put back", slog.Any("reason", err))
		if m.Redelivered {
			return longPause
		}
		return firstPause
	case err != nil:
		a.metrics.tasks.WithLabelValues("refused").Inc()
		log.WarnContext(ctx, "task refused", slog.Any("reason", err))
		return 0
	case !a.claim(j.id):
		return longPause // being built here this moment
	}
	defer a.disclaim(j.id)
	v, err := a.statement(ctx, j)
	if err != nil {
		a.metrics.failures.WithLabelValues("statement").Inc()
		log.ErrorContext(ctx, "no statement", slog.Any("reason", err))
		return longPause
	}
	if !a.Spool.Waiting(v.Statement()) {
		return 0 // the coordinator has answered before
	}
	// Also an agent that is told to stop says what it knows.
	if err := a.Bus.PublishVote(context.WithoutCancel(ctx), a.Name, v); err != nil {
		// chase sends it as soon as the bus is back.
		log.WarnContext(ctx, "publishing failed, the statement stays in the spool", slog.Any("reason", err))
	}
	return 0
}

func (a *Agent) claim(release attest.Digest) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy[release] {
		return false
	}
	a.busy[release] = true
	return true
}

func (a *Agent) disclaim(release attest.Digest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.busy, release)
}

// extend tells the bus that a task is being worked on, until the returned function is called.
func extend(m bus.TaskMessage) (stop func()) {
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(extendPause)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				m.Extend()
			}
		}
	}()
	return func() { close(done); <-ended }
}

// statement returns the one statement of this agent on a release, building it
// if it never was begun.
func (a *Agent) statement(ctx context.Context, j *job) (bus.EncodedVote, error) {
	begun, err := a.Spool.Begun(j.id)
	if err != nil {
		return bus.EncodedVote{}, err
	}
	if begun {
		v, err := a.Spool.Message(j.id)
		if errors.Is(err, fs.ErrNotExist) {
			return a.interrupted(j.id, j.task)
		}
		return v, err
	}
	if err := a.Spool.Start(j.id, j.task); err != nil {
		return bus.EncodedVote{}, err
	}
	v, err := a.seal(j.id, j.source, a.build(ctx, j))
	if err != nil {
		a.Log.ErrorContext(ctx, "outcome cannot be signed, reporting infra-error", slog.Any("release", j.id), slog.Any("reason", err))
		return a.interrupted(j.id, j.task)
	}
	return v, nil
}

// build builds a release that was started. Whatever keeps it from that is the
// agent's own fault, and reported as such.
func (a *Agent) build(ctx context.Context, j *job) backend.Report {
	log := a.Log.With(slog.Any("release", j.id), slog.String("source", j.request.Source), slog.String("version", j.request.Version))
	log.InfoContext(ctx, "building", slog.String("backend", j.request.Recipe.Backend), slog.Any("isolation", a.Sandbox.Level()))
	report := a.run(ctx, j)
	a.metrics.builds.WithLabelValues(string(report.Outcome)).Inc()
	a.metrics.duration.Observe(report.Finished.Sub(report.Started).Seconds())
	if report.Err != nil {
		log = log.With(slog.Any("reason", report.Err))
	}
	log.InfoContext(ctx, "build ended", slog.Any("outcome", report.Outcome), slog.Int("artifacts", len(report.Artifacts)))
	return report
}

// errTooLate is why a build was cut off that would not end in time.
var errTooLate = errors.New("the release's deadline has passed")

func (a *Agent) run(ctx context.Context, j *job) backend.Report {
	b, ok := a.backends[j.request.Recipe.Backend]
	if !ok {
		return a.infraError(fmt.Errorf("back-end %q is not configured on this agent", j.request.Recipe.Backend))
	}
	// A statement after the deadline counts for nothing, so nothing may hold the slot longer, a slow mirror least of all.
	ctx, cancel := context.WithDeadlineCause(ctx, j.opening.Deadline.Time(), errTooLate)
	defer cancel()
	slot, err := a.Sandbox.Acquire(ctx)
	if err != nil {
		return a.infraError(err)
	}
	defer func() {
		if err := slot.Close(); err != nil {
			a.metrics.failures.WithLabelValues("slot").Inc()
			a.Log.ErrorContext(ctx, "build slot not cleared", slog.Any("release", j.id), slog.Any("reason", err))
		}
	}()
	buildLog, err := a.Spool.Log(j.id)
	if err != nil {
		return a.infraError(err)
	}
	report := backend.Run(ctx, b, backend.JobOf(j.request), slot, backend.Options{
		Log: buildLog, Keep: a.Spool.Outputs(j.id), KeepEvidence: a.Spool.Evidence(j.id), Timeout: a.Timeout,
	})
	if err := errors.Join(buildLog.Close(), a.Spool.PutInputs(j.id, report.Inputs)); err != nil {
		report.Outcome, report.Err = attest.InfraError, errors.Join(report.Err, fmt.Errorf("keeping what explains the build: %w", err))
	}
	return report
}

// infraError is the report on a build that this agent did not do or not finish.
func (a *Agent) infraError(err error) backend.Report {
	now := time.Now()
	return backend.Report{Outcome: attest.InfraError, Err: err, Isolation: a.Sandbox.Level(), Started: now, Finished: now}
}

// interrupted signs infra-error for a release that was begun and not ended.
func (a *Agent) interrupted(release attest.Digest, t bus.Task) (bus.EncodedVote, error) {
	request, err := attest.ParseRequest(t.Request.Payload)
	if err != nil {
		return bus.EncodedVote{}, fmt.Errorf("release %s: %w", release, err)
	}
	source, err := request.Recipe.SourceDigest()
	if err != nil {
		return bus.EncodedVote{}, fmt.Errorf("release %s: %w", release, err)
	}
	return a.seal(release, source, a.infraError(nil))
}

// seal signs what a build gave and makes it durable, in that order and before
// anybody hears of it.
func (a *Agent) seal(release, source attest.Digest, report backend.Report) (bus.EncodedVote, error) {
	r := attest.Rebuild{
		Release: release, Rebuilder: a.Name, Outcome: report.Outcome, Isolation: report.Isolation,
		Environment: report.Environment, Log: report.Log, Started: attest.At(report.Started),
		// A clock that was set back meanwhile must not cost the vote.
		Finished: max(attest.At(report.Started), attest.At(report.Finished)),
	}
	v := bus.Vote{}
	var err error
	if r.Inputs, err = report.Inputs.Digest(); err != nil {
		return bus.EncodedVote{}, err
	}
	if report.Outcome == attest.Built {
		v.Artifacts, v.States = report.Artifacts, report.States
		if r.Set, err = report.Artifacts.SetDigest(); err != nil {
			return bus.EncodedVote{}, err
		}
	} else {
		r.Source = source
	}
	if v.Envelope, err = r.Seal(a.Key); err != nil {
		return bus.EncodedVote{}, err
	}
	encoded, err := bus.EncodeVote(v)
	if err != nil {
		return bus.EncodedVote{}, err
	}
	return encoded, a.Spool.Put(release, encoded)
}
