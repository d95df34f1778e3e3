package backend

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

// debianParameters are the recipe's parameters.
//
//	build          binary (all packages), any (of the architecture only) or all (architecture-independent only)
//	build_options  words of DEB_BUILD_OPTIONS
var debianParameters = map[string]parameter{
	"build":         {pattern: whole(`binary|any|all`)},
	"build_options": {pattern: whole(debianOption + `( ` + debianOption + `)*`)},
}

const debianOption = `(nocheck|nodoc|noautodbgsym|terse|parallel=[1-9][0-9]?)`

// debianScript unpacks and builds where Debian's own builders do, then sorts what came out. dpkg sets SOURCE_DATE_EPOCH
// from the changelog. Build dependencies are not checked (-d): what is installed is in the environment record.
const debianScript = `set -e
dsc=$1 out=$2 evidence=$3; shift 3
mkdir reproducible-path && cd reproducible-path
dpkg-source --no-copy -x "$dsc"
cd ./*/
case $1 in -b) dpkg-checkbuilddeps ;; *) dpkg-checkbuilddeps "$1" ;; esac || exit 75
dpkg-buildpackage -d -us -uc "$@"
cd ..
for f in *.deb *.udeb; do if [ -f "$f" ]; then cp -- "$f" "$out/"; fi; done
for f in *.buildinfo *.changes; do if [ -f "$f" ]; then cp -- "$f" "$evidence/"; fi; done
`

// unmetDependencies is how debianScript ends when something that the source builds with is not installed: a fault of
// the machine, not of the source, and gone once it is.
const unmetDependencies = 75

type debian struct{ fetcher Fetcher }

// Debian returns the back-end for Debian source packages: exactly one .dsc and the files it lists, built by
// dpkg-buildpackage with what is installed on the agent. Artifacts are the .deb and .udeb files, the .buildinfo and
// .changes are evidence: they hold the time of the build and are never equal.
func Debian(f Fetcher) Backend { return debian{f} }

var _ Backend = debian{}

func (debian) Name() string { return "debian" }

func (debian) Check(job Job) error {
	if err := checkParameters(job.Recipe.Parameters, debianParameters); err != nil {
		return err
	}
	if _, err := dscOf(job.Recipe.Sources); err != nil {
		return err
	}
	for _, s := range job.Recipe.Sources {
		if !isName(s.Name) {
			return refuse("source name %q is not one of a Debian source package", s.Name)
		}
	}
	return nil
}

func dscOf(sources []attest.Source) (string, error) {
	var dsc string
	for _, s := range sources {
		if !strings.HasSuffix(s.Name, ".dsc") {
			continue
		}
		if dsc != "" {
			return "", refuse("sources %q and %q are both .dsc", dsc, s.Name)
		}
		dsc = s.Name
	}
	if dsc == "" {
		return "", refuse("no source is a .dsc")
	}
	return dsc, nil
}

func (d debian) Fetch(ctx context.Context, job Job, site *Site) (Inputs, error) {
	return d.fetcher.Sources(ctx, job.Recipe.Sources, site.In)
}

func (debian) Build(ctx context.Context, job Job, site *Site, log io.Writer) (sandbox.Result, error) {
	dsc, err := dscOf(job.Recipe.Sources)
	if err != nil {
		return sandbox.Result{}, err
	}
	kind := map[string]string{"": "-b", "binary": "-b", "any": "-B", "all": "-A"}[job.Recipe.Parameters["build"]]
	args := []string{site.path(path.Join(inPath, dsc)), site.path(outPath), site.path(evidencePath), kind}
	result, err := site.run(ctx, log, debianScript, args, func(spec *sandbox.Spec) {
		// Packages that chown need uid 0 or fakeroot, and fakeroot does not work in a user namespace.
		spec.RootInside = true
		spec.Env = map[string]string{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
		if o := job.Recipe.Parameters["build_options"]; o != "" {
			spec.Env["DEB_BUILD_OPTIONS"] = o
		}
	})
	if err == nil && result.ExitCode == unmetDependencies {
		err = errors.New("build dependencies are not installed on this machine; the build log lists them")
	}
	return result, err
}

func (debian) Toolchain(ctx context.Context, _ Job) (map[string]string, error) {
	list, err := output(ctx, "/usr/bin/dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n")
	if err != nil {
		return nil, err
	}
	tools := map[string]string{}
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != "installed" {
			continue
		}
		switch f[0] {
		case "dpkg-dev", "debhelper", "gcc", "binutils", "libc6":
			tools[f[0]] = f[1]
		}
	}
	return tools, nil
}
