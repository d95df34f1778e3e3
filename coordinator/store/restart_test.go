package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/internal/box"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

func newPostgres(t testing.TB) *box.Postgres { return boxtest.Postgres(t) }

// migrated returns the DSN of a migrated database on a cluster of the test's own.
func migrated(t testing.TB, p *box.Postgres) string {
	t.Helper()
	must(t, p.EnsureDatabase(t.Context(), "reprosign"))
	dsn := p.DSN("reprosign", "postgres")
	must(t, migrate(dsn))
	return dsn
}

func TestCrashOfTheDatabaseIsSurvived(t *testing.T) {
	p := newPostgres(t)
	w := worldOn(t, migrated(t, p))
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	b := build(t, "content", "file.deb")
	topics, err := w.writer.Listen(t.Context())
	must(t, err)
	awaitAllTopics(t, topics)
	w.ingest(w.vote(r.ID, "alpha", b))

	must(t, p.Crash())
	vote := w.vote(r.ID, "beta", b)
	if _, err := w.writer.Ingest(t.Context(), []coordinator.Incoming{vote}); !errors.Is(err, coordinator.ErrUnavailable) {
		t.Fatalf("ingest without a database: %v, want ErrUnavailable", err)
	}
	if _, err := w.reader.View(t.Context(), r.ID); !errors.Is(err, coordinator.ErrUnavailable) {
		t.Fatalf("reading without a database: %v, want ErrUnavailable", err)
	}
	must(t, p.Restart(t.Context()))
	poll(t, func() bool {
		_, err := w.writer.Ingest(t.Context(), []coordinator.Incoming{vote})
		return err == nil
	})
	if n := w.count(`SELECT count(*) FROM statements`); n != 2 {
		t.Errorf("%d statements after the crash, want 2", n)
	}
	awaitAllTopics(t, topics) // heard again after the reconnection
}

func awaitAllTopics(t *testing.T, topics <-chan coordinator.Topic) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen := map[coordinator.Topic]bool{}
	for len(seen) < 8 {
		select {
		case topic := <-topics:
			seen[topic] = true
		case <-ctx.Done():
			t.Fatalf("topics heard: %v", seen)
		}
	}
}

// poll waits until a condition holds, a minute at most.
func poll(t *testing.T, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatal("condition did not come true within a minute")
		}
	}
}
