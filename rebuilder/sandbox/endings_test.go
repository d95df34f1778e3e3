package sandbox_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

// allLevels adds None, which must end its processes too.
func allLevels() []attest.Isolation { return append(isolated(), attest.IsolationNone) }

// escape forks twice, starts a session of its own, keeps the log open and would write to the output directory for ever.
const escape = `cd "$1"; setsid -f sh -c 'trap "" TERM HUP; while :; do echo x > late; done'; until test -e late; do :; done`

func TestNoProcessOutlivesTheBuild(t *testing.T) {
	for _, level := range allLevels() {
		t.Run(string(level), func(t *testing.T) {
			s := newSite(t, level)
			s.output(escape, s.slot.Path([]sandbox.Mount{{Host: s.out, Inside: "/out"}}, "/out"))
			late := filepath.Join(s.out, "late")
			if err := os.Remove(late); err != nil {
				t.Fatal(err)
			}
			// A survivor writes the file thousands of times in the time this takes.
			s.output("true")
			if _, err := os.Stat(late); err == nil {
				t.Error("a background process still writes after Run returned")
			}
		})
	}
}

func TestATimeoutEndsEveryProcess(t *testing.T) {
	for _, level := range allLevels() {
		t.Run(string(level), func(t *testing.T) {
			s := newSite(t, level)
			spec := s.spec(escape+`; trap 'echo asked; exit 3' TERM; while :; do sleep 0.05; done`,
				s.slot.Path([]sandbox.Mount{{Host: s.out, Inside: "/out"}}, "/out"))
			spec.Timeout = time.Second
			result := s.run(t.Context(), spec)
			if !result.TimedOut || result.OK() {
				t.Errorf("got %+v, want timed out", result)
			}
			if !strings.Contains(s.log.String(), "asked") {
				t.Errorf("no SIGTERM before the end: %q", s.log.String())
			}
		})
	}
}

func TestTheEndOfTheContextIsAnErrorAndEndsTheBuild(t *testing.T) {
	for _, level := range allLevels() {
		t.Run(string(level), func(t *testing.T) {
			s := newSite(t, level)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			spec := s.spec(`echo ready; sleep 1000`)
			spec.Log = writerFunc(func(p []byte) (int, error) {
				cancel()
				return len(p), nil
			})
			if _, err := s.slot.Run(ctx, spec); !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v, want context.Canceled", err)
			}
		})
	}
}

func TestALogBombIsCutAndDrained(t *testing.T) {
	atEachLevel(t, func(t *testing.T, s *site) {
		spec := s.spec(`head -c 50000000 /dev/zero; echo done >&2`)
		spec.LogLimit = 1000
		result := s.run(t.Context(), spec)
		if !result.OK() {
			t.Errorf("the log ended the build: %+v", result)
		}
		if result.LogBytes != 50_000_005 || !result.LogTruncated {
			t.Errorf("got %d bytes, truncated %v", result.LogBytes, result.LogTruncated)
		}
		if want := make([]byte, 1000); !bytes.Equal(s.log.Bytes(), want) || result.LogDigest != sha256.Sum256(want) {
			t.Errorf("kept %d bytes with digest %x", s.log.Len(), result.LogDigest)
		}
	})
}

func TestALogThatCannotBeStoredIsTheAgentsError(t *testing.T) {
	s := newSite(t, isolated()[0])
	full := errors.New("disk full")
	spec := s.spec(`head -c 10000000 /dev/zero`)
	spec.Log = writerFunc(func([]byte) (int, error) { return 0, full })
	if _, err := s.slot.Run(t.Context(), spec); !errors.Is(err, full) {
		t.Errorf("got error %v, want that of the log", err)
	}
}

func TestTheNumberOfProcessesIsBounded(t *testing.T) {
	atEachLevel(t, func(t *testing.T, s *site) {
		// No real fork bomb: should the limit be missing, it would be the machine's end and not the test's.
		spec := s.spec("")
		spec.Command = []string{"/bin/sh", "-c", `for i in $(seq 200); do sleep 1000 & done; echo no limit`}
		spec.Limits.Processes = 50
		if result := s.run(t.Context(), spec); result.OK() {
			t.Errorf("200 processes were started: %s", s.log.String())
		}
	})
}

func TestAFullDiskEndsTheBuild(t *testing.T) {
	atEachLevel(t, func(t *testing.T, s *site) {
		spec := s.spec(`cd "$1"; head -c 3000000 /dev/zero > a; exec sleep 1000`, s.slot.Path([]sandbox.Mount{{Host: s.out, Inside: "/out"}}, "/out"))
		spec.Limits.DiskBytes = 2_000_000
		if result := s.run(t.Context(), spec); !result.OverDisk || result.TimedOut {
			t.Errorf("got %+v, want over disk", result)
		}
		spec = s.spec(`cd "$1"; head -c 3000000 /dev/zero > b`, s.slot.Path([]sandbox.Mount{{Host: s.out, Inside: "/out"}}, "/out"))
		spec.Limits.FileBytes = 1_000_000
		if result := s.run(t.Context(), spec); result.OK() {
			t.Errorf("a file beyond the limit was written: %+v", result)
		}
	})
}

func TestAnExitCodeIsAResultAndASandboxThatCannotStartIsAnError(t *testing.T) {
	atEachLevel(t, func(t *testing.T, s *site) {
		for script, want := range map[string]int{"exit 7": 7, "kill -KILL $$": 137, "exec /reprosign-nonexistent": 127} {
			if result := s.run(t.Context(), s.spec(script)); result.ExitCode != want {
				t.Errorf("%q: got status %d, want %d", script, result.ExitCode, want)
			}
		}
		spec := s.spec("true")
		spec.Dir = "/reprosign-nonexistent"
		if result, err := s.slot.Run(t.Context(), spec); err == nil {
			t.Errorf("a missing directory gave %+v", result)
		}
		spec = s.spec("true")
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Host: "/nonexistent/on/host", Inside: "/missing"})
		if s.slot.Level() != attest.IsolationUID {
			if result, err := s.slot.Run(t.Context(), spec); err == nil {
				t.Errorf("a missing mount gave %+v", result)
			}
		}
	})
}

func TestSlotsNeverShareAUIDAndAreFreedByClose(t *testing.T) {
	if os.Geteuid() != 0 {
		return // an ordinary user's builds have no uid of their own
	}
	cfg := config(t)
	cfg.UIDCount = 2
	box, err := sandbox.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	first, err1 := box.Acquire(t.Context())
	second, err2 := box.Acquire(t.Context())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if third, err := box.Acquire(t.Context()); err == nil {
		t.Error("a third slot of two was given")
		third.Close()
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	third, err := box.Acquire(t.Context())
	if err != nil {
		t.Fatalf("a freed uid was not given again: %v", err)
	}
	if err := errors.Join(second.Close(), third.Close(), third.Close()); err != nil {
		t.Error(err)
	}
}

func TestOpenRemovesAbandonedBuildsAndNoOthers(t *testing.T) {
	s := newSite(t, isolated()[0])
	work := filepath.Dir(filepath.Dir(s.out))
	abandoned := filepath.Join(work, "build-abandoned")
	if err := os.MkdirAll(filepath.Join(abandoned, "out"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.Open(t.Context(), sandbox.Config{WorkDir: work, LockDir: publicDir(t), UIDBase: 300_100, UIDCount: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(abandoned); err == nil {
		t.Error("the directory of a dead agent's build is still there")
	}
	if _, err := os.Stat(s.out); err != nil {
		t.Errorf("a living slot lost its directory: %v", err)
	}
}

func TestCloseRemovesWhatABuildMadeUnreadable(t *testing.T) {
	atEachLevel(t, func(t *testing.T, s *site) {
		s.output(`cd "$1" && mkdir -p a/b && touch a/b/c && ln -s /etc/passwd link && chmod 000 a/b && chmod 500 a`,
			s.slot.Path([]sandbox.Mount{{Host: s.out, Inside: "/out"}}, "/out"))
		if err := s.slot.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Dir(s.out)); err == nil {
			t.Error("the slot's directory is still there")
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
