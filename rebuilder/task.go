package rebuilder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/rebuilder/backend"
	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

// handle takes one task to its end: a statement is in the spool and published,
// or the task is not for this agent.
func (a *Agent) handle(ctx context.Context, m bus.TaskMessage) {
	log := a.Log.With("release", m.Task.Opening.Digest())
	job, err := a.verify(ctx, m.Task)
	if err != nil {
		var later *notYet
		if errors.As(err, &later) {
			log.Info("task put back", "reason", err)
			m.Later(firstPause)
			return
		}
		a.metrics.tasks.WithLabelValues("refused").Inc()
		log.Warn("task refused", "reason", err)
		m.Done()
		return
	}
	if !a.claim(job.id) {
		m.Later(longPause) // being built here this moment
		return
	}
	defer a.release(job.id)
	stop := extend(m)
	vote, err := a.statement(ctx, job)
	stop()
	if err != nil {
		log.Error("no statement", "reason", err)
		m.Later(longPause)
		return
	}
	// Also an agent that is told to stop says what it knows.
	send, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishPatience)
	defer cancel()
	if err := a.Bus.PublishVote(send, a.Name, vote); err != nil {
		// The statement is in the spool: chase sends it as soon as the bus is back.
		log.Warn("publishing failed, the statement stays in the spool", "reason", err)
	}
	m.Done()
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

func (a *Agent) release(release attest.Digest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.busy, release)
}

// extend tells the bus that a task is being worked on, until the returned function is called.
func extend(m bus.TaskMessage) func() {
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

// job is a verified task.
type job struct {
	id      attest.Digest
	task    bus.Task
	request attest.Request
	opening attest.Opening
	source  attest.Digest
	suite   *policy.Suite
}

// notYet is the reason to put a task back: it may be good in a moment.
type notYet struct{ err error }

func (n *notYet) Error() string { return n.err.Error() }
func (n *notYet) Unwrap() error { return n.err }

// verify checks opening and request against the agent's own policy, before
// anything of the task is run.
func (a *Agent) verify(ctx context.Context, t bus.Task) (*job, error) {
	claimed, err := attest.ParseOpening(t.Opening.Payload)
	if err != nil {
		return nil, err
	}
	version, err := a.policyOf(ctx, claimed.Policy)
	if err != nil {
		return nil, err
	}
	j := &job{id: t.Opening.Digest(), task: t}
	if j.opening, err = attest.OpenOpening(t.Opening, version.CoordinatorKey); err != nil {
		return nil, err
	}
	if j.request, err = attest.OpenRequest(t.Request, version.PublisherKey); err != nil {
		return nil, err
	}
	if j.opening.Request != t.Request.Digest() {
		return nil, errors.New("opening is of another request than the task's")
	}
	if err := version.Admit(j.request); err != nil {
		return nil, err
	}
	if j.suite, err = version.Suite(j.request.Suite); err != nil {
		return nil, err
	}
	if !invited(version, j.suite, j.request.Architecture, a.Name) {
		return nil, fmt.Errorf("rebuilder %s does not vote on %s in suite %s", a.Name, j.request.Architecture, j.suite.Name)
	}
	if left := time.Until(j.opening.Deadline.Time()); left <= 0 {
		return nil, fmt.Errorf("deadline %v has passed", j.opening.Deadline)
	}
	j.source, err = j.request.Recipe.SourceDigest()
	return j, err
}

func invited(v *policy.Version, s *policy.Suite, architecture, name string) bool {
	for _, r := range v.Invited(s, architecture) {
		if r.Key.Name() == name {
			return true
		}
	}
	return false
}

// policyOf returns the policy of a task, asking the coordinator for the chain
// that leads to it from the newest one known here.
func (a *Agent) policyOf(ctx context.Context, digest attest.Digest) (*policy.Version, error) {
	if v, ok := a.Trust.ByDigest(digest); ok {
		return v, nil
	}
	reply, err := a.Bus.Policies(ctx, bus.PolicyRequest{After: a.Trust.Newest().Serial})
	if err == nil && reply.Error != nil {
		err = reply.Error
	}
	if err != nil {
		return nil, &notYet{fmt.Errorf("asking for the policy chain: %w", err)}
	}
	for _, e := range reply.Policies {
		if err := a.Trust.Add(e); err != nil {
			return nil, fmt.Errorf("policy chain: %w", err)
		}
	}
	if v, ok := a.Trust.ByDigest(digest); ok {
		a.Log.Info("policy in force", "serial", v.Serial, "policy", v.Digest)
		return v, nil
	}
	return nil, fmt.Errorf("policy %s does not follow from the pinned one", digest.Short())
}

// statement returns the one statement of this agent on a release, building it
// if it never was begun.
func (a *Agent) statement(ctx context.Context, j *job) (bus.Vote, error) {
	if a.Spool.Begun(j.id) {
		if v, err := a.Spool.Vote(j.id); err == nil {
			return v, nil
		}
		return a.interrupted(j.id, j.task)
	}
	if err := a.Spool.Start(j.id, j.task); err != nil {
		return bus.Vote{}, err
	}
	report, err := a.build(ctx, j)
	if err != nil {
		return bus.Vote{}, err
	}
	return a.seal(j.id, j.source, report)
}

func (a *Agent) build(ctx context.Context, j *job) (backend.Report, error) {
	log := a.Log.With("release", j.id, "source", j.request.Source, "version", j.request.Version)
	b, ok := a.backends[j.request.Recipe.Backend]
	if !ok {
		now := time.Now()
		return backend.Report{
			Outcome: attest.InfraError, Err: fmt.Errorf("back-end %q is not configured on this agent", j.request.Recipe.Backend),
			Isolation: a.Sandbox.Level(), Started: now, Finished: now,
		}, nil
	}
	slot, err := a.Sandbox.Acquire(ctx)
	if err != nil {
		return backend.Report{}, err
	}
	defer func() {
		if err := slot.Close(); err != nil {
			log.Error("clearing the build slot failed", "reason", err)
		}
	}()
	buildLog, err := a.Spool.Log(j.id)
	if err != nil {
		return backend.Report{}, err
	}
	timeout := a.Timeout
	if timeout == 0 {
		timeout = sandbox.DefaultTimeout
	}
	log.Info("building", "backend", b.Name(), "isolation", slot.Level())
	report := backend.Run(ctx, b, backend.JobOf(j.request), slot, backend.Options{
		Log: buildLog, Keep: a.Spool.Outputs(j.id), Timeout: min(timeout, time.Until(j.opening.Deadline.Time())),
	})
	if err := buildLog.Close(); err != nil && report.Err == nil {
		report.Outcome, report.Err = attest.InfraError, fmt.Errorf("keeping the build log: %w", err)
	}
	a.metrics.builds.WithLabelValues(string(report.Outcome)).Inc()
	a.metrics.duration.Observe(report.Finished.Sub(report.Started).Seconds())
	log.Info("build ended", "outcome", report.Outcome, "reason", report.Err, "artifacts", len(report.Artifacts))
	return report, nil
}

// interrupted signs infra-error for a release that was begun and not ended.
func (a *Agent) interrupted(release attest.Digest, t bus.Task) (bus.Vote, error) {
	request, err := attest.ParseRequest(t.Request.Payload)
	if err != nil {
		return bus.Vote{}, err
	}
	source, err := request.Recipe.SourceDigest()
	if err != nil {
		return bus.Vote{}, err
	}
	now := time.Now()
	return a.seal(release, source, backend.Report{
		Outcome: attest.InfraError, Isolation: a.Sandbox.Level(), Started: now, Finished: now,
	})
}

// seal signs what a build gave and makes it durable, in that order and before
// anybody hears of it.
func (a *Agent) seal(release, source attest.Digest, report backend.Report) (bus.Vote, error) {
	r := attest.Rebuild{
		Release: release, Rebuilder: a.Name, Outcome: report.Outcome, Isolation: report.Isolation,
		Environment: report.Environment, Log: report.Log, Started: attest.At(report.Started), Finished: attest.At(report.Finished),
	}
	v := bus.Vote{}
	var err error
	if r.Inputs, err = report.Inputs.Digest(); err != nil {
		return bus.Vote{}, err
	}
	if report.Outcome == attest.Built {
		v.Artifacts, v.States = report.Artifacts, report.States
		if r.Set, err = report.Artifacts.SetDigest(); err != nil {
			return bus.Vote{}, err
		}
	} else {
		r.Source = source
	}
	if v.Envelope, err = r.Seal(a.Key); err != nil {
		return bus.Vote{}, err
	}
	return v, a.Spool.Put(release, v)
}
