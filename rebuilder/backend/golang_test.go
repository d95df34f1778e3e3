package backend_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/dirhash"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/backend"
)

// proxy is a directory that serves as GOPROXY.
type proxy struct {
	t   *testing.T
	dir string
}

// add publishes a module version and returns its zip file and that file's h1 sum.
func (p proxy) add(mod, version string, files map[string]string) (content []byte, sum string) {
	p.t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, name := range []string{"go.mod", "go.sum", "main.go", "lib.go", "cmd/hello/main.go"} {
		if files[name] == "" {
			continue
		}
		w, err := z.Create(mod + "@" + version + "/" + name)
		if err != nil {
			p.t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		p.t.Fatal(err)
	}
	at := filepath.Join(p.dir, mod, "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		p.t.Fatal(err)
	}
	for ext, content := range map[string]string{
		".zip": buf.String(), ".mod": files["go.mod"], ".info": fmt.Sprintf(`{"Version":%q,"Time":"2024-01-01T00:00:00Z"}`, version),
	} {
		if err := os.WriteFile(filepath.Join(at, version+ext), []byte(content), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(at, "list"), []byte(version+"\n"), 0o644); err != nil {
		p.t.Fatal(err)
	}
	sum, err := dirhash.HashZip(filepath.Join(at, version+".zip"), dirhash.Hash1)
	if err != nil {
		p.t.Fatal(err)
	}
	return buf.Bytes(), sum
}

// golangJob publishes a program with one dependency, which go.sum pins with depSum unless that is empty.
func golangJob(t *testing.T, depSum func(right string) string) (backend.GolangConfig, backend.Job) {
	t.Helper()
	p := proxy{t, publicDir(t)}
	const depMod = "module example.org/dep\n\ngo 1.21\n"
	_, sum := p.add("example.org/dep", "v1.0.0", map[string]string{"go.mod": depMod, "lib.go": "package dep\n\nconst Word = \"hello\"\n"})
	goSum := ""
	if sum = depSum(sum); sum != "" {
		goSum = "example.org/dep v1.0.0 " + sum + "\n"
	}
	content, _ := p.add("example.org/hello", "v1.2.3", map[string]string{
		"go.mod": "module example.org/hello\n\ngo 1.21\n\nrequire example.org/dep v1.0.0\n",
		"go.sum": goSum,
		// Without fmt, a cold cache needs the runtime only.
		"cmd/hello/main.go": "package main\n\nimport \"example.org/dep\"\n\nfunc main() { println(dep.Word) }\n",
	})
	job := backend.Job{Source: "hello", Version: "1.2.3", Architecture: "amd64", Recipe: attest.Recipe{
		Backend: "golang",
		Parameters: map[string]string{
			"module": "example.org/hello", "version": "v1.2.3", "packages": "example.org/hello/cmd/hello",
		},
		Sources: []attest.Source{{Name: "v1.2.3.zip", SHA256: attest.SHA256(content), Size: int64(len(content)), URLs: []string{}}},
	}}
	return backend.GolangConfig{Go: goCommand(t), Proxy: "file://" + p.dir, SumDB: "off"}, job
}

// goCommand is the go that runs the tests.
func goCommand(t *testing.T) string {
	t.Helper()
	exe, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func right(sum string) string { return sum }

func TestAGoModuleBuildsEquallyOnTwoColdAgents(t *testing.T) {
	cfg, job := golangJob(t, right)
	a, b := cfg, cfg
	a.Cache, b.Cache = publicDir(t), "" // one agent keeps its compile cache, in a place of its own
	one, two := newSite(t), newSite(t)
	first, second := one.built(backend.Golang(a), job), two.built(backend.Golang(b), job)
	if diff := cmp.Diff(first.Artifacts, second.Artifacts); diff != "" {
		t.Errorf("two agents differ:\n%s", diff)
	}
	if len(first.Artifacts) != 1 || first.Artifacts[0].Name != "hello" || first.Artifacts[0].Kind != backend.KindExecutable {
		t.Errorf("artifacts: %v", first.Artifacts)
	}
	if !strings.HasPrefix(first.Environment["go"], "go1.") {
		t.Errorf("environment does not name the toolchain: %v", first.Environment)
	}
	var zips []string
	for _, in := range first.Inputs {
		if strings.HasPrefix(in.Sum, "h1:") {
			zips = append(zips, in.Name)
		}
	}
	if diff := cmp.Diff([]string{"example.org/dep/@v/v1.0.0.zip", "example.org/hello/@v/v1.2.3.zip"}, zips); diff != "" {
		t.Errorf("modules in the input manifest (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(first.Inputs, second.Inputs); diff != "" {
		t.Errorf("input manifests differ:\n%s", diff)
	}
	// The same agent again, with a warm cache and another slot.
	if again := one.built(backend.Golang(a), job); cmp.Diff(first.Artifacts, again.Artifacts) != "" {
		t.Error("a warm cache changes the artifact")
	}
}

func TestAModuleThatIsNotTheRecipesIsFetchFailed(t *testing.T) {
	cfg, job := golangJob(t, right)
	s := newSite(t)
	changed := job
	changed.Recipe.Sources = []attest.Source{job.Recipe.Sources[0]}
	changed.Recipe.Sources[0].SHA256[0] ^= 1
	wantOutcome(t, s.run(backend.Golang(cfg), changed), attest.FetchFailed, "not the recipe's")

	cfg.Proxy = "file://" + publicDir(t) // holds nothing
	wantOutcome(t, s.run(backend.Golang(cfg), job), attest.FetchFailed, "go found no modules")
}

func TestADependencyMustMatchTheModulesGoSum(t *testing.T) {
	s := newSite(t)
	cfg, job := golangJob(t, func(string) string { return "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" })
	wantOutcome(t, s.run(backend.Golang(cfg), job), attest.FetchFailed, "of go.sum")
	cfg, job = golangJob(t, func(string) string { return "" })
	wantOutcome(t, s.run(backend.Golang(cfg), job), attest.BuildFailed, "does not pin example.org/dep")
}

func TestGoRecipesAreReadStrictly(t *testing.T) {
	cfg, good := golangJob(t, right)
	b := backend.Golang(cfg)
	if err := b.Check(good); err != nil {
		t.Fatalf("the good recipe: %v", err)
	}
	for name, change := range map[string]func(p map[string]string){
		"a flag as a package":         func(p map[string]string) { p["packages"] = "-toolexec=/bin/sh" },
		"a package of another module": func(p map[string]string) { p["packages"] = "example.org/dep" },
		"a query as a version":        func(p map[string]string) { p["version"] = "v1" },
		"linker flags":                func(p map[string]string) { p["ldflags"] = "-X main.v=1" },
		"no module":                   func(p map[string]string) { delete(p, "module") },
		"a list with two spaces":      func(p map[string]string) { p["packages"] += "  example.org/hello" },
	} {
		job := good
		job.Recipe.Parameters = map[string]string{}
		maps.Copy(job.Recipe.Parameters, good.Recipe.Parameters)
		change(job.Recipe.Parameters)
		if got := backend.OutcomeOf(b.Check(job)); got != attest.BuildFailed {
			t.Errorf("%s: got %s", name, got)
		}
	}
	strange := good
	strange.Architecture = "pdp11"
	if got := backend.OutcomeOf(b.Check(strange)); got != attest.BuildFailed {
		t.Errorf("unknown architecture: got %s", got)
	}
}
