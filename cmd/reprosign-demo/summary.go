package main

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// summary is what summary.json says. Paths are relative to its directory.
type summary struct {
	Schema     string           `json:"schema"`
	Verified   bool             `json:"verified"` // everything was as it must be
	Releases   []releaseSummary `json:"releases"`
	Refusals   []refusal        `json:"refusals"`
	Signatures accounts         `json:"signatures"`
	Skipped    []string         `json:"skipped,omitzero"`
	Failures   []string         `json:"failures,omitzero"`

	complete bool // the demo went to its end
}

const schemaSummary = "reprosign/demo/v1"

// releaseSummary is one release as it ended. Votes are views by rebuilder.
type releaseSummary struct {
	Name      string            `json:"name"`
	Suite     string            `json:"suite"`
	Version   string            `json:"version"`
	Release   string            `json:"release"`
	State     string            `json:"state"`
	Reason    string            `json:"reason"`
	Votes     map[string]string `json:"votes"`
	Evidence  string            `json:"evidence,omitzero"`
	Artifacts []artifactSummary `json:"artifacts"`
}

// artifactSummary is one signed file.
type artifactSummary struct {
	File      string `json:"file"`
	SHA256    string `json:"sha256"`
	Signature string `json:"signature"`
}

// refusal is one attack that failed.
type refusal struct {
	Tried  string `json:"tried"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// accounts compares the HSM's count with what is on record.
type accounts struct {
	HSM      uint64 `json:"hsm"`      // signatures, by the device's own counters
	Log      uint64 `json:"log"`      // signatures that entries of the log explain
	Ceremony uint64 `json:"ceremony"` // signatures of the key ceremony: certificates sign themselves
}

// balanced reports whether every signature of the device is explained.
func (a accounts) balanced() bool { return a.HSM == a.Log+a.Ceremony }

// expect notes a failure unless ok. The demo goes on, so that all of them are seen.
func (d *demo) expect(ok bool, format string, args ...any) {
	if ok {
		return
	}
	failure := fmt.Sprintf(format, args...)
	d.summary.Failures = append(d.summary.Failures, failure)
	d.screen.notable("FAILED", "%s", failure)
}

// encode returns summary.json.
func (s summary) encode() ([]byte, error) {
	s.Schema, s.Verified = schemaSummary, len(s.Failures) == 0
	data, err := json.Marshal(s, json.Deterministic(true), json.FormatNilSliceAsNull(false), jsontext.WithIndent("  "))
	if err != nil {
		return nil, fmt.Errorf("writing the summary: %w", err)
	}
	return append(data, '\n'), nil
}

// judge is the demo's exit status.
func (d *demo) judge() error {
	if !d.summary.complete || len(d.summary.Failures) > 0 {
		return errNotVerified
	}
	return nil
}
