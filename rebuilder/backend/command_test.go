package backend_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/backend"
)

// shell is a command back-end whose one executable is a shell script.
type shell struct {
	*site
	backend backend.Backend
	job     backend.Job
}

func newShell(t *testing.T, script string) *shell {
	t.Helper()
	dir := publicDir(t)
	content := []byte("#!/bin/sh\nset -e\n" + script)
	exe := filepath.Join(dir, "build-it")
	if err := os.WriteFile(exe, content, 0o755); err != nil {
		t.Fatal(err)
	}
	digest := attest.SHA256(content)
	return &shell{
		site:    newSite(t),
		backend: backend.Command(backend.Fetcher{FileRoots: []string{dir}}, map[string]backend.Executable{"shell": {Path: exe, SHA256: digest}}),
		job: backend.Job{
			Source: "thing", Version: "1.0-1", Architecture: "amd64",
			Recipe: attest.Recipe{
				Backend:    "command",
				Parameters: map[string]string{"command": "shell", "sha256": digest.String()},
				Sources:    []attest.Source{sourceFile(t, dir, "thing-1.0.tar", []byte("source"))},
			},
		},
	}
}

func TestACommandGetsItsJobAsFileEnvironmentAndArgument(t *testing.T) {
	s := newShell(t, `cp "$REPROSIGN_JOB" "$REPROSIGN_OUT/job"
env | grep -E '^(REPROSIGN|REBUILDERD|SOURCE)' | sort > "$REBUILDERD_OUTDIR/env"
cp "$1" "$REPROSIGN_OUT/input"
echo why > "$REPROSIGN_EVIDENCE/note"`)
	s.job.Recipe.Parameters["arg.flavour"] = "with $(space) and 'quotes'"
	s.job.Recipe.Parameters["source_date_epoch"] = "1700000000"
	report := s.built(s.backend, s.job)

	got := map[string]string{}
	for _, a := range report.Artifacts {
		content, err := os.ReadFile(filepath.Join(s.keep, a.Name))
		if err != nil {
			t.Fatal(err)
		}
		got[a.Name] = string(content)
	}
	want := map[string]string{
		"input": "source",
		"job": `{"architecture":"amd64","arguments":{"flavour":"with $(space) and 'quotes'"},"evidence":"/evidence","input":"/in/sources/thing-1.0.tar",` +
			`"out":"/out","source":"thing","sourceVersion":"1.0-1","sources":["/in/sources/thing-1.0.tar"],"version":1}`,
		"env": `REBUILDERD_OUTDIR=/out
REPROSIGN_ARCHITECTURE=amd64
REPROSIGN_ARG_FLAVOUR=with $(space) and 'quotes'
REPROSIGN_EVIDENCE=/evidence
REPROSIGN_JOB=/in/job.json
REPROSIGN_OUT=/out
REPROSIGN_SOURCE=thing
REPROSIGN_SOURCES=/in/sources
REPROSIGN_VERSION=1.0-1
SOURCE_DATE_EPOCH=1700000000
`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the command saw (-want +got):\n%s", diff)
	}
	if len(report.Evidence) != 1 || report.Evidence[0].Name != "note" {
		t.Errorf("evidence: %v", report.Evidence)
	}
	if len(report.Inputs) != 2 || report.Inputs[0].Name != "command/shell" {
		t.Errorf("inputs: %v", report.Inputs)
	}
	for _, name := range []string{"os", "kernel", "cpu", "machine", "packages", "command"} {
		if report.Environment[name] == "" {
			t.Errorf("environment says nothing about %s: %v", name, report.Environment)
		}
	}
}

func TestEveryEndOfABuildHasItsOutcome(t *testing.T) {
	const ok = "echo x > $REPROSIGN_OUT/x\n"
	for name, c := range map[string]struct {
		script  string
		change  func(*shell)
		outcome attest.Outcome
		why     string
	}{
		"non-zero status":     {script: ok + "exit 3", outcome: attest.BuildFailed, why: "status 3"},
		"no output":           {script: "true", outcome: attest.BuildFailed, why: "empty"},
		"link in output":      {script: "ln -s /etc/passwd $REPROSIGN_OUT/x", outcome: attest.BuildFailed, why: "not a regular file"},
		"pipe in output":      {script: "mkfifo $REPROSIGN_OUT/x", outcome: attest.BuildFailed, why: "not a regular file"},
		"directory in output": {script: ok + "mkdir $REPROSIGN_OUT/d", outcome: attest.BuildFailed, why: "not a regular file"},
		"bad output name":     {script: "echo x > \"$REPROSIGN_OUT/a b\"", outcome: attest.BuildFailed, why: "output file"},
		"hidden output":       {script: ok + "echo x > $REPROSIGN_OUT/.x", outcome: attest.BuildFailed, why: "output file"},
		"too many outputs":    {script: "cd $REPROSIGN_OUT; for i in $(seq 1025); do : > f$i; done", outcome: attest.BuildFailed, why: "more than 1024"},
		"unreadable file":     {script: ok + "chmod 000 $REPROSIGN_OUT/x", outcome: attest.BuildFailed, why: "unreadable"},
		"unreadable output":   {script: ok + "chmod 000 $REPROSIGN_OUT", outcome: attest.BuildFailed, why: "unreadable"},
		"wrong source digest": {
			script: ok, outcome: attest.FetchFailed, why: "SHA-256 is",
			change: func(s *shell) { s.job.Recipe.Sources[0].SHA256[0] ^= 1 },
		},
		"wrong source size": {
			script: ok, outcome: attest.FetchFailed, why: "size is not",
			change: func(s *shell) { s.job.Recipe.Sources[0].Size-- },
		},
		"source outside the roots": {
			script: ok, outcome: attest.FetchFailed, why: "file_roots",
			change: func(s *shell) { s.job.Recipe.Sources[0].URLs = []string{"file:///etc/hostname"} },
		},
		"unknown parameter": {
			script: ok, outcome: attest.BuildFailed, why: `unknown parameter "comand"`,
			change: func(s *shell) { s.job.Recipe.Parameters["comand"] = "x" },
		},
		"other executable wanted": {
			script: ok, outcome: attest.InfraError, why: "is pinned here with",
			change: func(s *shell) { s.job.Recipe.Parameters["sha256"] = strings.Repeat("0", 64) },
		},
		"executable not installed": {
			script: ok, outcome: attest.InfraError, why: "not installed",
			change: func(s *shell) { s.job.Recipe.Parameters["command"] = "other" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t, c.script)
			if c.change != nil {
				c.change(s)
			}
			wantOutcome(t, s.run(s.backend, s.job), c.outcome, c.why)
		})
	}
}

func TestAnExecutableThatChangedIsNeverRun(t *testing.T) {
	s := newShell(t, "echo x > $REPROSIGN_OUT/x")
	s.built(s.backend, s.job)
	exe := filepath.Join(filepath.Dir(strings.TrimPrefix(s.job.Recipe.Sources[0].URLs[0], "file://")), "build-it")
	if err := os.WriteFile(exe, []byte("#!/bin/sh\necho evil > $REPROSIGN_OUT/x\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, s.run(s.backend, s.job), attest.InfraError, "not the pinned")
	if s.log.Len() != 0 {
		t.Errorf("something ran: %s", s.log.String())
	}
}

func TestMirrorsAreTriedInOrderUntilOneGivesTheRightBytes(t *testing.T) {
	mirror := http.NewServeMux()
	mirror.HandleFunc("/wrong", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("SOURCE")) })
	mirror.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	mirror.HandleFunc("/right", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("source")) })
	server := httptest.NewServer(mirror)
	defer server.Close()

	s := newShell(t, `cp "$1" $REPROSIGN_OUT/x`)
	source := &s.job.Recipe.Sources[0]
	source.URLs = []string{server.URL + "/missing", server.URL + "/wrong", server.URL + "/endless", server.URL + "/right"}
	if report := s.built(s.backend, s.job); report.Artifacts[0].SHA256 != attest.SHA256([]byte("source")) {
		t.Errorf("built from other bytes: %v", report.Artifacts)
	}
	source.URLs = source.URLs[:3]
	wantOutcome(t, s.run(s.backend, s.job), attest.FetchFailed, "/missing: answered 404")
}
