// Package boxtest gives tests a real PostgreSQL and a real NATS server.
//
// One throw-away cluster serves all tests of a test binary. It starts with the
// first test that asks for a database and ends with the binary, even if that is
// killed. Every test has its own database, copied from a template that was
// migrated once:
//
//	func TestMain(m *testing.M) { boxtest.Main(m) }
//
//	func TestVotesAreAppendOnly(t *testing.T) {
//		dsn := boxtest.Database(t, store.Migrate)
//		…
//	}
//
// A machine without PostgreSQL fails these tests and says what to install: a
// skipped test would look like a passed one.
package boxtest

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/reprosign/reprosign/internal/box"
)

// superuser is the database user that tests connect as.
const superuser = "postgres"

// shared is the one cluster of this test binary. It is a variable of the
// package because tests of one binary have nothing else in common: the testing
// package passes nothing from TestMain to a test.
var shared cluster

// cluster is a PostgreSQL server that starts when it is first needed, with the
// templates made on it so far.
type cluster struct {
	start    sync.Once
	postgres *box.Postgres
	err      error

	databases atomic.Int64 // made so far, for their names

	mu        sync.Mutex
	templates map[uintptr]string // by the code of the migrate function
}

// Main runs the tests of a binary and exits. Call it from TestMain. After the
// tests it stops the cluster, if one was started, and fails the binary if
// goroutines are left over; options name those to be ignored.
func Main(m *testing.M, options ...goleak.Option) {
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the test cluster:", err)
		code = max(code, 1)
	}
	if err := goleak.Find(options...); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "after all tests:", err)
		code = 1
	}
	os.Exit(code)
}

// Database returns the DSN of a new database of this test, dropped with its
// sessions when the test ends. The user is the cluster's superuser.
//
// It is a copy of a template that migrate prepared, given the template's DSN,
// when it was first named in this binary; migrate must close its connections.
// Name a function declared at the top level: two closures from one place in
// the code count as the same. Nil asks for an empty database.
func Database(t testing.TB, migrate func(dsn string) error) string {
	t.Helper()
	postgres, err := shared.running()
	if err != nil {
		t.Fatalf("starting PostgreSQL for tests: %v", err)
	}
	template, err := shared.template(t.Context(), migrate)
	if err != nil {
		t.Fatalf("preparing the template database: %v", err)
	}
	name := shared.nextName("test")
	// File by file it takes less time than page by page.
	if _, err := postgres.Query(t.Context(), superuser, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s STRATEGY FILE_COPY", name, template)); err != nil {
		t.Fatalf("copying database %s: %v", template, err)
	}
	t.Cleanup(func() {
		if _, err := postgres.Query(context.Background(), superuser, fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name)); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	})
	return postgres.DSN(name, superuser)
}

// Postgres starts a cluster of this test alone, for tests that crash or
// restart it. Commits on it are durable, so that they survive a crash. It ends
// with the test.
func Postgres(t testing.TB) *box.Postgres {
	t.Helper()
	postgres, err := box.StartPostgres(t.Context(), box.PostgresOptions{Durable: true})
	if err != nil {
		t.Fatalf("starting PostgreSQL for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := postgres.Stop(); err != nil {
			t.Error(err)
		}
	})
	return postgres
}

// NATS starts a NATS server of this test from a configuration text, on a free
// local port and with its streams in a directory of the test. It ends with the
// test.
func NATS(t testing.TB, config string) *box.NATS {
	t.Helper()
	nats, err := box.StartNATS(t.Context(), config, box.NATSOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatalf("starting NATS for the test: %v", err)
	}
	t.Cleanup(nats.Shutdown)
	return nats
}

// running returns the cluster's server, started at the first call.
func (c *cluster) running() (*box.Postgres, error) {
	c.start.Do(func() {
		// Not a test's context: the cluster outlives the test that needs it first.
		c.postgres, c.err = box.StartPostgres(context.Background(), box.PostgresOptions{})
	})
	return c.postgres, c.err
}

// stop ends the server if it was ever started.
func (c *cluster) stop() error {
	c.start.Do(func() {})
	if c.postgres == nil {
		return nil
	}
	return c.postgres.Stop()
}

func (c *cluster) nextName(kind string) string {
	return fmt.Sprintf("%s_%d", kind, c.databases.Add(1))
}

// template returns the name of the database that migrate prepared, preparing
// it at the first call. A failed attempt is repeated by the next test.
func (c *cluster) template(ctx context.Context, migrate func(dsn string) error) (string, error) {
	if migrate == nil {
		return "template1", nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := reflect.ValueOf(migrate).Pointer()
	if name, ok := c.templates[key]; ok {
		return name, nil
	}
	name := c.nextName("template")
	if err := c.postgres.EnsureDatabase(ctx, name); err != nil {
		return "", err
	}
	if err := migrate(c.postgres.DSN(name, superuser)); err != nil {
		return "", err
	}
	if c.templates == nil {
		c.templates = make(map[uintptr]string)
	}
	c.templates[key] = name
	return name, nil
}
