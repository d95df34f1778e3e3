package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/reprosign/reprosign/attest/evidence"
)

// waitResult is what became of one target.
type waitResult struct {
	target  target
	release *releaseDocument // as last seen; nil if never
	report  *evidence.Report // nil if nothing was verified
	bundle  []byte
	err     error
}

// severity orders exit statuses: of several results the worst counts.
var severity = []int{exitUnverified, exitRefused, exitDenied, exitFailed, exitUnreachable, exitTimeout, exitOK}

// retryAfter is what a pipeline is told after a time-out, in seconds.
const retryAfter = 60

type waitDocument struct {
	Schema  string               `json:"schema"`
	For     string               `json:"for"`
	Exit    int                  `json:"exit"`
	Results []waitResultDocument `json:"results"`
}

type waitResultDocument struct {
	Target     string           `json:"target"`
	Met        bool             `json:"met"`
	Verified   bool             `json:"verified"`
	Caveats    []string         `json:"caveats"`
	Exit       int              `json:"exit"`
	Error      string           `json:"error,omitzero"`
	RetryAfter int              `json:"retry_after,omitzero"`
	Release    *releaseDocument `json:"release,omitzero"`
}

// caveats returns what a reader must know before relying on the result.
func (r waitResult) caveats() []string {
	if r.err != nil {
		return []string{}
	}
	if r.report == nil {
		return []string{"nothing was verified: this is the coordinator's word alone"}
	}
	c := r.report.Caveats()
	if t := r.target; t.file == "" && t.request.IsZero() && t.digest != r.report.Release && !t.isArtifactOf(r.report) {
		c = append(c, fmt.Sprintf("followed from release %v on the coordinator's word that this is its next attempt", t.digest))
	}
	return c
}

func (r waitResult) document() waitResultDocument {
	d := waitResultDocument{
		Target: plain(r.target.given), Met: r.err == nil, Verified: r.report != nil, Caveats: r.caveats(),
		Exit: exitCode(r.err), Release: r.release,
	}
	if r.err != nil {
		d.Error = plain(r.err.Error())
	}
	if d.Exit == exitTimeout {
		d.RetryAfter = retryAfter
	}
	return d
}

// printResults prints what became of all targets and returns the worst error.
func (a *app) printResults(w waiting, results []waitResult) error {
	var failures []error
	for i := range results {
		r := &results[i]
		if r.err == nil && w.evidence != "" && r.report != nil {
			r.err = saveEvidence(w.evidence, *r)
		}
		if r.err != nil {
			failures = append(failures, r.err)
		}
	}
	worst := worstOf(failures)
	doc := waitDocument{Schema: "reprosign/wait/v1", For: w.until, Exit: exitCode(worst), Results: []waitResultDocument{}}
	for _, r := range results {
		doc.Results = append(doc.Results, r.document())
	}
	if w.output == "json" {
		if err := a.printJSON(doc); err != nil {
			return err
		}
	} else {
		a.printWait(doc)
	}
	if w.output == "github" {
		if err := a.tellGitHub(doc); err != nil {
			return err
		}
	}
	for _, err := range failures {
		if err != worst { //nolint:errorlint // this very error is reported by run
			a.report(err)
		}
	}
	return worst
}

func worstOf(failures []error) error {
	for _, code := range severity {
		if i := slices.IndexFunc(failures, func(err error) bool { return exitCode(err) == code }); i >= 0 {
			return failures[i]
		}
	}
	return errors.Join(failures...)
}

// printWait prints a line for each target that reached its state.
func (a *app) printWait(doc waitDocument) {
	for _, r := range doc.Results {
		if !r.Met {
			continue
		}
		verified := "verified"
		if !r.Verified {
			verified = "not verified"
		}
		a.printStep("ok", fmt.Sprintf("%s: %s, %s: release %v", r.Release.title(), r.Release.State, verified, r.Release.Release))
		for _, c := range r.Caveats {
			a.warn("%s", c)
		}
	}
}

// saveEvidence leaves a verified bundle in a directory. Several files of one
// release share it, so the same bytes are written once.
func saveEvidence(dir string, r waitResult) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening the directory for evidence: %w", err)
	}
	defer root.Close()
	name := r.report.Release.String() + ".evidence.json"
	if old, err := root.ReadFile(name); err == nil && string(old) == string(r.bundle) {
		return nil
	}
	return writeFile(root, name, r.bundle, false)
}

// tellGitHub writes the outputs of a workflow step and its summary. Nothing
// from others can begin a line of its own there: documents are plain.
func (a *app) tellGitHub(doc waitDocument) error {
	met, verified := true, true
	var ids []string
	summary := &strings.Builder{}
	fmt.Fprint(summary, "| Release | State | Verified | |\n| --- | --- | --- | --- |\n")
	for _, r := range doc.Results {
		met, verified = met && r.Met, verified && r.Verified
		title, state := r.Target, "unknown"
		if r.Release != nil {
			title, state = r.Release.title(), r.Release.State
			ids = append(ids, r.Release.Release.String())
		}
		notes := append([]string{r.Error}, r.Caveats...)
		fmt.Fprintf(summary, "| %s | %s | %v | %s |\n", cell(title), cell(state), r.Verified, cell(strings.TrimSpace(strings.Join(notes, " "))))
	}
	outputs := fmt.Sprintf("met=%v\nverified=%v\nreleases=%s\nexit=%d\n", met, verified, strings.Join(ids, " "), doc.Exit)
	if err := appendTo(a.variable("GITHUB_OUTPUT"), outputs); err != nil {
		return err
	}
	if file := a.variable("GITHUB_STEP_SUMMARY"); file != "" {
		return appendTo(file, summary.String())
	}
	return nil
}

// cell makes text fit for a cell of a Markdown table, without markup of its own.
func cell(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", "|", "&#124;", "`", "&#96;", "[", "&#91;", "*", "&#42;", "_", "&#95;").Replace(s)
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("writing for the workflow: %w", err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing for the workflow: %w", err)
	}
	return nil
}
