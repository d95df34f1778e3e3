//go:build long

package cmd_test

import (
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/internal/box"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

// replaceDatabase ends all sessions of a database and runs statements on it
// while nobody has one.
func replaceDatabase(t *testing.T, p *box.Postgres, statements ...string) {
	t.Helper()
	script := append([]string{
		"ALTER DATABASE house ALLOW_CONNECTIONS false",
		"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'house'",
	}, statements...)
	for _, statement := range append(script, "ALTER DATABASE house ALLOW_CONNECTIONS true") {
		if _, err := p.Query(t.Context(), "postgres", statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// The manual's "After a restore", as far as its third step: entries are lost that
// others have seen.
func TestLongALogWhoseNewestEntriesAreLostIsEndedInPublicAndTheNextOneSigns(t *testing.T) {
	t.Parallel()
	postgres := boxtest.Postgres(t)
	if err := postgres.EnsureDatabase(t.Context(), "house"); err != nil {
		t.Fatal(err)
	}
	dsn := postgres.DSN("house", "postgres")
	if err := migrate(dsn); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, houseOptions{witnesses: 3, dsn: dsn})
	o := h.newTerminal(t)
	h.signed(t, "1.0")
	replaceDatabase(t, postgres, "CREATE DATABASE backup TEMPLATE house")
	h.signed(t, "2.0")

	h.stopSigner()
	h.stopCoordinator()
	replaceDatabase(t, postgres, "DROP DATABASE house", "ALTER DATABASE backup RENAME TO house")
	h.startCoordinator(t)
	third := h.submit(t, h.request(t, "3.0", nil))
	h.awaitState(t, third, coordinator.Building)

	next, err := laterKey(nextOrigin)
	if err != nil {
		t.Fatal(err)
	}
	o.types(t, 0, "log", "end", o.url, "--policy", "policy.json", "--key", next.VerifierKey.String(), "--out", "policy-2.yaml")
	o.types(t, 0, "policy", "sign", "policy-2.yaml", "--previous", "policy.json", "--key", "admin-1.pem", "--key", "admin-2.pem", "--out", "policy-2.json")
	change := []string{"log", "switch", o.url, "--policy", "policy.json", "--next", "policy-2.json", "--dir", "ended", "--at-once", "--last", h.witnesses[0].url}
	if _, told := o.types(t, 6, change...); !strings.Contains(told, "not cosigned by enough witnesses: 1 of 2") {
		t.Errorf("with the word of one witness, log switch says: %s", told)
	}
	_, told := o.types(t, 6, append(change, "--last", h.witnesses[1].url, "--last", h.witnesses[2].url)...)
	if !strings.Contains(told, "does not continue the last checkpoint under the old key") {
		t.Errorf("log switch says: %s", told)
	}
	if readme := string(o.read(t, "ended/README")); !strings.Contains(readme, "The next log does not continue what was seen of the log before it") {
		t.Errorf("the record says: %s", readme)
	}

	<-h.admitted
	if h.pinned, err = attest.ParseEnvelope([]byte(strings.TrimSpace(string(o.read(t, "policy-2.json"))))); err != nil {
		t.Fatal(err)
	}
	h.Use(t, h.pinned)
	h.startSigner(t) // with its promises, and without a copy of the log, as the manual says
	b, bundle := h.signed(t, "4.0")
	h.verify(t, bundle, b)
	o.types(t, 0, "log", "verify", o.url, "--trust", "policy-2.json")
}
