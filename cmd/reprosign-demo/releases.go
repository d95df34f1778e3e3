package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/rebuilder/backend"
)

// release is one of the demo's releases, from its recipe to its end.
type release struct {
	name    string
	suite   string
	version string
	story   string // what is about to be seen
	end     string // the state it should end in

	backend    string
	kind       string // of its artifacts
	maxDissent int
	programs   []attest.Digest // that a command recipe of the suite may name

	recipe attest.Recipe
	claim  string // path of the published file that the result should equal

	id       attest.Digest
	evidence string // path of the bundle below the results
}

// rules is the suite of the release; a certificate serves one suite, so each has its own.
func (r *release) rules(certificate string) policy.Suite {
	return policy.Suite{
		Name: r.suite, Mode: policy.ModeEnforce, Threshold: threshold, Rebuilders: rebuilderNames, MaxDissent: r.maxDissent,
		Settle: settleTime, Deadline: deadline, Retries: 1, MinIsolation: attest.IsolationUID,
		Backends: []string{r.backend}, Recipes: r.programs, Kinds: []string{r.kind},
		Certificates: []policy.Certificate{{Fingerprint: certificate, Use: policy.UseArtifacts}},
	}
}

// debianName is the package of the first release: small, without
// architecture, and built in seconds.
const debianName = "distro-info-data"

func debianRebuild(codename string) *release {
	return &release{
		name: debianName, suite: "debian-" + codename, end: "signed", backend: "debian", kind: backend.KindDeb,
		story: "A package of Debian itself. Four rebuilders build it from Debian's source, without being told what should\n" +
			"come out: the claim, the .deb that Debian published, goes to the coordinator alone. (As everybody could\n" +
			"download it, the evidence will say that these votes were not blind.) Nobody may dissent in this suite.",
	}
}

// fillDebian completes the release with what the archive says right now.
func (r *release) fillDebian(p *published) {
	r.version, r.claim = p.version, p.path
	r.recipe = attest.Recipe{Backend: r.backend, Parameters: map[string]string{}, Sources: p.sources}
}

// The Go program of the second release, at a version that never changes.
const (
	goModule  = "github.com/rogpeppe/go-internal"
	goProgram = "txtar-x"
	goVersion = "v1.16.0"
)

func goRebuild() *release {
	return &release{
		name: goProgram, suite: "go-programs", version: goVersion, end: "signed", backend: "golang", kind: backend.KindExecutable,
		maxDissent: 1,
		story: "A released Go program, compiled by four agents with four cold caches. West's agent " + misconfigured + " is\n" +
			"misconfigured: its go command is a wrapper that drops -trimpath. This suite allows one dissent.",
	}
}

// fillGo pins the module's source: the digest of its zip file, which go has
// checked against the public checksum database.
func (r *release) fillGo(ctx context.Context, goCommand, dir string) error {
	out, err := output(ctx, dir, goCommand, "mod", "download", "-json", goModule+"@"+goVersion)
	if err != nil {
		return err
	}
	var module struct {
		Zip string
	}
	if err := json.Unmarshal([]byte(out), &module, json.MatchCaseInsensitiveNames(false)); err != nil {
		return fmt.Errorf("reading what go says of %s: %w", goModule, err)
	}
	data, err := os.ReadFile(module.Zip)
	if err != nil {
		return fmt.Errorf("reading the source of %s: %w", goModule, err)
	}
	r.recipe = attest.Recipe{
		Backend:    r.backend,
		Parameters: map[string]string{"module": goModule, "version": goVersion, "packages": goModule + "/cmd/" + goProgram},
		Sources:    []attest.Source{{Name: goVersion + ".zip", SHA256: attest.SHA256(data), Size: int64(len(data)), URLs: []string{}}},
	}
	return nil
}

// wrapper is the misconfigured agent's go command.
const wrapper = `#!/bin/sh
# Somebody thought that shorter command lines are better.
for word; do
	shift
	if [ "$word" != -trimpath ]; then set -- "$@" "$word"; fi
done
exec %s "$@"
`

// The program of the third release and how it is built.
const (
	stampedName    = "timestamped"
	stampedCommand = "compile-with-time"

	stampedSource = `#include <stdio.h>

int main(void) {
	puts("built at " BUILT);
	return 0;
}
`
	stampedBuild = `#!/bin/sh
# Compiles the file that it is given, and the time of the build into it.
exec cc -O2 -DBUILT="\"$(date +%s.%N)\"" -o "$REPROSIGN_OUT/timestamped" "$1"
`
)

func stampedRebuild() *release {
	return &release{
		name: stampedName, suite: "experiments", version: "1.0", end: "conflict", backend: "command", kind: backend.KindExecutable,
		programs: []attest.Digest{attest.SHA256([]byte(stampedBuild))},
		story: "A program whose build script compiles the time of the build into it, as too many do. No two builds are\n" +
			"equal, so nobody can say which one is right, and the HSM is never asked.",
	}
}

// fillStamped installs source and build script in dir.
func (r *release) fillStamped(dir string) error {
	source := filepath.Join(dir, stampedName+".c")
	if err := writePublic(source, []byte(stampedSource)); err != nil {
		return err
	}
	script := filepath.Join(dir, stampedCommand)
	if err := os.WriteFile(script, []byte(stampedBuild), publicDir); err != nil {
		return err
	}
	r.recipe = attest.Recipe{
		Backend:    r.backend,
		Parameters: map[string]string{"command": stampedCommand, "sha256": r.programs[0].String()},
		Sources: []attest.Source{{
			Name: stampedName + ".c", SHA256: attest.SHA256([]byte(stampedSource)), Size: int64(len(stampedSource)),
			URLs: []string{"file://" + source},
		}},
	}
	return nil
}

// architecture is this machine's in Debian's words, or Go's where they are the same.
func architecture() (string, error) {
	words := map[string]string{"amd64": "amd64", "arm64": "arm64", "386": "i386", "arm": "armhf", "ppc64le": "ppc64el", "riscv64": "riscv64", "s390x": "s390x", "loong64": "loong64"}
	if word, ok := words[runtime.GOARCH]; ok {
		return word, nil
	}
	return "", errors.New("this machine's architecture, " + runtime.GOARCH + ", has no name in Debian that the demo knows")
}
