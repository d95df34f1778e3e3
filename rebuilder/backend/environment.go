package backend

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// maxEnvironmentValue is the limit of package attest on one value.
const maxEnvironmentValue = 256

// environment describes what a build is made with. It explains differences and is not agreed on. Names: os, kernel,
// machine, cpu, packages (the digest of the list of installed packages) and those of the back-end's toolchain.
func environment(ctx context.Context, b Backend, job Job) (map[string]string, error) {
	env := map[string]string{"machine": runtime.GOARCH}
	var uname unix.Utsname
	if err := unix.Uname(&uname); err != nil {
		return env, fmt.Errorf("asking for the kernel: %w", err)
	}
	env["kernel"] = unix.ByteSliceToString(uname.Release[:])
	env["cpu"] = cpuModel()
	env["os"] = osRelease()
	packages, err := packageList(ctx)
	if err != nil {
		return env, err
	}
	if packages != "" {
		env["packages"] = packages
	}
	tools, err := b.Toolchain(ctx, job)
	if err != nil {
		return env, fmt.Errorf("asking the toolchain of back-end %s: %w", b.Name(), err)
	}
	maps.Copy(env, tools)
	for name, value := range env {
		env[name] = printable(value)
	}
	return env, nil
}

func osRelease() string {
	data, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "unknown"
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		fields[name] = strings.Trim(value, `"'`)
	}
	return strings.TrimSpace(fields["ID"] + " " + fields["VERSION_ID"])
}

func cpuModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// packageList is "dpkg-sha256:" and the digest of the sorted list of installed packages with versions; it is empty on
// systems without dpkg.
func packageList(ctx context.Context) (string, error) {
	const query = "/usr/bin/dpkg-query"
	if _, err := os.Stat(query); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	list, err := output(ctx, query, "-W", "-f", "${binary:Package} ${Version} ${db:Status-Abbrev}\n")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(list))
	return "dpkg-sha256:" + hex.EncodeToString(sum[:]), nil
}

// output runs one of the agent's own programs in a closed environment. Without HOME it leaves no files behind.
func output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "GOENV=off", "GOTOOLCHAIN=local", "GOFLAGS="}
	cmd.Dir = "/"
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running %s: %w", name, err)
	}
	return string(out), nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSpace(line)
}

// printable makes a value fit for a statement.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxEnvironmentValue)]
}
