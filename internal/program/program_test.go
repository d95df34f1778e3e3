package program_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/internal/program"
)

type settings struct {
	Listen string      `toml:"listen" help:"address"`
	Log    program.Log `toml:"log"`
	NATS   struct {
		program.Bus
		Replicas int `toml:"replicas" help:"servers"`
	} `toml:"nats"`
}

func TestSettingsComeFromFileThenEnvironmentThenFlags(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "program.toml")
	text := "listen = \"file\"\n[nats]\nurl = \"file\"\nseed = \"file\"\nca = \"file\"\nreplicas = 3\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var got settings
	cmd := program.Command([]string{"REPROSIGN_NATS_SEED=environment", "REPROSIGN_NATS_CA=environment"}, "reprosign-test", "Test",
		settings{Log: program.DefaultLog}, func(_ context.Context, s settings) error {
			got = s
			return nil
		})
	cmd.SetArgs([]string{"--config", file, "--nats-ca", "flag"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := settings{Listen: "file", Log: program.DefaultLog}
	want.NATS.URL, want.NATS.Seed, want.NATS.CA, want.NATS.Replicas = "file", "environment", "flag", 3
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestSettingsInForceArePrintedWithoutSecrets(t *testing.T) {
	t.Parallel()
	type settings struct {
		Listen string `toml:"listen" help:"address"`
		DSN    string `toml:"dsn" secret:"true"`
	}
	cmd := program.Command([]string{"REPROSIGN_LISTEN=environment"}, "reprosign-test", "Test", settings{DSN: "password=hunter2"},
		func(context.Context, settings) error {
			t.Error("it runs")
			return nil
		})
	var said bytes.Buffer
	cmd.SetOut(&said)
	cmd.SetArgs([]string{"--print-config"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "listen = 'environment'\ndsn = '(set, not shown)'\n"; said.String() != want {
		t.Errorf("got %q, want %q", said.String(), want)
	}
}

func TestSettingsThatAreNoneEndTheProgramBeforeItRuns(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--nats-host", "x"}, {"argument"}, {"--config", "/nonexistent"}} {
		cmd := program.Command(nil, "reprosign-test", "Test", settings{}, func(context.Context, settings) error {
			t.Errorf("%q: it runs", args)
			return nil
		})
		var said bytes.Buffer
		cmd.SetErr(&said)
		cmd.SetArgs(args)
		if status := program.Main(cmd); status != 1 || !bytes.HasPrefix(said.Bytes(), []byte("error: ")) {
			t.Errorf("%q: status %d, %q", args, status, said.String())
		}
	}
}

func TestSignalEndsTheProgramWithoutAnError(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd := &cobra.Command{RunE: func(cmd *cobra.Command, _ []string) error {
			if err := syscall.Kill(os.Getpid(), signal); err != nil {
				return err
			}
			<-cmd.Context().Done()
			return nil
		}}
		cmd.SetArgs([]string{})
		if status := program.Main(cmd); status != 0 {
			t.Errorf("%v: status %d", signal, status)
		}
	}
}

// counted is a part with one metric.
type counted struct{ prometheus.Counter }

func (c counted) Collectors() []prometheus.Collector { return []prometheus.Collector{c.Counter} }

func TestProgramIsReadyWhenWhatItExpectsHolds(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	p, err := program.New(program.Log{Format: "text", Level: "error"}, address)
	if err != nil {
		t.Fatal(err)
	}
	database := p.Expect("database")
	err = p.Run(t.Context(), func(_ context.Context, ready func()) error {
		ready()
		wantPage(t, address, "/readyz?verbose", 503, "database: not open\nnot ok\n")
		holds := errors.New("connection refused")
		database(func(context.Context) error { return holds })
		wantPage(t, address, "/readyz?verbose", 503, "database: connection refused\nnot ok\n")
		holds = nil
		wantPage(t, address, "/readyz?verbose", 200, "database: ok\nok\n")
		part := counted{prometheus.NewCounter(prometheus.CounterOpts{Name: "reprosign_test_total", Help: "Tests."})}
		p.Measure(part)
		wantPage(t, address, "/metrics", 200, "# HELP reprosign_test_total Tests.\n# TYPE reprosign_test_total counter\nreprosign_test_total 0\n")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestGivingUpWhenAskedToStopIsNoError(t *testing.T) {
	t.Parallel()
	p, err := program.New(program.DefaultLog, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	broken := errors.New("disk on fire")
	for _, test := range []struct{ ends, want error }{
		{fmt.Errorf("waiting: %w", context.Canceled), context.Canceled}, // not asked: somebody else's context
		{broken, broken},
	} {
		if err := p.Run(ctx, func(context.Context, func()) error { return test.ends }); !errors.Is(err, test.want) {
			t.Errorf("while it runs: got %v, want %v", err, test.want)
		}
	}
	cancel()
	if err := p.Run(ctx, func(ctx context.Context, _ func()) error { return fmt.Errorf("waiting: %w", ctx.Err()) }); err != nil {
		t.Errorf("asked to stop: %v", err)
	}
	if err := p.Run(ctx, func(context.Context, func()) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("asked to stop: got %v, want %v", err, broken)
	}
}

func wantPage(t *testing.T, address, path string, status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(fmt.Sprintf("http://%s%s", address, path))
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != status || string(got) != body {
		t.Errorf("%s: got %d %q, %v, want %d %q", path, r.StatusCode, got, err, status, body)
	}
}
