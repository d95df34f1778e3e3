package box

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// MinPostgresMajor is the oldest PostgreSQL major version that is accepted
// (design §5).
const MinPostgresMajor = 15

// ErrNoPostgres reports that no usable PostgreSQL server programs are
// installed. Its text, wrapped, names what to install on each distribution.
var ErrNoPostgres = errors.New("no usable PostgreSQL server programs found")

const installAdvice = `Install them; no system service is needed, and none that runs is touched:
  Debian, Ubuntu:   apt-get install postgresql
  Fedora, RHEL:     dnf install postgresql-server
  openSUSE:         zypper install postgresql-server
  Arch Linux:       pacman -S postgresql
  Alpine:           apk add postgresql
or name the directory that holds initdb and postgres in PG_BINDIR,
or configure an existing PostgreSQL server instead of the private one.`

// programs names one installed set of PostgreSQL programs.
type programs struct {
	initdb, postgres, psql string
	major                  int
}

// findPrograms returns the first usable set of programs, in the order of
// programDirs. A data directory of an earlier run fixes the major version:
// wantMajor is that version, or 0 when there is none yet.
func findPrograms(ctx context.Context, wantMajor int) (programs, error) {
	var unusable []string
	for _, dir := range programDirs(ctx) {
		p, err := programsIn(ctx, dir)
		if ctx.Err() != nil {
			return programs{}, fmt.Errorf("looking for PostgreSQL programs: %w", ctx.Err())
		}
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			unusable = append(unusable, fmt.Sprintf("%s: %v", dir, err))
		case p.major < MinPostgresMajor:
			unusable = append(unusable, fmt.Sprintf("%s: version %d is older than %d", dir, p.major, MinPostgresMajor))
		case wantMajor != 0 && p.major != wantMajor:
			unusable = append(unusable, fmt.Sprintf("%s: version %d cannot read data of version %d", dir, p.major, wantMajor))
		default:
			return p, nil
		}
	}
	looked := "looked in $PG_BINDIR, `pg_config --bindir`, /usr/lib/postgresql/*/bin and $PATH"
	if len(unusable) > 0 {
		looked = strings.Join(unusable, "\n  ")
	}
	need := fmt.Sprintf("version %d or newer is needed", MinPostgresMajor)
	if wantMajor != 0 {
		need = fmt.Sprintf("version %d is needed, which made the data directory; or move the data with pg_upgrade", wantMajor)
	}
	return programs{}, fmt.Errorf("%w (%s)\n  %s\n%s", ErrNoPostgres, need, looked, installAdvice)
}

// programDirs lists where server programs may be, best first, each once.
// Debian keeps them off $PATH, one directory per major version.
func programDirs(ctx context.Context) []string {
	var dirs []string
	if dir := os.Getenv("PG_BINDIR"); dir != "" {
		dirs = append(dirs, dir)
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	// The pattern is constant, so Glob cannot report a malformed one.
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(versions, func(a, b string) int { return pathMajor(b) - pathMajor(a) })
	dirs = append(dirs, versions...)
	if postgres, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(postgres))
	}
	seen := make(map[string]bool)
	return slices.DeleteFunc(dirs, func(dir string) bool {
		repeated := seen[dir]
		seen[dir] = true
		return repeated
	})
}

// pathMajor returns the version in /usr/lib/postgresql/VERSION/bin, or 0.
func pathMajor(dir string) int {
	major, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return major
}

// programsIn examines one directory. The error wraps os.ErrNotExist if the
// directory holds no server programs.
func programsIn(ctx context.Context, dir string) (programs, error) {
	p := programs{
		initdb:   filepath.Join(dir, "initdb"),
		postgres: filepath.Join(dir, "postgres"),
		psql:     filepath.Join(dir, "psql"),
	}
	for _, program := range []string{p.initdb, p.postgres} {
		if _, err := os.Stat(program); err != nil {
			return programs{}, err
		}
	}
	// The client may be packaged apart from the server.
	if _, err := os.Stat(p.psql); err != nil {
		psql, err := exec.LookPath("psql")
		if err != nil {
			return programs{}, errors.New("the client program psql is missing (Debian: postgresql-client)")
		}
		p.psql = psql
	}
	out, err := exec.CommandContext(ctx, p.postgres, "--version").Output()
	if err != nil {
		return programs{}, fmt.Errorf("asking for the version: %w", err)
	}
	p.major, err = parseMajor(string(out))
	if err != nil {
		return programs{}, err
	}
	return p, nil
}

// parseMajor reads "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)",
// where a release candidate is "16rc1" and a development version "17devel".
func parseMajor(version string) (int, error) {
	_, number, found := strings.Cut(version, "(PostgreSQL) ")
	if !found {
		return 0, fmt.Errorf("unknown version text %q", version)
	}
	end := strings.IndexFunc(number, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(number)
	}
	major, err := strconv.Atoi(number[:end])
	if err != nil {
		return 0, fmt.Errorf("unknown version text %q", version)
	}
	return major, nil
}
