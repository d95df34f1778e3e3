package box_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/internal/box"
)

// fakePrograms writes server programs that only tell a version.
func fakePrograms(t *testing.T, version string) string {
	t.Helper()
	dir := shortDir(t)
	script := "#!/bin/sh\necho '" + version + "'\n"
	for _, name := range []string{"initdb", "postgres", "psql"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// dataOf writes a cluster directory that claims to be made by a version.
func dataOf(t *testing.T, major string) string {
	t.Helper()
	dir := shortDir(t)
	if err := os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte(major+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDataOfAnAbsentVersionNamesTheVersionToInstall(t *testing.T) {
	t.Parallel()
	_, err := box.StartPostgres(t.Context(), box.PostgresOptions{Dir: dataOf(t, "99")})
	if !errors.Is(err, box.ErrNoPostgres) {
		t.Fatalf("got error %v, want ErrNoPostgres", err)
	}
	for _, want := range []string{"version 99 is needed", "pg_upgrade", "apt-get install postgresql", "dnf install postgresql-server"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func TestNamedProgramsOfAnOldVersionArePassedOver(t *testing.T) {
	t.Setenv("PG_BINDIR", fakePrograms(t, "postgres (PostgreSQL) 14.9 (Debian 14.9-1)"))
	pg, err := box.StartPostgres(t.Context(), box.PostgresOptions{})
	if err != nil {
		t.Fatalf("starting with the next set of programs: %v", err)
	}
	stop(t, pg)
}

func TestNamedProgramsComeFirst(t *testing.T) {
	// These claim to be new enough, and then make no cluster.
	t.Setenv("PG_BINDIR", fakePrograms(t, "postgres (PostgreSQL) 98rc1"))
	pg, err := box.StartPostgres(t.Context(), box.PostgresOptions{})
	if err == nil {
		stop(t, pg)
		t.Fatal("programs outside PG_BINDIR were used")
	}
	if !strings.Contains(err.Error(), "data.new") {
		t.Errorf("got error %v, want the missing cluster of the named initdb", err)
	}
}

func TestUnreadableVersionIsReported(t *testing.T) {
	t.Setenv("PG_BINDIR", fakePrograms(t, "BSD make"))
	_, err := box.StartPostgres(t.Context(), box.PostgresOptions{Dir: dataOf(t, "99")})
	if err == nil || !strings.Contains(err.Error(), `unknown version text "BSD make\n"`) {
		t.Errorf("got error %v", err)
	}
}
