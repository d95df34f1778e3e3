package backend

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/mod/module"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

// golangParameters are the recipe's parameters. The one source is the module's zip file as module proxies serve it; its
// digest pins everything, since it holds the go.sum that every dependency must match.
//
//	module    module path
//	version   exact version, as v1.2.3
//	packages  import paths to install, separated by one space; all within the module
//	goos      target system, default linux
//	goarch    target architecture in Go's words, default what the release's architecture means
//	tags      build tags, separated by commas
var golangParameters = map[string]parameter{
	"module":   {pattern: whole(`[A-Za-z0-9._~/-]+`), required: true},
	"version":  {pattern: whole(`v[0-9A-Za-z.+-]+`), required: true},
	"packages": {pattern: whole(`[A-Za-z0-9._~/-]+( [A-Za-z0-9._~/-]+)*`), required: true},
	"goos":     {pattern: whole(`[a-z0-9]+`)},
	"goarch":   {pattern: whole(`[a-z0-9]+`)},
	"tags":     {pattern: whole(`[A-Za-z0-9_.]+(,[A-Za-z0-9_.]+)*`)},
}

// goArchitectures translates what distributions call architectures.
var goArchitectures = map[string]string{
	"amd64": "amd64", "x86_64": "amd64", "arm64": "arm64", "aarch64": "arm64", "i386": "386", "armhf": "arm",
	"ppc64el": "ppc64le", "ppc64le": "ppc64le", "riscv64": "riscv64", "s390x": "s390x", "loong64": "loong64",
}

// GolangConfig is an agent's Go.
type GolangConfig struct {
	// Go is the go command by absolute path. Builds can read the directory it lies in and its GOROOT.
	Go string
	// Proxy is GOPROXY for fetching. Version control systems are never asked, so "direct" has no effect.
	Proxy string
	// SumDB is GOSUMDB for fetching; "off" leaves it to the source digest and go.sum alone, which suffice.
	SumDB string
	// Env is added while fetching, for HTTPS_PROXY and SSL_CERT_FILE.
	Env map[string]string
	// Cache holds compiled packages between builds of this agent, in a directory per build uid. It must never be shared
	// with another rebuilder, whose votes would no longer be independent. Empty starts every build cold.
	Cache string
}

type golang struct{ cfg GolangConfig }

// Golang returns the back-end for Go modules: what `go install -trimpath PACKAGE@VERSION` gives, without cgo and with the
// agent's own toolchain. Compiling Go runs no code of the module.
func Golang(cfg GolangConfig) Backend { return golang{cfg} }

var _ Backend = golang{}

func (golang) Name() string { return "golang" }

func (golang) Check(job Job) error {
	p := job.Recipe.Parameters
	if err := checkParameters(p, golangParameters); err != nil {
		return err
	}
	if err := module.Check(p["module"], p["version"]); err != nil {
		return refuse("%w", err)
	}
	if module.CanonicalVersion(p["version"]) != p["version"] {
		return refuse("version %q is not exact", p["version"])
	}
	for pkg := range strings.SplitSeq(p["packages"], " ") {
		if pkg != p["module"] && !strings.HasPrefix(pkg, p["module"]+"/") {
			return refuse("package %q is not in module %q", pkg, p["module"])
		}
		if err := module.CheckImportPath(pkg); err != nil {
			return refuse("%w", err)
		}
	}
	if goarch(job) == "" {
		return refuse("architecture %q has no Go name, and parameter \"goarch\" gives none", job.Architecture)
	}
	if len(job.Recipe.Sources) != 1 {
		return refuse("%d sources instead of one, the module's zip file", len(job.Recipe.Sources))
	}
	return nil
}

func goarch(job Job) string {
	if a := job.Recipe.Parameters["goarch"]; a != "" {
		return a
	}
	return goArchitectures[job.Architecture]
}

// fetchPath is where the fetching go command keeps its caches. Only checked copies of the modules get from there to In.
const fetchPath = "/fetch"

// golangFetch only lists what it would do (-n): to do so go must load every package, and downloads its module.
const golangFetch = `go=$1; shift; exec "$go" install -n -trimpath -buildvcs=false "$@"`

func (g golang) Fetch(ctx context.Context, job Job, site *Site) (Inputs, error) {
	dir, err := site.Slot.Dir("fetch", sandbox.BuildWrites)
	if err != nil {
		return nil, err
	}
	toolchain, err := g.toolchainMounts(ctx)
	if err != nil {
		return nil, err
	}
	var said strings.Builder
	adapt := func(spec *sandbox.Spec) {
		spec.Network = true
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Host: dir, Inside: fetchPath, Writable: true})
		spec.Mounts = append(spec.Mounts, toolchain...)
		for p := range strings.FieldsFuncSeq(g.cfg.Proxy, func(r rune) bool { return r == ',' || r == '|' }) {
			if dir, ok := strings.CutPrefix(p, "file://"); ok {
				spec.Mounts = append(spec.Mounts, sandbox.Mount{Host: dir, Inside: dir})
			}
		}
		spec.LogLimit = 16 << 10
		spec.Timeout = fetchTimeout
		at := func(p string) string { return site.Slot.Path(spec.Mounts, p) }
		spec.Env = g.env(job, at(fetchPath))
		spec.Env["GOPROXY"], spec.Env["GOSUMDB"] = g.cfg.Proxy, g.cfg.SumDB
		maps.Copy(spec.Env, g.cfg.Env)
	}
	result, err := site.run(ctx, &said, golangFetch, g.args(job), adapt)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, lastLine(said.String()))
	}
	if !result.OK() {
		// go says the same whether a proxy is away or a package does not exist; the next attempt may find either.
		return nil, failure(attest.FetchFailed, "go found no modules to build: %s", lastLine(said.String()))
	}
	download := filepath.Join(dir, "mod", "cache", "download")
	return takeModules(download, filepath.Join(site.In, "proxy"), job)
}

const golangBuild = `set -e
go=$1; shift
"$go" install -trimpath -buildvcs=false "$@"
find "$GOPATH/bin" -type f -exec cp -- {} "$REPROSIGN_OUT/" \;
`

func (g golang) Build(ctx context.Context, job Job, site *Site, log io.Writer) (sandbox.Result, error) {
	cache, err := g.cacheDir(site)
	if err != nil {
		return sandbox.Result{}, err
	}
	toolchain, err := g.toolchainMounts(ctx)
	if err != nil {
		return sandbox.Result{}, err
	}
	return site.run(ctx, log, golangBuild, g.args(job), func(spec *sandbox.Spec) {
		spec.Mounts = append(spec.Mounts, toolchain...)
		if cache != "" {
			spec.Mounts = append(spec.Mounts, sandbox.Mount{Host: cache, Inside: "/cache", Writable: true})
		}
		at := func(p string) string { return site.Slot.Path(spec.Mounts, p) }
		spec.Env = g.env(job, at(buildPath))
		spec.Env["GOPROXY"] = "file://" + at(path.Join(inPath, "proxy"))
		spec.Env["GOSUMDB"] = "off" // every zip was checked against go.sum, and that against the source digest
		spec.Env["REPROSIGN_OUT"] = at(outPath)
		if cache != "" {
			spec.Env["GOCACHE"] = at("/cache")
		}
	})
}

// toolchainMounts shows the go command and its GOROOT where they are, unless the system's /usr holds them anyway.
func (g golang) toolchainMounts(ctx context.Context) ([]sandbox.Mount, error) {
	root, err := output(ctx, g.cfg.Go, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	var mounts []sandbox.Mount
	for _, dir := range []string{firstLine(root), path.Dir(g.cfg.Go)} {
		if dir != "/usr" && dir != "/bin" && !strings.HasPrefix(dir, "/usr/") {
			mounts = append(mounts, sandbox.Mount{Host: dir, Inside: dir})
		}
	}
	return mounts, nil
}

// env is everything that decides what go does, below the given directory.
func (g golang) env(job Job, dir string) map[string]string {
	goos := job.Recipe.Parameters["goos"]
	if goos == "" {
		goos = "linux"
	}
	return map[string]string{
		"CGO_ENABLED": "0",
		"GOARCH":      goarch(job),
		"GOCACHE":     path.Join(dir, "cache"),
		"GOENV":       "off",
		"GOFLAGS":     "",
		"GOMODCACHE":  path.Join(dir, "mod"),
		"GOOS":        goos,
		"GOPATH":      path.Join(dir, "go"),
		"GOTMPDIR":    dir, // link steps outgrow /tmp, which is in memory
		"GOTOOLCHAIN": "local",
		"GOVCS":       "*:off",
		"GOWORK":      "off",
		"PATH":        path.Dir(g.cfg.Go) + ":/usr/bin:/bin",
	}
}

func (g golang) args(job Job) []string {
	p := job.Recipe.Parameters
	args := []string{g.cfg.Go}
	if p["tags"] != "" {
		args = append(args, "-tags="+p["tags"])
	}
	for pkg := range strings.SplitSeq(p["packages"], " ") {
		args = append(args, pkg+"@"+p["version"])
	}
	return args
}

// cacheDir is the agent's compile cache for the slot's uid. Slots do not share it, since at most levels they have
// different uids.
func (g golang) cacheDir(site *Site) (string, error) {
	if g.cfg.Cache == "" {
		return "", nil
	}
	dir, err := site.Slot.SharedDir(g.cfg.Cache)
	if err != nil {
		return "", fmt.Errorf("preparing the compile cache: %w", err)
	}
	return dir, nil
}

func (g golang) Toolchain(ctx context.Context, _ Job) (map[string]string, error) {
	version, err := output(ctx, g.cfg.Go, "version")
	if err != nil {
		return nil, err
	}
	return map[string]string{"go": strings.TrimPrefix(firstLine(version), "go version ")}, nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
