package sandbox

import "fmt"

// Level says how far a build is kept from its agent. Levels are ordered: a greater one gives every promise of a lesser.
type Level uint8

const (
	// Auto is no level but the wish for the strongest that works. It is the zero value and never the level of a Sandbox.
	Auto Level = iota
	// None isolates nothing and is used only where Config.Insecure names it.
	None
	// UID runs each build under a uid of its own, with no capability. The host's world-readable files and its network
	// stay visible, and host paths are the paths of the build.
	UID
	// UserNS gives each build its own user, mount, pid, network, ipc, uts and cgroup namespaces. To the kernel the build
	// still has the agent's uid.
	UserNS
	// Bwrap gives each build its own mount, pid, network, ipc and uts namespaces and a uid of its own as well.
	Bwrap
)

var levelNames = [...]string{Auto: "auto", None: "none", UID: "uid", UserNS: "userns", Bwrap: "bwrap"}

// String returns the word used in configuration files and in rebuild statements.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("Level(%d)", uint8(l))
}

// ParseLevel is the inverse of String.
func ParseLevel(s string) (Level, error) {
	for l, name := range levelNames {
		if s == name {
			return Level(l), nil
		}
	}
	return 0, fmt.Errorf("unknown isolation level %q: want auto, none, uid, userns or bwrap", s)
}

// namespaces reports whether builds of this level see a file system, a process table and a network of their own.
func (l Level) namespaces() bool { return l == UserNS || l == Bwrap }

// ownUID reports whether each build of this level has a uid that no other process on the host has.
func (l Level) ownUID() bool { return l == UID || l == Bwrap }
