package sandbox

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reprosign/reprosign/attest"
)

// Names of the fixed world inside (publishing reference §1: what must be equal for outputs to be equal).
const (
	hostName = "build"
	userName = "build"
	// Home is the home directory of a build. It exists when /build is a writable mount and the caller made it.
	Home = "/build/home"
	// unprivilegedUID is what a build sees itself as inside a user namespace unless Spec.RootInside is set.
	unprivilegedUID = 1000
)

// Descriptors the child inherits. bubblewrap closes the first two itself.
const (
	fdInfo    = 3 // bubblewrap writes the pid of the namespace's first process here
	fdBlock   = 4 // bubblewrap reads here before it executes anything
	fdStarted = 5 // one byte: the sandbox is complete, what follows is the command
)

// trampoline is the last step before the command, the same at every level. It reports that the sandbox was set up, so that
// a failure before it is the agent's (infra-error) and a failure after it the build's.
const trampoline = `umask 022 && cd "$1" && shift && printf . >&5 && exec 3>&- 4<&- 5>&- && exec "$@"`

// baseEnvironment is everything a command finds in its environment besides Spec.Env; nothing is inherited.
func baseEnvironment() map[string]string {
	return map[string]string{
		"HOME":    Home,
		"LANG":    "C.UTF-8",
		"LC_ALL":  "C.UTF-8",
		"LOGNAME": userName,
		"PATH":    "/usr/bin:/bin",
		"SHELL":   "/bin/sh",
		"TZ":      "UTC",
		"USER":    userName,
	}
}

// systemEtc are the files of /etc that compilers and packaging tools read. The rest of /etc stays out of sight.
var systemEtc = []string{
	"/etc/alternatives", "/etc/debian_version", "/etc/dpkg", "/etc/fonts", "/etc/ld.so.cache",
	"/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/magic", "/etc/magic.mime", "/etc/mime.types",
	"/etc/nsswitch.conf", "/etc/os-release", "/etc/perl", "/etc/protocols", "/etc/python3", "/etc/services",
	"/etc/sgml", "/etc/xml",
}

// networkEtc is added when a command may use the network.
var networkEtc = []string{"/etc/ca-certificates", "/etc/gai.conf", "/etc/host.conf", "/etc/resolv.conf", "/etc/ssl"}

// systemState is what package managers know about the system: builds ask which versions are installed.
var systemState = []string{"/var/lib/dpkg", "/var/lib/pacman/local", "/var/lib/rpm"}

// argv composes the whole command line, from the outermost program to the command.
func (s *Slot) argv(spec Spec) ([]string, error) {
	var argv []string
	switch s.box.level {
	case attest.IsolationBwrap, attest.IsolationUserns:
		argv = s.bwrapArgs(spec)
		if s.box.level == attest.IsolationBwrap {
			argv = append(argv, s.dropArgs()...)
		}
	case attest.IsolationUID:
		argv = s.dropArgs()
	case attest.IsolationNone:
	default:
		return nil, fmt.Errorf("isolation level %v cannot run anything", s.box.level)
	}

	argv = append(argv, s.box.tools.prlimit, "--core=0",
		"--nproc="+strconv.FormatUint(spec.Limits.Processes, 10),
		"--fsize="+strconv.FormatUint(spec.Limits.FileBytes, 10))
	if spec.Limits.CPU > 0 {
		argv = append(argv, "--cpu="+strconv.FormatInt(int64((spec.Limits.CPU+time.Second-1)/time.Second), 10))
	}
	if spec.Limits.Memory > 0 {
		argv = append(argv, "--as="+strconv.FormatUint(spec.Limits.Memory, 10))
	}

	// The environment is set here and not earlier, so that none of it reaches a program that still has privileges.
	argv = append(argv, "--", s.box.tools.env, "-i")
	env := baseEnvironment()
	env["HOME"] = s.Path(spec.Mounts, Home)
	maps.Copy(env, spec.Env)
	if s.box.level == attest.IsolationNone {
		env[markerName] = s.marker
	}
	for _, name := range sortedKeys(env) {
		argv = append(argv, name+"="+env[name])
	}
	argv = append(argv, "/bin/sh", "-c", trampoline, "sh", s.Path(spec.Mounts, spec.Dir))
	return append(argv, spec.Command...), nil
}

// dropArgs gives up root for the slot's uid, for good.
func (s *Slot) dropArgs() []string {
	id := strconv.FormatUint(uint64(s.uid), 10)
	return []string{
		s.box.tools.setpriv, "--reuid", id, "--regid", id, "--clear-groups",
		"--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--",
	}
}

func (s *Slot) bwrapArgs(spec Spec) []string {
	args := []string{
		s.box.tools.bwrap, "--die-with-parent", "--new-session", "--hostname", hostName,
		"--info-fd", strconv.Itoa(fdInfo), "--block-fd", strconv.Itoa(fdBlock),
		"--unshare-pid", "--unshare-ipc", "--unshare-uts",
	}
	if !spec.Network {
		args = append(args, "--unshare-net")
	}
	if s.box.level == attest.IsolationUserns {
		id := strconv.Itoa(unprivilegedUID)
		if spec.RootInside {
			id = "0"
		}
		args = append(args, "--unshare-user", "--disable-userns", "--unshare-cgroup-try", "--uid", id, "--gid", id)
	}

	args = append(args, "--ro-bind", "/usr", "/usr")
	for _, dir := range []string{"/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"} {
		// Merged-usr systems have symbolic links here, older ones directories.
		if target, err := os.Readlink(dir); err == nil {
			args = append(args, "--symlink", target, dir)
		} else {
			args = append(args, "--ro-bind-try", dir, dir)
		}
	}
	visible := slices.Concat(systemEtc, systemState, s.box.cfg.ReadOnly)
	if spec.Network {
		visible = append(visible, networkEtc...)
	}
	// Before anything that is mounted below it.
	args = append(args, "--perms", "1777", "--size", strconv.Itoa(tmpBytes), "--tmpfs", "/tmp")
	args = append(args, parentDirs(visible, spec.Mounts)...)
	for _, p := range visible {
		// A link such as /etc/resolv.conf may lead outside of what is visible; its target is mounted in its place.
		if target, err := filepath.EvalSymlinks(p); err == nil {
			args = append(args, "--ro-bind", target, p)
		}
	}
	args = append(args,
		"--ro-bind", filepath.Join(s.etc, "passwd"), "/etc/passwd",
		"--ro-bind", filepath.Join(s.etc, "group"), "/etc/group",
		"--ro-bind", filepath.Join(s.etc, "hosts"), "/etc/hosts",
		"--proc", "/proc",
		"--dev", "/dev", "--perms", "1777", "--size", strconv.Itoa(shmBytes), "--tmpfs", "/dev/shm", "--remount-ro", "/dev",
	)
	for _, m := range spec.Mounts {
		bind := "--ro-bind"
		if m.Writable {
			bind = "--bind"
		}
		args = append(args, bind, m.Host, m.Inside)
	}
	return append(args, "--remount-ro", "/", "--chdir", "/", "--")
}

// parentDirs makes the directories that mounts need. Left to itself, bubblewrap makes them for root alone.
func parentDirs(visible []string, mounts []Mount) []string {
	dirs := map[string]string{"/etc": ""}
	add := func(p string) {
		for dir := path.Dir(p); dir != "/" && dir != "/usr" && !strings.HasPrefix(dir, "/usr/"); dir = path.Dir(dir) {
			dirs[dir] = ""
		}
	}
	for _, p := range visible {
		add(p)
	}
	for _, m := range mounts {
		add(m.Inside)
	}
	var args []string
	for _, dir := range sortedKeys(dirs) {
		args = append(args, "--perms", "0755", "--dir", dir)
	}
	return args
}
