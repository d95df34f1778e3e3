package attest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reprosign/reprosign/attest/canonical"
)

// Outcome is how a build ended. Only Built is a vote; the others are reports.
type Outcome string

// The outcomes (design §2.3).
const (
	Built       Outcome = "built"
	BuildFailed Outcome = "build-failed"
	FetchFailed Outcome = "fetch-failed"
	TimedOut    Outcome = "timed-out"
	InfraError  Outcome = "infra-error"
)

// Outcomes lists all outcomes.
func Outcomes() []Outcome { return []Outcome{Built, BuildFailed, FetchFailed, TimedOut, InfraError} }

// Isolation is what kept a build away from its agent's keys, as the agent
// probed it. Votes of level none never count.
type Isolation string

// The isolation levels, weakest first.
const (
	IsolationNone   Isolation = "none"   // insecure: the build could read the agent's keys
	IsolationUID    Isolation = "uid"    // own user id, own process tree
	IsolationUserns Isolation = "userns" // own user, mount, process and network namespaces
	IsolationBwrap  Isolation = "bwrap"  // bubblewrap: own namespaces, read-only system, own user id when the agent is root
)

var isolationOrder = []Isolation{IsolationNone, IsolationUID, IsolationUserns, IsolationBwrap}

// AtLeast reports whether i is least or stronger. An unknown level on either
// side makes it false: nothing passes by a word that nobody knows.
func (i Isolation) AtLeast(least Isolation) bool {
	at, bar := slices.Index(isolationOrder, i), slices.Index(isolationOrder, least)
	return bar >= 0 && at >= bar
}

// Valid reports whether i is one of the known levels.
func (i Isolation) Valid() bool { return slices.Contains(isolationOrder, i) }

// Rebuild is a rebuilder's signed outcome of one release (design §2.3): SLSA
// Provenance v1 with the build type [RebuildBuildType]. An outcome of Built
// names the artifact set; every other outcome names the source that gave nothing.
type Rebuild struct {
	Release   Digest
	Rebuilder string
	Outcome   Outcome
	// Set is the set digest when the outcome is Built, else zero.
	Set Digest
	// Source is the request's source digest when the outcome is not Built, else zero.
	Source    Digest
	Isolation Isolation
	// Environment describes what was built with: toolchain, kernel, CPU.
	Environment map[string]string
	// Inputs is the digest of the agent's input manifest, zero if it never got one.
	Inputs Digest
	// Log is the digest of the kept build log, zero if no build was started.
	Log      Digest
	Started  Time
	Finished Time
}

// RebuildBuildType is the SLSA build type of rebuild statements (docs/spec/envelope-and-statements.md).
const RebuildBuildType = specBase + "rebuild/v1"

const (
	setSubject = "artifact-set"

	maxEnvironment      = 32
	maxEnvironmentValue = 256
)

// Check reports why the statement is not well-formed.
func (r Rebuild) Check() error {
	if err := CheckName(r.Rebuilder); err != nil {
		return fmt.Errorf("rebuild: rebuilder: %w", err)
	}
	if !slices.Contains(Outcomes(), r.Outcome) {
		return fmt.Errorf("rebuild: %w", malformed("outcome %q", clip(string(r.Outcome))))
	}
	if r.Release.IsZero() {
		return fmt.Errorf("rebuild: %w", malformed("release missing"))
	}
	if built := r.Outcome == Built; built == r.Set.IsZero() || built != r.Source.IsZero() {
		return fmt.Errorf("rebuild: %w", malformed("%s must name the artifact set, any other outcome the source", Built))
	}
	if !r.Isolation.Valid() {
		return fmt.Errorf("rebuild: %w", malformed("isolation %q", clip(string(r.Isolation))))
	}
	if len(r.Environment) > maxEnvironment {
		return fmt.Errorf("rebuild: %w", malformed("%d environment entries, at most %d allowed", len(r.Environment), maxEnvironment))
	}
	for k, v := range r.Environment {
		if err := checkText("environment name", k); err != nil {
			return fmt.Errorf("rebuild: %w", err)
		}
		if len(v) > maxEnvironmentValue || strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c > '~' }) {
			return fmt.Errorf("rebuild: %w", malformed("environment %q is longer than %d bytes or not printable ASCII", k, maxEnvironmentValue))
		}
	}
	if r.Started.IsZero() || r.Finished < r.Started {
		return fmt.Errorf("rebuild: %w", malformed("build from %v to %v", r.Started, r.Finished))
	}
	return nil
}

// Encode returns the payload of a valid statement.
func (r Rebuild) Encode() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	return writeStatement(r.walk)
}

func (r *Rebuild) walk(w *canonical.Walk) {
	w.Hex(beginStatement+`{"buildDefinition":{"buildType":"`+RebuildBuildType+`","externalParameters":{"release":`, r.Release[:])
	w.Words(`},"internalParameters":{"environment":`, &r.Environment)
	canonical.Word(w, `,"isolation":`, &r.Isolation)
	reference(w, `},"resolvedDependencies":`, &r.Inputs, "input-manifest")
	canonical.Word(w, `},"runDetails":{"builder":{"id":`, &r.Rebuilder)
	reference(w, `},"byproducts":`, &r.Log, "build-log")
	moment(w, `,"metadata":{"finishedOn":`, &r.Finished)
	moment(w, `,"startedOn":`, &r.Started)
	canonical.Word(w, `},"reprosign_outcome":`, &r.Outcome)
	name, subject := sourceSubject, &r.Source
	if r.Outcome == Built {
		name, subject = setSubject, &r.Set
	}
	w.Hex(`}},"predicateType":"`+RebuildType+oneSubject, subject[:])
	w.Text(`},"name":"`)
	w.Text(name)
	w.Text(`"}]}`)
}

// Seal signs the statement with the rebuilder's key.
func (r Rebuild) Seal(key SigningKey) (*Envelope, error) {
	return seal("rebuild", r.Rebuilder, key, r.Encode)
}

// ParseRebuild reads a rebuild statement's payload, whose envelope somebody else verified.
func ParseRebuild(payload []byte) (Rebuild, error) { return parse[Rebuild]("rebuild", payload) }

// OpenRebuild verifies a rebuild statement under the key of the rebuilder it names.
func OpenRebuild(e *Envelope, rebuilders Keys) (Rebuild, error) {
	return open("rebuild", e, ParseRebuild, rebuilderOf, rebuilders)
}

// OpenRebuilds is [OpenRebuild] for each of some envelopes, and costs less: at
// each place there is the statement or, beside none, the reason. None touches
// another, and some twenty are as good as more.
func OpenRebuilds(envelopes []*Envelope, rebuilders Keys) ([]Rebuild, []error) {
	return openAll("rebuild", envelopes, ParseRebuild, rebuilderOf, rebuilders)
}

func rebuilderOf(r Rebuild) string { return r.Rebuilder }
