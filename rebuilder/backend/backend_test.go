package backend_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/backend"
	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

// site is one agent of its own: work directory, uid locks, kept outputs.
type site struct {
	t    *testing.T
	box  *sandbox.Sandbox
	keep string
	log  bytes.Buffer
}

func newSite(t *testing.T) *site {
	t.Helper()
	cfg := sandbox.Config{WorkDir: publicDir(t), LockDir: publicDir(t), UIDBase: 310_000, UIDCount: 4}
	box, err := sandbox.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &site{t: t, box: box}
}

func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "reprosign-backend-") //nolint:usetesting // other users must be able to pass through it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("left behind: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run builds job and returns its report, with the outputs in s.keep.
func (s *site) run(b backend.Backend, job backend.Job) backend.Report {
	s.t.Helper()
	slot, err := s.box.Acquire(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		if err := slot.Close(); err != nil {
			s.t.Error(err)
		}
	}()
	s.log.Reset()
	s.keep = s.t.TempDir()
	return backend.Run(s.t.Context(), b, job, slot, backend.Options{Log: &s.log, Keep: s.keep})
}

// built is run for a job that must succeed.
func (s *site) built(b backend.Backend, job backend.Job) backend.Report {
	s.t.Helper()
	report := s.run(b, job)
	if report.Outcome != attest.Built {
		s.t.Fatalf("%s: %v\n%s", report.Outcome, report.Err, s.log.String())
	}
	if err := attest.CheckStates(report.Artifacts, report.States); err != nil {
		s.t.Error(err)
	}
	for _, a := range report.Artifacts {
		kept, err := os.ReadFile(filepath.Join(s.keep, a.Name))
		if err != nil {
			s.t.Error(err)
		}
		if attest.SHA256(kept) != a.SHA256 {
			s.t.Errorf("kept copy of %s is not what was hashed", a.Name)
		}
	}
	return report
}

// wantOutcome checks how a run ended and that its error says why.
func wantOutcome(t *testing.T, r backend.Report, outcome attest.Outcome, why string) {
	t.Helper()
	if r.Outcome != outcome || r.Err == nil || !strings.Contains(r.Err.Error(), why) {
		t.Errorf("got %s: %v, want %s: …%s…", r.Outcome, r.Err, outcome, why)
	}
	if r.Artifacts != nil || r.States != nil {
		t.Errorf("an outcome of %s carries artifacts", r.Outcome)
	}
}

// sourceFile puts content under dir and returns the recipe's source for it.
func sourceFile(t *testing.T, dir, name string, content []byte) attest.Source {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return attest.Source{Name: name, SHA256: attest.SHA256(content), Size: int64(len(content)), URLs: []string{"file://" + file}}
}
