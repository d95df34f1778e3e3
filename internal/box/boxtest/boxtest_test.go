package boxtest_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/reprosign/reprosign/internal/box/boxtest"
)

func TestMain(m *testing.M) { boxtest.Main(m) }

// psql runs SQL on a DSN, as the store's pool would.
func psql(ctx context.Context, dsn, sql string) (string, error) {
	out, err := exec.CommandContext(ctx, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-c", sql).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

var migrations atomic.Int64

func migrate(dsn string) error {
	migrations.Add(1)
	_, err := psql(context.Background(), dsn, "CREATE TABLE votes (n int)")
	return err
}

func migrateOtherwise(dsn string) error {
	_, err := psql(context.Background(), dsn, "CREATE TABLE pages (n int)")
	return err
}

func TestDatabasesAreApartAndMigratedOnce(t *testing.T) {
	var dsns [2]string
	t.Run("inner", func(t *testing.T) {
		dsns[0] = boxtest.Database(t, migrate)
		dsns[1] = boxtest.Database(t, migrate)
		if out, err := psql(t.Context(), dsns[0], "INSERT INTO votes VALUES (1)"); err != nil {
			t.Fatal(out)
		}
		if got, _ := psql(t.Context(), dsns[1], "SELECT count(*) FROM votes"); got != "0" {
			t.Errorf("rows in the other database: got %s, want 0", got)
		}
		if got := migrations.Load(); got != 1 {
			t.Errorf("template migrated %d times, want once", got)
		}
		if got, err := psql(t.Context(), boxtest.Database(t, migrateOtherwise), "SELECT count(*) FROM pages"); err != nil {
			t.Errorf("another migration: %s", got)
		}
		if got, _ := psql(t.Context(), boxtest.Database(t, nil), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); got != "0" {
			t.Errorf("tables of an empty database: got %s, want 0", got)
		}
	})
	if got, err := psql(t.Context(), dsns[0], "SELECT 1"); err == nil || !strings.Contains(got, "does not exist") {
		t.Errorf("database after its test: got %q", got)
	}
}

// recorder is a test that may fail without failing the binary.
type recorder struct {
	testing.TB
	fatal string
}

func (r *recorder) Fatalf(format string, args ...any) {
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			r.fatal = err.Error()
		}
	}
	panic(r)
}

func TestFailedMigrationFailsTheTest(t *testing.T) {
	r := &recorder{TB: t}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a failed migration gave a database")
			}
		}()
		boxtest.Database(r, func(string) error { return errors.New("table of the wrong colour") })
	}()
	if r.fatal != "table of the wrong colour" {
		t.Errorf("got %q", r.fatal)
	}
}

func TestPostgresOfOneTestSurvivesACrash(t *testing.T) {
	pg := boxtest.Postgres(t)
	if _, err := pg.Query(t.Context(), "postgres", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	if err := pg.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := pg.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := pg.Query(t.Context(), "postgres", "SELECT n FROM kept"); err != nil || got != "2" {
		t.Errorf("row after the crash: got %q, %v", got, err)
	}
}
