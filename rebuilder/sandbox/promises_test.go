package sandbox_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

func TestABuildCannotReadTheAgentsKey(t *testing.T) {
	key := filepath.Join(publicDir(t), "key")
	if err := os.WriteFile(key, []byte("PRIVATE"), 0o600); err != nil {
		t.Fatal(err)
	}
	atEachLevel(t, func(t *testing.T, s *site) {
		if got := s.output(`cat "$1" 2>&1; ls -l "$1" 2>&1; true`, key); strings.Contains(got, "PRIVATE") {
			t.Errorf("the build read the key: %s", got)
		}
	})
}

func TestABuildCannotSeeTheAgentsProcess(t *testing.T) {
	const value = "the-agents-own-value"
	agent := exec.CommandContext(context.Background(), "/bin/cat") // t.Context ends before the clean-up that awaits it
	agent.Env = []string{"AGENT=" + value}
	stdin, err := agent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := agent.Wait(); err != nil {
			t.Errorf("the build ended the agent: %v", err)
		}
	})
	atEachLevel(t, func(t *testing.T, s *site) {
		// The name searched for comes in two halves, so that the search does not find itself.
		got := s.output(`grep -l -a "AGENT=the-$1" /proc/[0-9]*/environ 2>/dev/null; true`, strings.TrimPrefix(value, "the-"))
		if got != "" {
			t.Errorf("the build read the agent's environment: %s", got)
		}
		if s.slot.Level() == attest.IsolationUID {
			pid := strconv.Itoa(agent.Process.Pid)
			if got := s.output(`kill -KILL "$1" && echo killed; cat /proc/$1/mem && echo traced; true`, pid); strings.Contains(got, "killed") || strings.Contains(got, "traced") {
				t.Errorf("the build reached the agent: %s", got)
			}
			return
		}
		if got := s.output(`ps -A -o args= | grep -c -e "-test\." ; true`); strings.TrimSpace(got) != "0" {
			t.Errorf("the build sees processes of the agent: %s", got)
		}
	})
}

func TestABuildCannotWriteOutsideItsMounts(t *testing.T) {
	outside := publicDir(t)
	atEachLevel(t, func(t *testing.T, s *site) {
		got := s.output(`for d in / /etc /usr /usr/bin /dev /var/lib "$1" "$2"; do ( : > "$d/written" ) 2>/dev/null && echo "$d"; done; true`,
			outside, filepath.Dir(s.out))
		if got != "" {
			t.Errorf("the build wrote in %s", got)
		}
	})
}

func TestABuildCannotReplaceItsOutputDirectory(t *testing.T) {
	atEachLevel(t, func(t *testing.T, s *site) {
		out := s.slot.Path([]sandbox.Mount{{Host: s.out, Inside: "/out"}}, "/out")
		got := s.output(`mv "$1" "$1.old" 2>/dev/null && echo moved; rmdir "$1" 2>/dev/null && echo removed; true`, out)
		if got != "" {
			t.Errorf("the output directory was %s", got)
		}
	})
}

func TestTwoBuildsCannotReadEachOther(t *testing.T) {
	atEachLevel(t, func(t *testing.T, first *site) {
		first.output(`cd "$1" && echo private > file && chmod 644 file`, first.slot.Path([]sandbox.Mount{{Host: first.out, Inside: "/out"}}, "/out"))
		second := first.neighbour()
		if got := second.output(`cat "$1/file" 2>/dev/null; true`, first.out); got != "" {
			t.Errorf("one build read the other's output: %s", got)
		}
	})
}

func TestABuildHasNoNetworkAndAFetchHas(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	const connect = `(exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && echo connected; true`
	for _, level := range isolated() {
		if level == attest.IsolationUID {
			continue // promises nothing about the network
		}
		t.Run(string(level), func(t *testing.T) {
			s := newSite(t, level)
			if got := s.output(connect, port); got != "" {
				t.Error("the build reached a listener of the host")
			}
			spec := s.spec(connect, port)
			spec.Network = true
			if s.run(t.Context(), spec); s.log.String() != "connected\n" {
				t.Errorf("a command with the network granted could not connect: %q", s.log.String())
			}
		})
	}
}

func TestABuildGetsTheFixedEnvironmentAndNoOther(t *testing.T) {
	t.Setenv("AGENT_TOKEN", "not for builds")
	atEachLevel(t, func(t *testing.T, s *site) {
		spec := s.spec("")
		spec.Command = []string{"/usr/bin/env"}
		spec.Env = map[string]string{"SOURCE_DATE_EPOCH": "1"}
		if result := s.run(t.Context(), spec); !result.OK() {
			t.Fatalf("%+v %s", result, s.log.String())
		}
		got := map[string]string{}
		for line := range strings.Lines(s.log.String()) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			got[name] = value
		}
		want := map[string]string{
			"HOME": "/build/home", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "LOGNAME": "build", "PATH": "/usr/bin:/bin",
			"SHELL": "/bin/sh", "TZ": "UTC", "USER": "build", "SOURCE_DATE_EPOCH": "1",
		}
		// The shell that starts the command adds these.
		delete(got, "PWD")
		delete(got, "OLDPWD")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("environment (-want +got):\n%s", diff)
		}
	})
}

func TestNamespacesGiveTheSameWorldEverywhere(t *testing.T) {
	for _, level := range isolated() {
		if level == attest.IsolationUID {
			continue
		}
		t.Run(string(level), func(t *testing.T) {
			s := newSite(t, level)
			got := s.output(`hostname; umask; pwd; id -un; ls -A /; ls /proc/self/fd | head -3 | xargs; test -e /sys && echo sys; true`)
			want := "build\n0022\n/out\nbuild\nbin\ndev\netc\nlib\nlib32\nlib64\nlibx32\nout\nproc\nsbin\ntmp\nusr\nvar\n0 1 2\n"
			for _, dir := range []string{"/lib32", "/libx32", "/lib64"} {
				if _, err := os.Lstat(dir); err != nil {
					want = strings.ReplaceAll(want, strings.TrimPrefix(dir, "/")+"\n", "")
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("world (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheLoaderIsNotConfigurableByABuildsEnvironment(t *testing.T) {
	s := newSite(t, isolated()[0])
	spec := s.spec("true")
	spec.Env = map[string]string{"LD_PRELOAD": "/out/x.so"}
	if _, err := s.slot.Run(t.Context(), spec); err == nil {
		t.Error("LD_PRELOAD was accepted")
	}
}
