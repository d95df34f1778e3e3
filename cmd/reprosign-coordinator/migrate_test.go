package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

func TestMain(m *testing.M) { boxtest.Main(m) }

// signal is a log that tells when something was written to it, and what at
// first: how far a migration is may be said at any time, and nobody waits for it.
type signal chan string

func (s signal) Write(line []byte) (int, error) {
	select {
	case s <- string(line):
	default:
	}
	return len(line), nil
}

func TestCoordinatorGoesOnWhenTheOwnerHasMigrated(t *testing.T) {
	dsn := boxtest.Database(t, nil)
	boxtest.Database(t, func(dsn string) error { return store.Migrate(context.Background(), dsn) }) // for the roles
	w, err := store.OpenWriter(t.Context(), dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	said, ended := make(signal, 1), make(chan error, 1)
	go func() { ended <- awaitSchema(t.Context(), w, slog.New(slog.NewTextHandler(said, nil))) }()
	if line := <-said; !strings.Contains(line, "it is empty") || !strings.Contains(line, "reprosign-coordinator migrate --owner FILE") {
		t.Errorf("it says: %s", line)
	}
	owner := filepath.Join(t.TempDir(), "owner.dsn")
	if err := os.WriteFile(owner, []byte(dsn+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // again changes nothing
		var out bytes.Buffer
		cmd := newCommand(nil)
		cmd.SetArgs([]string{"migrate", "--owner", owner})
		cmd.SetOut(&out)
		if err := cmd.ExecuteContext(t.Context()); err != nil || out.String() != "the schema is up to date\n" {
			t.Errorf("migrating: %q, %v", out.String(), err)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("waiting: %v", err)
	}
}

func TestStopEndsTheWaitForTheOwner(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	said, ended := make(signal, 1), make(chan error, 1)
	reason := errors.New("too old")
	go func() {
		ended <- await(ctx, slog.New(slog.NewTextHandler(said, nil)), func() error { return reason }, reason)
	}()
	<-said
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestConnectionStringOfTheOwnerIsASecretFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "owner.dsn")
	if err := os.WriteFile(file, []byte("host=localhost password=hunter2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"migrate"}, {"migrate", "--owner", file}, {"migrate", "--owner", "credential:owner"}} {
		cmd := newCommand(nil)
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		cmd.SetArgs(args)
		if err := cmd.ExecuteContext(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v", args, err)
		}
	}
}
