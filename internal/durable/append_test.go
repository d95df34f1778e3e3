package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/reprosign/reprosign/internal/durable"
)

func TestOpenAppendIsForOneAtATimeAndAddsToTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"one ", "two"} {
		f, err := durable.OpenAppend(path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := durable.OpenAppend(path, 0o600); !errors.Is(err, durable.ErrInUse) {
			t.Errorf("a second time at once: %v", err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "one two" {
		t.Errorf("%q, %v", got, err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := durable.OpenAppend(link, 0o600); err == nil {
		t.Error("a link was followed")
	}
}
