package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/reprosign/reprosign/internal/durable"
)

func TestReplaceLeavesTheOldContentOrTheNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, want := range []string{"first, and longer", "second"} {
		if err := durable.Replace(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	// What cannot be written, a directory being in the way, harms nothing.
	if err := os.Mkdir(path+durable.Unfinished, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.Replace(path, []byte("third"), 0o600); err == nil {
		t.Error("written over a directory")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "second" {
		t.Errorf("after a failure: %q, %v", got, err)
	}
}
