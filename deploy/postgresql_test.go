package deploy_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

const database = "reprosign"

// TestPostgreSQL runs on one cluster, on which an administrator ran the scripts,
// twice, and whose schema the owner made, who is no superuser.
func TestPostgreSQL(t *testing.T) {
	pg := boxtest.Postgres(t)
	for range 2 {
		for _, script := range []string{"roles.sql", "database.sql"} {
			if _, err := pg.Query(t.Context(), "postgres", read(t, "postgresql", script)); err != nil {
				t.Fatalf("%s: %v", script, err)
			}
		}
	}
	if err := store.Migrate(t.Context(), pg.DSN(database, "reprosign_owner")); err != nil {
		t.Fatal(err)
	}
	t.Run("logins have their group's rights and no others", func(t *testing.T) { testRights(t, pg) })
	t.Run("programs work as their logins", func(t *testing.T) { testPrograms(t, pg) })
	t.Run("settings are accepted", func(t *testing.T) { testSettings(t, pg) })
}

// psql runs SQL as a login.
func psql(ctx context.Context, dsn, sql string) (string, error) {
	out, err := exec.CommandContext(ctx, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-c", sql).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func testRights(t *testing.T, pg *box.Postgres) {
	t.Helper()
	for _, test := range []struct {
		login, sql string
		allowed    bool
	}{
		{"reprosign_coordinator_login", "SELECT count(*) FROM reprosign.statements", true},
		{"reprosign_coordinator_login", "SELECT count(*) FROM public_face.releases", true},
		{"reprosign_coordinator_login", "DELETE FROM reprosign.statements", false},
		{"reprosign_coordinator_login", "UPDATE reprosign.decisions SET stored_at = now()", false},
		{"reprosign_coordinator_login", "CREATE TABLE reprosign.mine ()", false},
		{"reprosign_coordinator_login", "CREATE SCHEMA mine", false},
		{"reprosign_coordinator_login", "CREATE TEMPORARY TABLE mine ()", false},
		{"reprosign_coordinator_login", "SET ROLE reprosign_owner", false},
		{"reprosign_coordinator_login", "ALTER TABLE reprosign.statements DISABLE TRIGGER append_only", false},
		{"reprosign_dashboard_login", "SELECT count(*) FROM public_face.releases", true},
		{"reprosign_dashboard_login", "SELECT count(*) FROM reprosign.statements", false},
		{"reprosign_dashboard_login", "SELECT count(*) FROM reprosign.claims", false},
		{"reprosign_dashboard_login", "INSERT INTO public_face.policies DEFAULT VALUES", false},
		{"reprosign_dashboard_login", "CREATE TEMPORARY TABLE mine ()", false},
		{"reprosign_dashboard_login", "SET ROLE reprosign_coordinator", false},
		{"reprosign_owner", "SET ROLE postgres", false},
		{"reprosign_owner", "CREATE ROLE mine", false},
	} {
		said, err := psql(t.Context(), pg.DSN(database, test.login), test.sql)
		if allowed := err == nil; allowed != test.allowed {
			t.Errorf("%s: %s: allowed %v, want %v: %s", test.login, test.sql, allowed, test.allowed, said)
		}
		if err != nil && !strings.Contains(said, "permission denied") && !strings.Contains(said, "must be owner") {
			t.Errorf("%s: %s: refused for another reason: %s", test.login, test.sql, said)
		}
	}
	if _, err := pg.Query(t.Context(), "postgres", "CREATE ROLE stranger LOGIN"); err != nil {
		t.Fatal(err)
	}
	if said, err := psql(t.Context(), pg.DSN(database, "stranger"), "SELECT 1"); err == nil || !strings.Contains(said, "permission denied") {
		t.Errorf("a stranger of the same cluster entered the database: %s, %v", said, err)
	}
}

func testPrograms(t *testing.T, pg *box.Postgres) {
	t.Helper()
	w, err := store.OpenWriter(t.Context(), pg.DSN(database, "reprosign_coordinator_login"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Policies(t.Context(), 0); err != nil {
		t.Errorf("coordinator: %v", err)
	}
	r, err := store.OpenReader(t.Context(), pg.DSN(database, "reprosign_dashboard_login"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Checkpoint(t.Context()); !errors.Is(err, coordinator.ErrNotFound) {
		t.Errorf("dashboard: got %v, want an empty log", err)
	}
	// A new version may find everything in place.
	if err := store.Migrate(t.Context(), pg.DSN(database, "reprosign_owner")); err != nil {
		t.Errorf("migrating again: %v", err)
	}
}

// testSettings puts the files behind the cluster's own, and has PostgreSQL say
// what it thinks of them.
func testSettings(t *testing.T, pg *box.Postgres) {
	t.Helper()
	for _, test := range []struct{ name, setting, view, wrong string }{
		// That TLS is off here is this server's doing.
		{"pg_hba.conf", "hba_file", "pg_hba_file_rules", "error NOT LIKE '%SSL is disabled%'"},
		{"postgresql.conf", "config_file", "pg_file_settings", "error IS NOT NULL AND error <> 'setting could not be applied'"},
	} {
		query := func(sql string) string {
			t.Helper()
			answer, err := pg.Query(t.Context(), "postgres", sql)
			if err != nil {
				t.Fatal(err)
			}
			return answer
		}
		path := query("SHOW " + test.setting)
		before := query("SELECT count(*) FROM " + test.view)
		write(t, path, read(t, path)+"\n"+read(t, "postgresql", test.name))
		if wrong := query("SELECT * FROM " + test.view + " WHERE " + test.wrong); wrong != "" {
			t.Errorf("%s: %s", test.name, wrong)
		}
		if after := query("SELECT count(*) FROM " + test.view); after == before {
			t.Errorf("%s was not read: %s settings before and after", test.name, after)
		}
	}
}
