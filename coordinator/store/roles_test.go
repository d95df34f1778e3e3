package store_test

import (
	"errors"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// With the roles of deploy/postgresql, nobody is a superuser: the owner
// migrates, the coordinator writes, the public face reads.
func TestRolesForRealClustersSuffice(t *testing.T) {
	p := newPostgres(t)
	script, err := os.ReadFile("../../deploy/postgresql/roles.sql")
	must(t, err)
	for range 2 { // running it again does no harm
		_, err = p.Query(t.Context(), "postgres", string(script))
		must(t, err)
	}
	_, err = p.Query(t.Context(), "postgres", `CREATE DATABASE reprosign OWNER reprosign_owner`)
	must(t, err)
	must(t, migrate(p.DSN("reprosign", "reprosign_owner")))

	w := worldOn(t, p.DSN("reprosign", "reprosign_coordinator_login"))
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	b := build(t, "content", "hello.deb")
	w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b))
	w.decide(r.ID, fingerprint)
	w.publish()
	must(t, w.writer.FinishJob(t.Context(), w.made(w.jobs()[0])))

	face := openReader(t, p.DSN("reprosign", "reprosign_dashboard_login"))
	if v, err := face.View(t.Context(), r.ID); err != nil || len(v.Artifacts) != 1 {
		t.Errorf("view of the public face: %+v, %v", v, err)
	}
	thief := openWriter(t, p.DSN("reprosign", "reprosign_dashboard_login"))
	_, err = thief.Policies(t.Context(), 0)
	if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != insufficientPrivilege && refused.Code != "22023" {
		t.Errorf("the public face's login as a writer: %v, want it refused", err)
	}
}
