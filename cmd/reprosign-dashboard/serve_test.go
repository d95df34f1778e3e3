package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

func TestMain(m *testing.M) { boxtest.Main(m) }

func migrate(dsn string) error { return store.Migrate(context.Background(), dsn) }

// free returns a local address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// get asks until somebody answers or the test is over.
func get(t *testing.T, url string, want int) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	last := errors.New("nobody answered")
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			continue // not listening yet
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err == nil && response.StatusCode == want {
			return string(body)
		}
		last = fmt.Errorf("status %d, %w", response.StatusCode, err)
	}
	t.Fatalf("%s: %v", url, last)
	return ""
}

func TestDashboardWaitsForItsDatabaseAndStopsWhenAsked(t *testing.T) {
	dir := t.TempDir()
	public, metrics := free(t), free(t)
	file := filepath.Join(dir, "dashboard.toml")
	dsnFile := filepath.Join(dir, "dashboard.dsn")
	text := fmt.Sprintf("listen = %q\nmetrics = %q\n[database]\ndsn_file = %q\n[log]\nlevel = \"error\"\n", public, metrics, dsnFile)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := newCommand(nil)
	cmd.SetArgs([]string{"--config", file})
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()

	if body := get(t, "http://"+metrics+"/readyz?verbose", 503); !strings.Contains(body, "database: not open") {
		t.Errorf("before its database: %q", body)
	}
	dsn := boxtest.Database(t, migrate)
	if err := os.WriteFile(dsnFile, []byte(dsn+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if body := get(t, "http://"+public+"/", 200); !strings.Contains(body, "No release was opened yet.") {
		t.Errorf("first page: %q", body)
	}
	get(t, "http://"+metrics+"/readyz", 200)
	if body := get(t, "http://"+metrics+"/metrics", 200); !strings.Contains(body, `reprosign_dashboard_request_seconds_count{route="/{$}",status="200"}`) {
		t.Errorf("metrics: %q", body)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func TestStopEndsTheWaitForADatabase(t *testing.T) {
	metrics := free(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := newCommand(nil)
	cmd.SetArgs([]string{"--database-dsn-file", filepath.Join(t.TempDir(), "none"), "--metrics", metrics, "--log-level", "error"})
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	get(t, "http://"+metrics+"/livez", 200)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func TestSettingsNameOneDatabase(t *testing.T) {
	for _, args := range [][]string{nil, {"--log-format", "xml"}, {"--database-dsn", "x"}} {
		cmd := newCommand(nil)
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		cmd.SetArgs(args)
		if err := cmd.ExecuteContext(t.Context()); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}
