package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/reprosign/reprosign/attest"
)

// ErrInsecure means that no level stronger than none works here and that Config.Insecure does not name it.
var ErrInsecure = errors.New("no isolation works on this host; fix what the reasons name, or name `insecure` and cast votes that never count")

// Where uids are taken from when the configuration names no range: above those of people and below those that container
// runtimes hand out by default.
const (
	DefaultUIDBase  = 200_000
	DefaultUIDCount = 64
	// DefaultLockDir records which uids are in use, over all agents of the host.
	DefaultLockDir = "/run/reprosign"
)

// Config says where builds live and what they must never see.
type Config struct {
	// Level is the one level to use, or Auto for the strongest that works.
	Level attest.Isolation
	// Insecure permits level none, either named by Level or for want of any other.
	Insecure bool
	// WorkDir holds a directory per build. It must exist, be the agent's alone and hold nothing else; at level uid
	// every user must be able to pass through it and its parents (mode 0711).
	WorkDir string
	// Secrets are files and directories no build may read: keys, the spool, configuration with credentials. The probe
	// tries each of them.
	Secrets []string
	// ReadOnly are host paths that builds see in addition to the system's, at the same place: toolchains in /opt.
	ReadOnly []string
	// UIDBase and UIDCount are the range of uids a root agent takes for builds. No account or other program may use it.
	UIDBase, UIDCount uint32
	// LockDir holds one lock file per uid in use (root agents only). Agents of one host must share it or have disjoint
	// ranges.
	LockDir string
	Log     *slog.Logger
}

// Sandbox starts slots at one level that a probe found to work.
type Sandbox struct {
	cfg    Config
	level  attest.Isolation
	report Report
	tools  tools
}

// tools are the system programs that set a sandbox up, by absolute path.
type tools struct{ bwrap, setpriv, prlimit, env string }

// Open probes and returns a sandbox of the demanded or the strongest working level. The error is ErrInsecure when that
// would be none without Insecure; it then lists the reason for every refused level.
func Open(ctx context.Context, cfg Config) (*Sandbox, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Level != Auto && !cfg.Level.Valid() {
		return nil, fmt.Errorf("isolation level %q is unknown: want none, uid, userns or bwrap", cfg.Level)
	}
	if cfg.Level == attest.IsolationNone && !cfg.Insecure {
		return nil, ErrInsecure
	}
	if err := removeAbandoned(cfg.WorkDir); err != nil {
		return nil, fmt.Errorf("removing builds that an agent abandoned: %w", err)
	}
	report, err := Probe(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("probing isolation levels: %w", err)
	}
	if report.Level == attest.IsolationNone && !cfg.Insecure {
		return nil, fmt.Errorf("%w: %w", ErrInsecure, report.Err())
	}
	if cfg.Level != Auto && report.Level != cfg.Level {
		return nil, fmt.Errorf("isolation level %v does not work here: %w", cfg.Level, report.Err())
	}
	if report.Level == attest.IsolationNone {
		cfg.Log.WarnContext(ctx, "builds are not isolated, votes of this agent never count")
	}
	box := newSandbox(cfg, report.Level)
	box.report = report
	return box, nil
}

// Level is what goes into rebuild statements.
func (b *Sandbox) Level() attest.Isolation { return b.level }

// Report says what the probe found when the sandbox was opened.
func (b *Sandbox) Report() Report { return b.report }

func newSandbox(cfg Config, level attest.Isolation) *Sandbox {
	return &Sandbox{cfg: cfg, level: level, tools: tools{
		bwrap: findTool("bwrap"), setpriv: findTool("setpriv"), prlimit: findTool("prlimit"), env: findTool("env"),
	}}
}

func (cfg Config) withDefaults() (Config, error) {
	if !filepath.IsAbs(cfg.WorkDir) {
		return cfg, fmt.Errorf("sandbox work directory %q is not an absolute path", cfg.WorkDir)
	}
	work, err := filepath.EvalSymlinks(cfg.WorkDir)
	if err != nil {
		return cfg, fmt.Errorf("sandbox work directory: %w", err)
	}
	cfg.WorkDir = work
	if cfg.UIDCount == 0 {
		cfg.UIDBase, cfg.UIDCount = DefaultUIDBase, DefaultUIDCount
	}
	// Below are accounts of people and services; the highest uids are reserved (65534 is nobody, 2³²-1 is no uid at all).
	if cfg.UIDBase < 65_536 || uint64(cfg.UIDBase)+uint64(cfg.UIDCount) > 1<<31 {
		return cfg, fmt.Errorf("build uids %d+%d: the range must lie between 65536 and 2147483647", cfg.UIDBase, cfg.UIDCount)
	}
	if cfg.LockDir == "" {
		cfg.LockDir = DefaultLockDir
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}

// findTool looks in the system's directories only: a PATH that an operator's shell left behind must not decide what runs
// as root. It returns the bare name, which no system call finds, when there is none.
func findTool(name string) string {
	for _, dir := range []string{"/usr/bin", "/bin", "/usr/sbin", "/sbin"} {
		p := filepath.Join(dir, name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p
		}
	}
	return name
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
