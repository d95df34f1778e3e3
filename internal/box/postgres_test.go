package box_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reprosign/reprosign/internal/box"
)

func TestMain(m *testing.M) {
	if owner, ok := owners[os.Getenv(ownerVariable)]; ok {
		owner(os.Args[1:])
		return
	}
	goleak.VerifyTestMain(m)
}

// shortDir is a test directory whose path leaves room for a socket name;
// t.TempDir holds the test's name and may not.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(box.TemporaryRoot(), "box-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	// As root, another user must pass through it.
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func start(t *testing.T, opts box.PostgresOptions) *box.Postgres {
	t.Helper()
	pg, err := box.StartPostgres(t.Context(), opts)
	if err != nil {
		t.Fatalf("starting: %v", err)
	}
	t.Cleanup(func() { stop(t, pg) })
	return pg
}

func stop(t *testing.T, pg *box.Postgres) {
	t.Helper()
	if err := pg.Stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func query(t *testing.T, pg *box.Postgres, db, sql string) string {
	t.Helper()
	rows, err := pg.Query(t.Context(), db, sql)
	if err != nil {
		t.Fatalf("running %q: %v", sql, err)
	}
	return rows
}

func TestThrowAwayClusterLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	pg := start(t, box.PostgresOptions{})
	if got := query(t, pg, "postgres", "SHOW fsync; SHOW synchronous_commit; SHOW listen_addresses"); got != "off\noff\n" {
		t.Errorf("settings: got %q", got)
	}
	dir := query(t, pg, "postgres", "SHOW unix_socket_directories")
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the socket directory: got %v, want 0700", info.Mode())
	}
	exited := pg.Exited()
	stop(t, pg)
	<-exited
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory after stop: got error %v, want none left", err)
	}
	stop(t, pg) // a second stop does nothing
	if err := pg.Restart(t.Context()); err == nil {
		t.Error("restarting a stopped cluster succeeded")
	}
	if err := pg.Crash(); err == nil {
		t.Error("crashing a stopped cluster succeeded")
	}
}

func TestDurableClusterKeepsItsDataOverStops(t *testing.T) {
	t.Parallel()
	// A directory that needs quoting in a DSN and does not exist yet.
	dir := filepath.Join(shortDir(t), "state of the 'box'", "pg")
	first := start(t, box.PostgresOptions{Dir: dir, Durable: true})
	if got := query(t, first, "postgres", "SHOW fsync; SHOW synchronous_commit; SHOW full_page_writes"); got != "on\non\non" {
		t.Errorf("settings: got %q", got)
	}
	if err := first.EnsureDatabase(t.Context(), "re\"pro'sign"); err != nil {
		t.Fatal(err)
	}
	query(t, first, "re\"pro'sign", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
	dsn := first.DSN("re\"pro'sign", "postgres")
	stop(t, first)

	second := start(t, box.PostgresOptions{Dir: dir, Durable: true})
	if err := second.EnsureDatabase(t.Context(), "re\"pro'sign"); err != nil {
		t.Errorf("ensuring a database that exists: %v", err)
	}
	if got := query(t, second, "re\"pro'sign", "SELECT n FROM kept"); got != "7" {
		t.Errorf("row after a new start: got %q, want 7", got)
	}
	if diff := cmp.Diff(dsn, second.DSN("re\"pro'sign", "postgres")); diff != "" {
		t.Errorf("DSN changed (-first +second):\n%s", diff)
	}
}

func TestCommittedRowsSurviveACrash(t *testing.T) {
	t.Parallel()
	pg := start(t, box.PostgresOptions{Dir: filepath.Join(shortDir(t), "pg"), Durable: true})
	query(t, pg, "postgres", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
	exited := pg.Exited()
	if err := pg.Crash(); err != nil {
		t.Fatal(err)
	}
	<-exited
	if _, err := pg.Query(t.Context(), "postgres", "SELECT 1"); err == nil {
		t.Error("a crashed server answered")
	}
	if err := pg.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query(t, pg, "postgres", "SELECT n FROM kept"); got != "1" {
		t.Errorf("row after the crash: got %q, want 1", got)
	}
	// And a restart of a server that runs.
	if err := pg.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query(t, pg, "postgres", "SELECT n FROM kept"); got != "1" {
		t.Errorf("row after the restart: got %q, want 1", got)
	}
}

func TestOneDirectoryHasOneOwner(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortDir(t), "pg")
	start(t, box.PostgresOptions{Dir: dir})
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // do not wait for the first to go away
	_, err := box.StartPostgres(ctx, box.PostgresOptions{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second start on %s: got error %v", dir, err)
	}
}

func TestStalePidFileThatNamesALiveProcessIsRemoved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortDir(t), "pg")
	pidFile := filepath.Join(dir, "data", "postmaster.pid")
	first := start(t, box.PostgresOptions{Dir: dir, Durable: true})
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, first)
	// What a killed server leaves. Meanwhile its number belongs to another
	// process of the same user, as happens when a container starts again.
	stranger := start(t, box.PostgresOptions{})
	pid, _, _ := strings.Cut(query(t, stranger, "postgres", "SELECT pg_read_file('postmaster.pid')"), "\n")
	_, rest, _ := strings.Cut(string(text), "\n")
	if err := os.WriteFile(pidFile, []byte(pid+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	owner, err := os.Stat(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	stat := owner.Sys().(*syscall.Stat_t)
	if err := os.Chown(pidFile, int(stat.Uid), int(stat.Gid)); err != nil {
		t.Fatal(err)
	}
	second := start(t, box.PostgresOptions{Dir: dir, Durable: true})
	if got := query(t, second, "postgres", "SHOW data_directory"); got != filepath.Join(dir, "data") {
		t.Errorf("data directory: got %s", got)
	}
}

func TestServerStartedByOtherMeansIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortDir(t), "pg")
	start(t, box.PostgresOptions{Dir: dir})
	// Without the lock file this box cannot know it by the lock.
	if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := box.StartPostgres(t.Context(), box.PostgresOptions{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "started by other means; stop it first") {
		t.Errorf("got error %v", err)
	}
}

func TestUnfinishedClusterIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortDir(t), "pg")
	stop(t, start(t, box.PostgresOptions{Dir: dir}))
	if err := os.Rename(filepath.Join(dir, "data"), filepath.Join(dir, "data.new")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "data.new", "global", "pg_control")); err != nil {
		t.Fatal(err)
	}
	start(t, box.PostgresOptions{Dir: dir})
}

func TestUnusableDirectoriesAreRefused(t *testing.T) {
	t.Parallel()
	base := shortDir(t)
	long := filepath.Join(base, strings.Repeat("d", box.MaxPostgresDir))
	foreign := filepath.Join(base, "foreign")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, dir, want string }{
		{"socket path too long", long, "choose a shorter one"},
		{"somebody's files", foreign, "holds other files"},
		{"a file", filepath.Join(foreign, "thesis.tex"), "not a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pg, err := box.StartPostgres(t.Context(), box.PostgresOptions{Dir: test.dir})
			if err == nil {
				stop(t, pg)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
		})
	}
	t.Cleanup(func() {
		info, err := os.Stat(foreign)
		if err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("refused directory: got %v, %v, want its mode unchanged", info.Mode(), err)
		}
	})
}

func TestRootIsToldWhichDirectoryThePostgresUserCannotPass(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root hands the cluster to another user")
	}
	home := filepath.Join(shortDir(t), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := box.StartPostgres(t.Context(), box.PostgresOptions{Dir: filepath.Join(home, "pg")})
	if err == nil || !strings.Contains(err.Error(), "directory "+home+" does not let user") {
		t.Errorf("got error %v", err)
	}
}

func TestServerThatFailsIsQuoted(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortDir(t), "pg")
	stop(t, start(t, box.PostgresOptions{Dir: dir}))
	conf, err := os.OpenFile(filepath.Join(dir, "data", "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conf.WriteString("\nno_such_setting = on\n"); err != nil {
		t.Fatal(err)
	}
	if err := conf.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = box.StartPostgres(t.Context(), box.PostgresOptions{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), `unrecognized configuration parameter "no_such_setting"`) {
		t.Errorf("got error %v", err)
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := box.StartPostgres(ctx, box.PostgresOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context canceled", err)
	}
}
