package store_test

import (
	"errors"
	"testing"

	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

func TestSchemaThatIsTooOldIsNamed(t *testing.T) {
	dsn := boxtest.Database(t, migrate)
	w, owner := openWriter(t, dsn), worldOn(t, dsn).connect("")
	current := func(want bool) {
		t.Helper()
		err := w.CheckSchema(t.Context())
		if old := errors.Is(err, store.ErrSchemaOld); old == want || (err != nil) == want {
			t.Errorf("up to date: want %v, got %v", want, err)
		}
	}
	change := func(sql string) {
		t.Helper()
		_, err := owner.Exec(t.Context(), sql)
		must(t, err)
	}
	current(true)
	change(`INSERT INTO reprosign.schema_version (version_id, is_applied) SELECT max(version_id) + 1, true FROM reprosign.schema_version`)
	current(true) // of a newer program
	change(`DELETE FROM reprosign.schema_version WHERE version_id >= (SELECT max(version_id) - 1 FROM reprosign.schema_version)`)
	current(false)
	change(`REVOKE SELECT ON reprosign.schema_version FROM reprosign_coordinator`) // as before there was a grant
	current(false)
	change(`DROP SCHEMA reprosign, public_face CASCADE`)
	current(false)
	must(t, store.Migrate(t.Context(), dsn))
	current(true)
}
