package backend

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

// maxExecutable bounds a pinned executable, in bytes.
const maxExecutable = 256 << 20

// argumentPrefix marks the recipe parameters that are handed to the executable.
const argumentPrefix = "arg."

// commandParameters are the recipe's parameters, besides any that begin with argumentPrefix.
var commandParameters = map[string]parameter{
	"command":           {pattern: whole(`[a-z0-9][a-z0-9-]{0,63}`), required: true},
	"sha256":            {pattern: whole(`[0-9a-f]{64}`), required: true},
	"input":             {pattern: whole(`[A-Za-z0-9][!-.0-~]{0,127}`)},
	"source_date_epoch": {pattern: whole(`0|[1-9][0-9]{0,11}`)},
}

var (
	argumentName  = whole(`[a-z][a-z0-9_]{0,31}`)
	argumentValue = whole(`[ -~]*`)
)

// Executable is a program that the agent's operator installed and trusts to build.
type Executable struct {
	// Path is where it is installed. It is run as a copy, so it must not look for files beside itself.
	Path string
	// SHA256 pins it: a file with another digest is never run.
	SHA256 attest.Digest
	// Network lets it use the host's network while building, as archlinux-repro and debrebuild do to fetch what the
	// build depends on. The statement's environment says so.
	Network bool
}

type command struct {
	fetcher     Fetcher
	executables map[string]Executable
}

// Command returns the back-end that runs an executable which the recipe names and the agent pins by digest, under the
// contract of docs/spec/command-backend.md.
func Command(f Fetcher, executables map[string]Executable) Backend { return command{f, executables} }

var _ Backend = command{}

func (command) Name() string { return "command" }

func (command) Check(job Job) error {
	own := map[string]string{}
	for name, value := range job.Recipe.Parameters {
		arg, ok := strings.CutPrefix(name, argumentPrefix)
		switch {
		case !ok:
			own[name] = value
		case !argumentName.MatchString(arg) || !argumentValue.MatchString(value):
			return refuse("parameter %q is not a usable argument", name)
		}
	}
	if err := checkParameters(own, commandParameters); err != nil {
		return err
	}
	for _, s := range job.Recipe.Sources {
		if !isName(s.Name) {
			return refuse("source name %q is not usable", s.Name)
		}
	}
	_, err := inputOf(job.Recipe)
	return err
}

// inputOf is the source that the executable gets as its argument.
func inputOf(r attest.Recipe) (string, error) {
	name := r.Parameters["input"]
	if name == "" && len(r.Sources) == 1 {
		return r.Sources[0].Name, nil
	}
	for _, s := range r.Sources {
		if s.Name == name {
			return name, nil
		}
	}
	if name == "" {
		return "", refuse("parameter \"input\" must say which of %d sources is the input file", len(r.Sources))
	}
	return "", refuse("input %q is none of the sources", name)
}

const (
	commandSources    = inPath + "/sources"
	commandExecutable = inPath + "/command"
	commandJob        = inPath + "/job.json"
)

func (c command) Fetch(ctx context.Context, job Job, site *Site) (Inputs, error) {
	// What is missing here is the agent's fault: others may have it installed.
	name := job.Recipe.Parameters["command"]
	exe, ok := c.executables[name]
	if !ok {
		return nil, fmt.Errorf("command %q is not installed on this agent", name)
	}
	if want := job.Recipe.Parameters["sha256"]; exe.SHA256.String() != want {
		return nil, fmt.Errorf("command %q is pinned here with SHA-256 %v, the recipe wants %s", name, exe.SHA256, want)
	}
	size, err := installPinned(exe, filepath.Join(site.In, path.Base(commandExecutable)))
	if err != nil {
		return nil, fmt.Errorf("command %q: %w", name, err)
	}
	sources := filepath.Join(site.In, path.Base(commandSources))
	if err := os.Mkdir(sources, 0o755); err != nil {
		return nil, err
	}
	inputs, err := c.fetcher.Sources(ctx, job.Recipe.Sources, sources)
	if err != nil {
		return nil, err
	}
	if err := writeJob(job, site); err != nil {
		return nil, err
	}
	// No source can have this name: it holds a slash.
	return append(inputs, Input{Name: "command/" + name, SHA256: exe.SHA256, Size: size}).sorted(), nil
}

// Check reports why the executable could not be run: it is not there, or another one than was pinned.
func (e Executable) Check() error {
	_, err := e.copyTo(io.Discard)
	return err
}

// installPinned copies an executable and checks the copy's digest, so that what was checked is what runs.
func installPinned(exe Executable, to string) (int64, error) {
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return 0, err
	}
	n, err := exe.copyTo(dst)
	return n, errors.Join(err, dst.Close())
}

func (e Executable) copyTo(w io.Writer) (int64, error) {
	src, err := os.OpenFile(e.Path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(src, maxExecutable+1))
	if err != nil {
		return 0, err
	}
	if got := attest.Digest(h.Sum(nil)); n > maxExecutable || got != e.SHA256 {
		return 0, fmt.Errorf("%s has SHA-256 %v, not the pinned %v: install the pinned version again, or review and pin the new one", e.Path, got, e.SHA256)
	}
	return n, nil
}

// commandJSON is the job file (docs/spec/command-backend.md). Paths are as the executable sees them.
type commandJSON struct {
	Version      int               `json:"version"`
	Source       string            `json:"source"`
	Release      string            `json:"sourceVersion"`
	Architecture string            `json:"architecture"`
	Arguments    map[string]string `json:"arguments"`
	Input        string            `json:"input"`
	Sources      []string          `json:"sources"`
	Out          string            `json:"out"`
	Evidence     string            `json:"evidence"`
}

func writeJob(job Job, site *Site) error {
	input, err := inputOf(job.Recipe)
	if err != nil {
		return err
	}
	doc := commandJSON{
		Version: 1, Source: job.Source, Release: job.Version, Architecture: job.Architecture,
		Arguments: map[string]string{}, Sources: []string{},
		Input: site.path(path.Join(commandSources, input)), Out: site.path(outPath), Evidence: site.path(evidencePath),
	}
	for name, value := range job.Recipe.Parameters {
		if arg, ok := strings.CutPrefix(name, argumentPrefix); ok {
			doc.Arguments[arg] = value
		}
	}
	for _, s := range job.Recipe.Sources {
		doc.Sources = append(doc.Sources, site.path(path.Join(commandSources, s.Name)))
	}
	data, err := attest.MarshalCanonical(doc)
	if err != nil {
		return err
	}
	file := filepath.Join(site.In, path.Base(commandJob))
	return os.WriteFile(file, data, 0o644)
}

func (c command) Build(ctx context.Context, job Job, site *Site, log io.Writer) (sandbox.Result, error) {
	input, err := inputOf(job.Recipe)
	if err != nil {
		return sandbox.Result{}, err
	}
	args := []string{site.path(commandExecutable), site.path(path.Join(commandSources, input))}
	return site.run(ctx, log, `exec "$1" "$2"`, args, func(spec *sandbox.Spec) {
		spec.Network = c.executables[job.Recipe.Parameters["command"]].Network
		spec.RootInside = true
		spec.Env = map[string]string{
			"PATH":                   "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"REBUILDERD_OUTDIR":      site.path(outPath),
			"REPROSIGN_ARCHITECTURE": job.Architecture,
			"REPROSIGN_EVIDENCE":     site.path(evidencePath),
			"REPROSIGN_JOB":          site.path(commandJob),
			"REPROSIGN_OUT":          site.path(outPath),
			"REPROSIGN_SOURCE":       job.Source,
			"REPROSIGN_SOURCES":      site.path(commandSources),
			"REPROSIGN_VERSION":      job.Version,
		}
		for name, value := range job.Recipe.Parameters {
			if arg, ok := strings.CutPrefix(name, argumentPrefix); ok {
				spec.Env["REPROSIGN_ARG_"+strings.ToUpper(arg)] = value
			}
		}
		if epoch := job.Recipe.Parameters["source_date_epoch"]; epoch != "" {
			spec.Env["SOURCE_DATE_EPOCH"] = epoch
		}
	})
}

// Toolchain names the executable, and says so when it has the network.
func (c command) Toolchain(_ context.Context, job Job) (map[string]string, error) {
	name := job.Recipe.Parameters["command"]
	exe, ok := c.executables[name]
	if !ok {
		return map[string]string{}, nil
	}
	tools := map[string]string{"command": name + " sha256:" + exe.SHA256.String()}
	if exe.Network {
		tools["network"] = "host"
	}
	return tools, nil
}
