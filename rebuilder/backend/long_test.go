//go:build long

package backend_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/backend"
)

// These tests take minutes, and most need the network: a Debian mirror and a Go module proxy. Run them with -tags long.

// TestDistroInfoDataEqualsTheArchives rebuilds a package of this Debian release and compares it with what Debian publishes.
func TestLongDistroInfoDataEqualsTheArchives(t *testing.T) {
	const name = "distro-info-data"
	apt := privateAPT(t)
	source := apt("apt-get", "source", "--download-only", "--print-uris", name)
	job := backend.Job{Source: name, Architecture: "all", Recipe: attest.Recipe{Backend: "debian", Parameters: map[string]string{"build": "all"}}}
	for line := range strings.Lines(source) {
		// 'URL' NAME SIZE SHA256:DIGEST
		f := strings.Fields(line)
		if len(f) != 4 || !strings.HasPrefix(f[3], "SHA256:") {
			continue
		}
		digest, err := attest.ParseDigest(strings.TrimPrefix(f[3], "SHA256:"))
		if err != nil {
			t.Fatal(err)
		}
		size, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		job.Recipe.Sources = append(job.Recipe.Sources, attest.Source{Name: f[1], SHA256: digest, Size: size, URLs: []string{strings.Trim(f[0], "'")}})
	}
	show := apt("apt-cache", "show", "--no-all-versions", name)
	report := newSite(t).built(backend.Debian(backend.Fetcher{}), job)
	var got strings.Builder
	for _, a := range report.Artifacts {
		got.WriteString("SHA256: " + a.SHA256.String() + "\n")
	}
	if !strings.Contains(show, got.String()) {
		t.Errorf("built %v\nthe archive has\n%s", report.Artifacts, show)
	}
}

// privateAPT is apt with lists of its own, so that neither the host's are changed nor its deb-src lines needed.
func privateAPT(t *testing.T) func(name string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The host's own mirrors and suites, with their sources. Only the answers of the archive are private.
	targets, err := exec.CommandContext(t.Context(), "apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages", "Component: main").Output()
	if err != nil {
		t.Fatal(err)
	}
	var list strings.Builder
	for line := range strings.Lines(string(targets)) {
		for _, kind := range []string{"deb", "deb-src"} {
			list.WriteString(kind + " [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] " + strings.TrimSpace(line) + " main\n")
		}
	}
	conf := fmt.Sprintf("Dir::State::lists %q;\nDir::State::status \"/dev/null\";\nDir::Cache %q;\nDir::Etc::sourcelist %q;\nDir::Etc::sourceparts \"-\";\nAPT::Sandbox::User \"root\";\n",
		filepath.Join(dir, "lists"), filepath.Join(dir, "cache"), filepath.Join(dir, "sources.list"))
	for name, content := range map[string]string{"sources.list": list.String(), "apt.conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	apt := func(name string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(dir, "apt.conf"), "LC_ALL=C")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, stderr.String())
		}
		return string(out)
	}
	apt("apt-get", "update", "-o", "APT::Update::Error-Mode=any")
	return apt
}

// TestTxtarXBuildsEquallyOnTwoColdAgents builds the demo's Go release.
func TestLongTxtarXBuildsEquallyOnTwoColdAgents(t *testing.T) {
	const mod, version = "github.com/rogpeppe/go-internal", "v1.16.0"
	proxy, sumDB := goEnv(t, "GOPROXY"), goEnv(t, "GOSUMDB")
	proxy, _, _ = strings.Cut(proxy, ",")
	digest, size := remoteDigest(t, proxy+"/"+mod+"/@v/"+version+".zip")
	job := backend.Job{Source: "txtar-x", Version: "1.16.0", Architecture: "amd64", Recipe: attest.Recipe{
		Backend:    "golang",
		Parameters: map[string]string{"module": mod, "version": version, "packages": mod + "/cmd/txtar-x"},
		Sources:    []attest.Source{{Name: version + ".zip", SHA256: digest, Size: size, URLs: []string{}}},
	}}
	b := backend.Golang(backend.GolangConfig{Go: goCommand(t), Proxy: proxy, SumDB: sumDB})
	first, second := newSite(t).built(b, job), newSite(t).built(b, job)
	if diff := cmp.Diff(first.Artifacts, second.Artifacts); diff != "" {
		t.Errorf("two agents differ:\n%s", diff)
	}
	t.Logf("%v", first.Artifacts)
}

// TestAWrappedGoThatDropsTrimpathDiffers is the fault that the demo shows: an operator wrapped the go command.
func TestLongAWrappedGoThatDropsTrimpathDiffers(t *testing.T) {
	cfg, job := golangJob(t, right)
	s := newSite(t)
	good := s.built(backend.Golang(cfg), job)
	dir := publicDir(t)
	wrapper := "#!/bin/bash\nfor a; do shift; [ \"$a\" = -trimpath ] || set -- \"$@\" \"$a\"; done\nexec " + cfg.Go + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg.Go = filepath.Join(dir, "go")
	if faulty := s.built(backend.Golang(cfg), job); cmp.Diff(good.Artifacts, faulty.Artifacts) == "" {
		t.Error("dropping -trimpath changed nothing")
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), goCommand(t), "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func remoteDigest(t *testing.T, url string) (attest.Digest, int64) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	h := sha256.New()
	n, err := io.Copy(h, resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return attest.Digest(h.Sum(nil)), n
}
