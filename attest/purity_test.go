package attest_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// impure are packages that reach outside of the process, or read its
// surroundings. Nothing under attest may depend on them, not even through
// another package: a verdict must be the same everywhere, years later.
var impure = []string{
	"crypto/tls", "crypto/x509", "database/sql", "log/syslog", "net", "net/http", "net/textproto", "os/exec", "os/signal", "os/user", "plugin",
}

// opening are packages that may stand below a dependency, as os stands below
// fmt, but that attest itself has no use for.
var opening = []string{"log", "log/slog", "os", "path/filepath", "syscall"}

// listedPackage is what `go list -json` says of a package.
type listedPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func TestAttestIsPure(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", "./...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	packages := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; packages++ {
		var p listedPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range impure {
			if slices.Contains(p.Deps, dep) {
				t.Errorf("%s depends on %s; `go list -deps` and `go mod why` show the way", p.ImportPath, dep)
			}
		}
		for _, dep := range opening {
			if slices.Contains(p.Imports, dep) {
				t.Errorf("%s imports %s: pass it bytes or a reader, and return errors", p.ImportPath, dep)
			}
		}
	}
	if packages == 0 {
		t.Error("no packages listed")
	}
}
