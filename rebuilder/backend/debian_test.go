package backend_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/backend"
)

// debianSource makes a native source package that needs no build system, and returns its recipe.
func debianSource(t *testing.T, rules string, fields ...string) (backend.Backend, backend.Job) {
	t.Helper()
	dir := publicDir(t)
	tree := filepath.Join(dir, "tiny-1.0")
	for name, content := range map[string]string{
		"debian/changelog": "tiny (1.0) unstable; urgency=low\n\n  * Test.\n\n -- A Person <person@example.org>  Tue, 14 Nov 2023 22:13:20 +0000\n",
		"debian/control": "Source: tiny\nSection: misc\nPriority: optional\nMaintainer: A Person <person@example.org>\nStandards-Version: 4.6.2\n" +
			strings.Join(fields, "\n") + "\n" +
			"Package: tiny\nArchitecture: all\nDescription: nothing much\n Nothing at all.\n",
		"debian/rules":         "#!/usr/bin/make -f\n" + rules,
		"debian/source/format": "3.0 (native)\n",
		"content":              "tiny\n",
	} {
		file := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "dpkg-source", "-b", tree)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("dpkg-source: %v\n%s", err, out)
	}
	job := backend.Job{Source: "tiny", Version: "1.0", Architecture: "all", Recipe: attest.Recipe{Backend: "debian", Parameters: map[string]string{}}}
	for _, name := range []string{"tiny_1.0.dsc", "tiny_1.0.tar.xz"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		job.Recipe.Sources = append(job.Recipe.Sources, sourceFile(t, dir, name, content))
	}
	return backend.Debian(backend.Fetcher{FileRoots: []string{dir}}), job
}

const tinyRules = `
build clean:
binary-arch:
binary binary-indep:
	install -d debian/tiny/DEBIAN debian/tiny/usr/share/tiny
	install -m644 content debian/tiny/usr/share/tiny/
	chown -R root:root debian/tiny
	dpkg-gencontrol -ptiny -Pdebian/tiny
	dpkg-deb --build debian/tiny ..
`

func TestADebianSourceBuildsEquallyOnTwoAgents(t *testing.T) {
	b, job := debianSource(t, tinyRules)
	first, second := newSite(t).built(b, job), newSite(t).built(b, job)
	if diff := cmp.Diff(first.Artifacts, second.Artifacts); diff != "" {
		t.Errorf("two agents differ:\n%s", diff)
	}
	if len(first.Artifacts) != 1 || first.Artifacts[0].Name != "tiny_1.0_all.deb" || first.Artifacts[0].Kind != backend.KindDeb {
		t.Errorf("artifacts: %v", first.Artifacts)
	}
	var names []string
	for _, e := range first.Evidence {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"tiny_1.0_amd64.buildinfo", "tiny_1.0_amd64.changes"}, names); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
	if first.Environment["dpkg-dev"] == "" {
		t.Errorf("environment does not name dpkg-dev: %v", first.Environment)
	}
}

func TestADebianSourceThatFailsToBuildIsBuildFailed(t *testing.T) {
	s := newSite(t)
	b, job := debianSource(t, "build binary clean:\n\techo no such luck; exit 1\n")
	wantOutcome(t, s.run(b, job), attest.BuildFailed, "status 2")
	if !strings.Contains(s.log.String(), "no such luck") {
		t.Errorf("the log does not say why: %s", s.log.String())
	}
}

func TestMissingBuildDependenciesAreTheMachinesFault(t *testing.T) {
	s := newSite(t)
	b, job := debianSource(t, tinyRules, "Build-Depends: build-tool-that-nobody-has (>= 3)", "")
	wantOutcome(t, s.run(b, job), attest.InfraError, "build dependencies are not installed")
	if !strings.Contains(s.log.String(), "build-tool-that-nobody-has (>= 3)") {
		t.Errorf("the log does not list what is missing: %s", s.log.String())
	}
}

func TestDebianRecipesAreReadStrictly(t *testing.T) {
	b, good := debianSource(t, tinyRules)
	for name, change := range map[string]func(*attest.Recipe){
		"free build options": func(r *attest.Recipe) { r.Parameters["build_options"] = "nocheck hardening=-all" },
		"unknown parameter":  func(r *attest.Recipe) { r.Parameters["profiles"] = "nocheck" },
		"no .dsc":            func(r *attest.Recipe) { r.Sources = r.Sources[1:] },
		"two .dsc":           func(r *attest.Recipe) { r.Sources = append(r.Sources, attest.Source{Name: "x.dsc"}) },
		"shell in a name":    func(r *attest.Recipe) { r.Sources[1].Name = "a;b.tar.xz" },
	} {
		job := good
		job.Recipe.Parameters = map[string]string{"build": "binary", "build_options": "nocheck parallel=4"}
		job.Recipe.Sources = append([]attest.Source(nil), good.Recipe.Sources...)
		if err := b.Check(job); err != nil {
			t.Fatalf("the good recipe: %v", err)
		}
		change(&job.Recipe)
		if got := backend.OutcomeOf(b.Check(job)); got != attest.BuildFailed {
			t.Errorf("%s: got %s", name, got)
		}
	}
}
