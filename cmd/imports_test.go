// Package cmd_test checks what holds over all rooms of the house, from the
// place where they are wired together.
package cmd_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/reprosign/reprosign"

// maxMainLines bounds a main.go: it hands over to what can be tested.
const maxMainLines = 60

// owners say which packages of ours alone may import a package of others.
// An entry stands for the packages below it too.
var owners = map[string][]string{
	"database/sql":                       {"coordinator/store", "migrations"},
	"filippo.io/edwards25519":            {"attest/edtable"},
	"filippo.io/nistec":                  {"attest/p256table"},
	"github.com/ProtonMail/go-crypto":    {"attest/openpgp"},
	"github.com/jackc/pgx/v5":            {"coordinator/store"},
	"github.com/nats-io/nats-server/v2":  {"internal/box"},
	"github.com/nats-io/nats.go":         {"internal/bus"},
	"github.com/pressly/goose/v3":        {"coordinator/store", "migrations"},
	"github.com/spf13/cobra":             {"cmd", "internal/program"},
	"golang.org/x/crypto":                {"attest/p256table"},
	"os/exec":                            {"cmd/reprosign-demo", "internal/box", "rebuilder/backend", "rebuilder/sandbox"},
	module + "/internal/box/boxtest":     {}, // tests alone
	module + "/monitor/monitortest":      {},
	module + "/signer/key/keytest":       {},
	module + "/signer/nethsm/nethsmtest": {"cmd/reprosign-demo", "cmd/reprosign-softhsm"},
}

// closed say which of our packages a room must not import, with those below.
// The process rooms meet in attest and internal/bus; cmd wires them.
var closed = map[string][]string{
	"attest":      {"cmd", "coordinator", "deploy", "internal", "migrations", "rebuilder", "signer"},
	"coordinator": {"cmd", "rebuilder", "signer"},
	"internal":    {"cmd", "coordinator", "rebuilder", "signer"},
	"migrations":  {"cmd", "coordinator", "internal", "rebuilder", "signer"},
	// Of internal they need nothing but how to write a file.
	"monitor":   {"cmd", "coordinator", "internal/box", "internal/bus", "internal/config", "internal/observe", "internal/program", "rebuilder", "signer", "witness"},
	"rebuilder": {"cmd", "coordinator", "signer"},
	"signer":    {"cmd", "coordinator", "rebuilder"},
	"witness":   {"cmd", "coordinator", "internal/box", "internal/bus", "internal/config", "internal/observe", "internal/program", "rebuilder", "signer"},
	// Adapters of the coordinator know the domain, not one another; the domain
	// knows none of them.
	"coordinator/anchor":    {"coordinator/dashboard", "coordinator/publish", "coordinator/sequencer", "coordinator/store"},
	"coordinator/dashboard": {"coordinator/anchor", "coordinator/publish", "coordinator/sequencer", "coordinator/store"},
	"coordinator/publish":   {"coordinator/anchor", "coordinator/dashboard", "coordinator/sequencer", "coordinator/store"},
	"coordinator/sequencer": {"coordinator/anchor", "coordinator/dashboard", "coordinator/publish", "coordinator/store"},
	"coordinator/store":     {"coordinator/anchor", "coordinator/dashboard", "coordinator/publish", "coordinator/sequencer"},
	// Devices of the signer know its key interface, not one another.
	"signer/key":     {"signer/nethsm", "signer/pkcs11", "signer/softkey"},
	"signer/nethsm":  {"signer/pkcs11", "signer/softkey"},
	"signer/pkcs11":  {"signer/nethsm", "signer/softkey"},
	"signer/softkey": {"signer/nethsm", "signer/pkcs11"},
}

// domains are rooms whose own package must not import the packages below it
// that are named: adapters depend on the domain, never the other way round.
var domains = map[string][]string{
	"coordinator": {"coordinator/anchor", "coordinator/dashboard", "coordinator/publish", "coordinator/sequencer", "coordinator/store"},
	"signer":      {"signer/nethsm", "signer/pkcs11", "signer/softkey"},
}

// nowhere are names of packages that say nothing about what is in them.
var nowhere = []string{"common", "helpers", "models", "types", "util", "utils"}

// listedPackage is what `go list -json` says of a package.
type listedPackage struct {
	ImportPath string
	Imports    []string
}

// under reports whether a path is a package or stands below it.
func under(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}

// violations returns what the import of a path by a package of ours breaks.
func violations(room, imported string) []string {
	var broken []string
	for foreign, allowed := range owners {
		inside := func(owner string) bool { return under(room, owner) }
		// A package may import what it holds.
		if under(imported, foreign) && !under(module+"/"+room, foreign) && !slices.ContainsFunc(allowed, inside) {
			broken = append(broken, "only "+strings.Join(append(allowed, "tests"), ", ")+" may")
		}
	}
	ours, isOurs := strings.CutPrefix(imported, module+"/")
	if !isOurs {
		return broken
	}
	for from, targets := range closed {
		for _, target := range targets {
			if under(room, from) && under(ours, target) {
				broken = append(broken, from+" must not know "+target)
			}
		}
	}
	for _, target := range domains[room] {
		if under(ours, target) {
			broken = append(broken, "the domain must not know its adapters")
		}
	}
	return broken
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	// -e: what does not build is for the compiler to report.
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	var packages []listedPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)
	if len(packages) == 0 {
		t.Fatal("no packages listed")
	}
	for _, p := range packages {
		room := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, imported := range p.Imports {
			for _, why := range violations(room, imported) {
				t.Errorf("%s imports %s: %s", room, imported, why)
			}
		}
		for name := range strings.SplitSeq(room, "/") {
			if slices.Contains(nowhere, name) {
				t.Errorf("%s: name the package for what it holds", room)
			}
		}
	}
}

// The rules themselves: each of these imports must be found out, or let pass.
func TestImportRulesFindViolations(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		room, imported string
		lawful         bool
	}{
		{"signer", module + "/coordinator", false},
		{"witness", module + "/coordinator", false},
		{"witness", module + "/attest/translog", true},
		{"witness", module + "/internal/bus", false},
		{"witness", module + "/internal/durable", true},
		{"monitor", module + "/coordinator/dashboard", false},
		{"monitor", module + "/monitor/monitortest", false},
		{"monitor", module + "/attest/evidence", true},
		{"signer/nethsm", module + "/coordinator/store", false},
		{"rebuilder/backend", module + "/signer", false},
		{"coordinator", module + "/rebuilder", false},
		{"coordinator", module + "/coordinator/store", false},
		{"coordinator/dashboard", module + "/coordinator/store", false},
		{"coordinator/store", module + "/coordinator", true},
		{"coordinator/anchor", module + "/coordinator/store", false},
		{"attest/policy", module + "/internal/bus", false},
		{"attest/policy", module + "/attest", true},
		{"internal/bus", module + "/coordinator", false},
		{"coordinator", module + "/internal/bus", true},
		{"coordinator/sequencer", "github.com/jackc/pgx/v5/pgxpool", false},
		{"coordinator/store", "github.com/jackc/pgx/v5/pgxpool", true},
		{"coordinator", "github.com/nats-io/nats.go/jetstream", false},
		{"internal/bus", "github.com/nats-io/nats.go/jetstream", true},
		{"cmd/reprosign-coordinator", "github.com/nats-io/nats-server/v2/server", false},
		{"attest", "github.com/ProtonMail/go-crypto/openpgp", false},
		{"signer", "os/exec", false},
		{"cmd/reprosign", "os/exec", false},
		{"rebuilder/backend/debian", "os/exec", true},
		{"signer/softkey", module + "/signer/nethsm", false},
		{"signer/nethsm/nethsmtest", module + "/signer/key", true},
		{"signer", module + "/signer/key", true},
		{"signer", module + "/signer/softkey", false},
		{"cmd/reprosign-signer", module + "/signer/softkey", true},
		{"cmd/reprosign-signer", module + "/signer/nethsm/nethsmtest", false},
		{"cmd/reprosign-softhsm", module + "/signer/nethsm/nethsmtest", true},
		{"internal/box", module + "/internal/box/boxtest", false},
	} {
		if broken := violations(test.room, test.imported); (len(broken) == 0) != test.lawful {
			t.Errorf("%s imports %s: got %q, want lawful %v", test.room, test.imported, broken, test.lawful)
		}
	}
}

func TestMainFilesAreShort(t *testing.T) {
	t.Parallel()
	mains, err := filepath.Glob("*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range mains {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(text), "\n"); lines > maxMainLines {
			t.Errorf("cmd/%s has %d lines, at most %d: put commands and wiring beside it", name, lines, maxMainLines)
		}
	}
}
