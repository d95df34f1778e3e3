package sandbox

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

// Limits that hold where a Spec leaves them zero.
const (
	DefaultLogLimit  = 10 << 20      // bytes of log kept (design §3.1)
	DefaultTimeout   = 6 * time.Hour // wall clock of one command
	DefaultProcesses = 2048          // processes and threads of one build at once
	DefaultFileBytes = 16 << 30      // size of one file
	DefaultDiskBytes = 64 << 30      // sum over all writable mounts

	// TermGrace is how long a build may go on after SIGTERM before SIGKILL.
	TermGrace = 10 * time.Second

	tmpBytes = 1 << 30  // size of /tmp, in memory
	shmBytes = 64 << 20 // size of /dev/shm, in memory
)

// Spec is one command to run in a slot. The zero value of every field but Command is usable.
type Spec struct {
	// Command is the program, by absolute path inside the sandbox, and its arguments.
	Command []string
	// Dir is the working directory inside the sandbox. It defaults to the first mount, or "/".
	Dir string
	// Mounts are the only parts of the host, besides the read-only system, that the command sees. At levels none and uid
	// nothing is mounted: use Slot.Path to name what lies under a mount.
	Mounts []Mount
	// Env is added to the fixed environment (see baseEnvironment) and may override it, except for names that begin with LD_.
	Env map[string]string
	// Network leaves the host's network visible, for fetching inputs. Builds leave it false.
	Network bool
	// RootInside asks that the command see itself as uid 0 at level userns, where the only other choice is a uid that
	// cannot chown at all. It grants no privilege. At other levels it means nothing.
	RootInside bool
	// Log receives standard output and standard error, up to LogLimit bytes. The rest is read and thrown away, so the
	// command never blocks on its log and never dies from it.
	Log      io.Writer
	LogLimit int64
	// Timeout bounds the wall clock. At its end every process gets SIGTERM, and TermGrace later SIGKILL.
	Timeout time.Duration
	Limits  Limits
}

// Limits bounds what a command may use.
type Limits struct {
	Processes uint64        // processes and threads at once
	FileBytes uint64        // size of any one file
	DiskBytes int64         // sum over the writable mounts; watched while the command runs and checked at its end
	CPU       time.Duration // processor time of any one process; zero is unlimited
	Memory    uint64        // address space of any one process in bytes; zero is unlimited
}

// Mount shows one directory or file of the host to the command.
type Mount struct {
	Host     string // absolute path on the host
	Inside   string // absolute path inside the sandbox
	Writable bool
}

// Result is how a command ended. A non-zero exit, a timeout and a full disk are results, not errors.
type Result struct {
	// ExitCode is the command's status, or 128 plus the number of the signal that ended it.
	ExitCode int
	TimedOut bool
	// OverDisk is set when the writable mounts exceeded Limits.DiskBytes, whatever the exit code.
	OverDisk bool
	// LogDigest is the SHA-256 of exactly the bytes that were written to Spec.Log. LogBytes counts what the command
	// wrote; LogTruncated says that not all of it was kept.
	LogDigest    [32]byte
	LogBytes     int64
	LogTruncated bool
	Started      time.Time
	Finished     time.Time
}

// OK reports whether the command ended by itself, with status 0 and within its limits.
func (r Result) OK() bool { return r.ExitCode == 0 && !r.TimedOut && !r.OverDisk }

func (s Spec) withDefaults() Spec {
	if s.Dir == "" {
		s.Dir = "/"
		if len(s.Mounts) > 0 {
			s.Dir = s.Mounts[0].Inside
		}
	}
	if s.Log == nil {
		s.Log = io.Discard
	}
	s.LogLimit = orDefault(s.LogLimit, DefaultLogLimit)
	s.Timeout = orDefault(s.Timeout, DefaultTimeout)
	s.Limits.Processes = orDefault(s.Limits.Processes, DefaultProcesses)
	s.Limits.FileBytes = orDefault(s.Limits.FileBytes, DefaultFileBytes)
	s.Limits.DiskBytes = orDefault(s.Limits.DiskBytes, DefaultDiskBytes)
	return s
}

func orDefault[T int64 | uint64 | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

func (s Spec) validate() error {
	if len(s.Command) == 0 || !path.IsAbs(s.Command[0]) {
		return errors.New("sandbox command without an absolute path")
	}
	for _, m := range s.Mounts {
		if !path.IsAbs(m.Host) || !path.IsAbs(m.Inside) || path.Clean(m.Inside) != m.Inside || m.Inside == "/" {
			return fmt.Errorf("mount of %q at %q: both must be absolute and clean", m.Host, m.Inside)
		}
	}
	for name, value := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return fmt.Errorf("environment name %q is not usable", name)
		}
		// The loader reads these in every program, also in those that set the sandbox up.
		if strings.HasPrefix(name, "LD_") {
			return fmt.Errorf("environment name %q is refused", name)
		}
	}
	return nil
}
