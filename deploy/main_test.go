// Package deploy_test checks what operators copy from this directory against
// the programs that will read it: systemd, NATS, PostgreSQL and our own.
package deploy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/reprosign/reprosign/internal/box/boxtest"
)

func TestMain(m *testing.M) { boxtest.Main(m) }

func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
