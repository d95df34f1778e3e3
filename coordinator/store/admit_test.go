package store_test

import (
	"testing"

	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

func TestAnAdmittedReaderCanReadTheViewsAndNothingElse(t *testing.T) {
	postgres := boxtest.Postgres(t)
	if err := postgres.EnsureDatabase(t.Context(), "admit"); err != nil {
		t.Fatal(err)
	}
	owner := postgres.DSN("admit", "postgres")
	if err := store.Migrate(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is there already
		if err := store.AdmitReader(t.Context(), owner, "face"); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := store.OpenReader(t.Context(), postgres.DSN("admit", "face"))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := reader.Counts(t.Context()); err != nil {
		t.Errorf("reading the public views: %v", err)
	}
	writer, err := store.OpenWriter(t.Context(), postgres.DSN("admit", "face"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.Policies(t.Context(), 0); err == nil {
		t.Error("the public face's login could become the coordinator")
	}
}
