package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/reprosign/reprosign/attest"
)

// aptProgram is the only tool the demo trusts with the archive: apt checks
// Release signatures, index digests and file digests the way the machine does.
const aptProgram = "/usr/bin/apt-get"

// errNoDebian says why the first release is left out.
var errNoDebian = errors.New("not a Debian system")

// debianRelease returns the code name of this Debian release, or errNoDebian.
func debianRelease() (string, error) {
	data, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoDebian, err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		fields[name] = strings.Trim(value, `"'`)
	}
	codename := fields["VERSION_CODENAME"]
	if fields["ID"] != "debian" || attest.CheckName(codename) != nil {
		return "", fmt.Errorf("%w: /etc/os-release names %q", errNoDebian, strings.TrimSpace(fields["ID"]+" "+codename))
	}
	if _, err := os.Stat(aptProgram); err != nil {
		return "", fmt.Errorf("%w: %w", errNoDebian, err)
	}
	return codename, nil
}

// archive is a view of the machine's Debian mirror through a private apt root:
// the machine's own lists and caches stay as they are.
type archive struct {
	dir    string
	config string
}

// published is what the archive says about one package, at this moment.
type published struct {
	version string
	sources []attest.Source
	binary  remoteFile // the .deb, which is the claim
	path    string     // where it was downloaded to
}

// remoteFile is a file of the archive as apt lists it.
type remoteFile struct {
	name   string
	url    string
	size   int64
	sha256 attest.Digest
}

// aptConfig is read after the machine's own configuration, whose proxies stay
// in force and whose hooks, which are about the machine's own lists, do not.
const aptConfig = `#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Pre-Invoke;
#clear Acquire::IndexTargets;
Acquire::IndexTargets::deb::Packages { MetaKey "$(COMPONENT)/binary-$(ARCHITECTURE)/Packages"; flatMetaKey "Packages"; ShortDescription "Packages"; Description "$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Packages"; Optional "0"; };
Acquire::IndexTargets::deb-src::Sources { MetaKey "$(COMPONENT)/source/Sources"; flatMetaKey "Sources"; ShortDescription "Sources"; Description "$(RELEASE)/$(COMPONENT) Sources"; Optional "0"; };
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "";
Dir::State::lists "%[1]s/lists/";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s/cache/";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Dir::Etc::sourcelist "%[1]s/archive.sources";
Dir::Etc::sourceparts "-";
`

// openArchive fetches the archive's signed metadata into dir.
func openArchive(ctx context.Context, dir, codename string) (*archive, error) {
	sources, err := archiveSources("/etc/apt", codename)
	if err != nil {
		return nil, err
	}
	var list strings.Builder
	for _, s := range sources {
		list.WriteString(s.stanza())
	}
	a := &archive{dir: dir, config: filepath.Join(dir, "apt.conf")}
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil { //nolint:gosec // G301: copies of public files
			return nil, fmt.Errorf("preparing a private apt: %w", err)
		}
	}
	for name, text := range map[string]string{"archive.sources": list.String(), "apt.conf": fmt.Sprintf(aptConfig, dir), "status": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // G306: the same
			return nil, fmt.Errorf("preparing a private apt: %w", err)
		}
	}
	if _, err := a.apt(ctx, "update"); err != nil {
		return nil, err
	}
	return a, nil
}

// apt runs apt-get with the private root and returns what it prints.
func (a *archive) apt(ctx context.Context, args ...string) (string, error) {
	return output(ctx, a.dir, aptProgram, append([]string{"-c", a.config, "-q"}, args...)...)
}

// output runs one of the system's programs in a plain locale.
func output(ctx context.Context, dir, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running %s %s: %w\n%s", path.Base(program), strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// find returns what the archive publishes of a package, and downloads its .deb.
func (a *archive) find(ctx context.Context, name string) (*published, error) {
	shown, err := output(ctx, a.dir, "/usr/bin/apt-cache", "-c", a.config, "--no-all-versions", "show", name)
	if err != nil {
		return nil, err
	}
	p := &published{version: strings.TrimSpace(fieldsOf(shown)["version"])}
	exact := name + "=" + p.version
	listed, err := a.apt(ctx, "--print-uris", "download", exact)
	if err != nil {
		return nil, err
	}
	files, err := parseURIs(listed)
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("apt lists %d files for %s, want 1", len(files), exact)
	}
	p.binary = files[0]
	if listed, err = a.apt(ctx, "--print-uris", "--download-only", "source", exact); err != nil {
		return nil, err
	}
	if files, err = parseURIs(listed); err != nil {
		return nil, err
	}
	if p.sources = sourcesOf(files); len(p.sources) == 0 {
		return nil, fmt.Errorf("apt lists no source of %s", exact)
	}
	if _, err := a.apt(ctx, "download", exact); err != nil {
		return nil, err
	}
	p.path, err = a.downloaded(p.binary)
	return p, err
}

// downloaded finds the file that apt downloaded, whatever it called it, and
// gives it the name that the archive and every builder use.
func (a *archive) downloaded(want remoteFile) (string, error) {
	found, err := filepath.Glob(filepath.Join(a.dir, "*.deb"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("looking for the downloaded package: %d files", len(found))
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		return "", fmt.Errorf("reading the downloaded package: %w", err)
	}
	if got := attest.SHA256(data); got != want.sha256 {
		return "", fmt.Errorf("downloaded package has SHA-256 %s, the archive says %s", got, want.sha256)
	}
	to := filepath.Join(a.dir, want.name)
	return to, os.Rename(found[0], to)
}

// uriLine is what apt-get --print-uris prints for a file it would fetch.
var uriLine = regexp.MustCompile(`(?m)^'([^']+)' (\S+) ([0-9]+) SHA256:([0-9a-f]{64})$`)

// parseURIs reads the output of apt-get --print-uris; other lines are for people.
func parseURIs(text string) ([]remoteFile, error) {
	var files []remoteFile
	for _, m := range uriLine.FindAllStringSubmatch(text, -1) {
		u, err := url.Parse(m[1])
		if err != nil {
			return nil, fmt.Errorf("apt lists %q: %w", m[1], err)
		}
		f := remoteFile{name: path.Base(u.Path), url: m[1]}
		if f.size, err = strconv.ParseInt(m[3], 10, 64); err != nil {
			return nil, fmt.Errorf("apt lists %q with the size %s: %w", f.name, m[3], err)
		}
		if f.sha256, err = attest.ParseDigest(m[4]); err != nil {
			return nil, fmt.Errorf("apt lists %q: %w", f.name, err)
		}
		files = append(files, f)
	}
	return files, nil
}

func sourcesOf(files []remoteFile) []attest.Source {
	var sources []attest.Source
	for _, f := range files {
		sources = append(sources, attest.Source{Name: f.name, SHA256: f.sha256, Size: f.size, URLs: []string{f.url}})
	}
	slices.SortFunc(sources, func(a, b attest.Source) int { return strings.Compare(a.Name, b.Name) })
	return sources
}
