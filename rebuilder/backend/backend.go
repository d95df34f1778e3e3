package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

// Backend is one way to build. Implementations hold configuration only and may be used by several slots at once.
type Backend interface {
	// Name is what recipes call the back-end.
	Name() string
	// Check refuses a recipe that Fetch or Build would not understand. It looks at nothing but the job.
	Check(Job) error
	// Fetch brings every input into site.In, checked by digest, and lists it. It may use the network and must not run
	// code of the source.
	Fetch(context.Context, Job, *Site) (Inputs, error)
	// Build runs the source in site's slot, without a network unless the operator configured one, and leaves the
	// artifacts, regular files and nothing else, in site.Out. It returns the sandbox's result whenever a command ran.
	Build(context.Context, Job, *Site, io.Writer) (sandbox.Result, error)
	// Toolchain names the programs that decide what comes out, for the statement's environment.
	Toolchain(context.Context, Job) (map[string]string, error)
}

// Job is what a release asks an agent to build.
type Job struct {
	Source       string
	Version      string
	Architecture string
	Recipe       attest.Recipe
}

// JobOf returns the job of a verified release request.
func JobOf(r attest.Request) Job {
	return Job{Source: r.Source, Version: r.Version, Architecture: r.Architecture, Recipe: r.Recipe}
}

// Failure is an error that knows which outcome it is. Every other error is an infra-error.
type Failure struct {
	Outcome attest.Outcome
	Err     error
}

// Error implements error.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap implements errors.Unwrap.
func (f *Failure) Unwrap() error { return f.Err }

// failure makes an error of the given outcome.
func failure(outcome attest.Outcome, format string, args ...any) error {
	return &Failure{outcome, fmt.Errorf(format, args...)}
}

// refuse makes the error for a recipe that no agent can build: that is the recipe's fault and the same everywhere.
func refuse(format string, args ...any) error {
	return failure(attest.BuildFailed, "recipe: "+format, args...)
}

// OutcomeOf classes an error of a back-end or of Run's other steps; nil is built.
func OutcomeOf(err error) attest.Outcome {
	var f *Failure
	switch {
	case err == nil:
		return attest.Built
	case errors.As(err, &f):
		return f.Outcome
	default:
		return attest.InfraError
	}
}

// Options are the agent's wishes for one run.
type Options struct {
	// Log receives the build log, at most sandbox.DefaultLogLimit bytes.
	Log io.Writer
	// Keep is a directory that receives a copy of every artifact, KeepEvidence one for every piece of evidence; they must
	// exist and be empty. They are two, for a build may give any name to either. Copies are written while they are
	// hashed, so they are what the digests say. Empty keeps none.
	Keep, KeepEvidence string
	// Timeout bounds the build command; zero is sandbox.DefaultTimeout.
	Timeout time.Duration
}

// Report is how a job ended, all that a rebuild statement needs except the release and the keys.
type Report struct {
	Outcome attest.Outcome
	// Err is why the outcome is not built.
	Err error
	// Artifacts and States are set when the outcome is built, sorted by name.
	Artifacts attest.Artifacts
	States    []attest.State
	// Evidence are files that explain the build and are not agreed on, such as a .buildinfo.
	Evidence    attest.Artifacts
	Inputs      Inputs
	Environment map[string]string
	Isolation   attest.Isolation
	// Log is the digest of the kept log, zero if no command ran.
	Log          attest.Digest
	LogTruncated bool
	Started      time.Time
	Finished     time.Time
}

// Run takes a job through all steps in a fresh slot. It always gives a report: the agent signs every outcome.
func Run(ctx context.Context, b Backend, job Job, slot *sandbox.Slot, o Options) Report {
	report := Report{Started: time.Now(), Isolation: slot.Level()}
	report.Err = report.run(ctx, b, job, slot, o)
	if ctx.Err() != nil {
		// Whatever failed then, it failed because the agent stopped.
		report.Err = fmt.Errorf("agent interrupted: %w", context.Cause(ctx))
	}
	report.Outcome = OutcomeOf(report.Err)
	if report.Outcome != attest.Built {
		report.Artifacts, report.States = nil, nil
	}
	report.Finished = time.Now()
	return report
}

func (r *Report) run(ctx context.Context, b Backend, job Job, slot *sandbox.Slot, o Options) error {
	if o.Log == nil {
		o.Log = io.Discard
	}
	env, err := environment(ctx, b, job)
	r.Environment = env
	if err != nil {
		return fmt.Errorf("describing the environment: %w", err)
	}
	if err := job.Recipe.Check(); err != nil {
		return &Failure{attest.BuildFailed, err}
	}
	if err := b.Check(job); err != nil {
		return err
	}
	site, err := newSite(slot)
	if err != nil {
		return err
	}
	site.Timeout = o.Timeout
	if r.Inputs, err = b.Fetch(ctx, job, site); err != nil {
		return fmt.Errorf("fetching inputs: %w", err)
	}
	if err := makeReadable(site.In); err != nil {
		return fmt.Errorf("handing inputs to the build: %w", err)
	}
	result, err := b.Build(ctx, job, site, o.Log)
	if !result.Finished.IsZero() {
		r.Log, r.LogTruncated = result.LogDigest, result.LogTruncated
	}
	if err != nil {
		return fmt.Errorf("building: %w", err)
	}
	if err := judge(result); err != nil {
		return err
	}
	if r.Artifacts, r.States, err = Collect(site.Out, o.Keep); err != nil {
		return fmt.Errorf("collecting outputs: %w", err)
	}
	r.Evidence, err = collectEvidence(site.Evidence, o.KeepEvidence)
	return err
}

// judge says what the end of the build command means.
func judge(result sandbox.Result) error {
	switch {
	case result.OverDisk:
		return failure(attest.BuildFailed, "build wrote more than its disk limit")
	case result.TimedOut:
		return failure(attest.TimedOut, "build did not end within %v", result.Finished.Sub(result.Started).Round(time.Second))
	case result.ExitCode != 0:
		return failure(attest.BuildFailed, "build command ended with status %d, its log says why", result.ExitCode)
	}
	return nil
}
