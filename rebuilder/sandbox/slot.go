package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/reprosign/reprosign/attest"
)

// Slot is the place of one build: a directory of the host that no other build shares and, at levels uid and bwrap, a uid
// that nothing else on the host has. A slot runs one command at a time. It is good for one build and then closed.
type Slot struct {
	box    *Sandbox
	dir    string   // host directory of everything below
	etc    string   // passwd, group and hosts as the build sees them
	inUse  *os.File // dir, locked while the slot lives
	uid    uint32   // of the build, as the host sees it
	lock   *os.File // holds the uid
	marker string   // value of markerName at level none
}

// Access says who may write in a directory of a slot.
type Access bool

// A directory of a slot is written either by the agent, before the build, or by the build.
const (
	AgentWrites Access = false
	BuildWrites Access = true
)

// Acquire reserves a slot. At levels uid and bwrap it takes the first free uid of the range, kills whatever an agent that
// crashed left running under it, and fails when none is free: the number of slots is the agent's to limit.
func (b *Sandbox) Acquire(ctx context.Context) (*Slot, error) {
	s := &Slot{box: b, uid: uint32(os.Getuid()), marker: rand.Text()}
	if ownUID(b.level) {
		if err := s.lockUID(); err != nil {
			return nil, err
		}
		if err := (uidTree{s.uid}).kill(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("clearing uid %d of leftover processes: %w", s.uid, err), s.lock.Close())
		}
	}
	if err := s.makeDirs(); err != nil {
		return nil, errors.Join(fmt.Errorf("making a build directory: %w", err), s.Close())
	}
	return s, nil
}

// lockUID takes a file lock rather than a number in memory, so that two agents of one host never share a uid, and so that
// the kernel frees it when an agent dies.
func (s *Slot) lockUID() error {
	cfg := s.box.cfg
	if err := os.MkdirAll(cfg.LockDir, 0o700); err != nil {
		return fmt.Errorf("making the directory of uid locks: %w", err)
	}
	for uid := cfg.UIDBase; uid < cfg.UIDBase+cfg.UIDCount; uid++ {
		name := filepath.Join(cfg.LockDir, "build-uid-"+strconv.FormatUint(uint64(uid), 10))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return fmt.Errorf("locking a build uid: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = f.Close()
			continue
		}
		s.uid, s.lock = uid, f
		return nil
	}
	return fmt.Errorf("all %d build uids from %d on are in use: raise uid_count or run fewer builds at once", cfg.UIDCount, cfg.UIDBase)
}

// makeDirs gives the build's group passage through the slot's directory but no say over the names in it: a build must not
// be able to put a symbolic link in the place of its output directory.
func (s *Slot) makeDirs() error {
	dir, err := os.MkdirTemp(s.box.cfg.WorkDir, buildPrefix)
	if err != nil {
		return err
	}
	s.dir, s.etc = dir, filepath.Join(dir, "etc")
	if s.inUse, err = lockDir(dir); err != nil {
		return err
	}
	if ownUID(s.box.level) {
		if err := os.Chown(dir, -1, int(s.uid)); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o710); err != nil {
			return err
		}
	}
	if err := os.Mkdir(s.etc, 0o755); err != nil {
		return err
	}
	id := strconv.FormatUint(uint64(s.insideID()), 10)
	files := map[string]string{
		"passwd": "root:x:0:0:root:" + Home + ":/bin/sh\n" + userName + ":x:" + id + ":" + id + "::" + Home + ":/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n",
		"group":  "root:x:0:\n" + userName + ":x:" + id + ":\nnogroup:x:65534:\n",
		"hosts":  "127.0.0.1 localhost " + hostName + "\n::1 localhost\n",
	}
	for name, content := range files {
		if err := writeFile(filepath.Join(s.etc, name), content); err != nil {
			return err
		}
	}
	return nil
}

// insideID is the uid and gid that a build sees itself as.
func (s *Slot) insideID() uint32 {
	if s.box.level == attest.IsolationUserns {
		return unprivilegedUID
	}
	return s.uid
}

// Dir makes a directory of the slot and returns its host path. With BuildWrites it belongs to the build.
func (s *Slot) Dir(name string, access Access) (string, error) {
	if !filepath.IsLocal(name) || strings.ContainsRune(name, filepath.Separator) || name == "etc" {
		return "", fmt.Errorf("slot directory name %q is not usable", name)
	}
	dir := filepath.Join(s.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("making slot directory: %w", err)
	}
	// The agent's umask must not decide what the build can reach.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", fmt.Errorf("making slot directory: %w", err)
	}
	if access == BuildWrites && ownUID(s.box.level) {
		if err := os.Chown(dir, int(s.uid), int(s.uid)); err != nil {
			return "", fmt.Errorf("giving slot directory to the build: %w", err)
		}
	}
	return dir, nil
}

// Path says where the command finds what the mounts show at the path inside. Where mounts are real it is the path itself,
// at levels none and uid it is the host's.
func (s *Slot) Path(mounts []Mount, inside string) string {
	if namespaces(s.box.level) {
		return inside
	}
	best, host := -1, inside
	for _, m := range mounts {
		rest, ok := strings.CutPrefix(inside, m.Inside)
		if ok && (rest == "" || rest[0] == '/') && len(m.Inside) > best {
			best, host = len(m.Inside), m.Host+rest
		}
	}
	return host
}

// Level is the level of the slot's sandbox.
func (s *Slot) Level() attest.Isolation { return s.box.level }

// Close removes everything the slot holds and frees its uid. It is idempotent.
func (s *Slot) Close() error {
	var errs []error
	if s.dir != "" {
		if err := removeTree(s.dir); err != nil {
			errs = append(errs, fmt.Errorf("removing build directory: %w", err))
		}
		s.dir = ""
	}
	if s.inUse != nil {
		errs = append(errs, s.inUse.Close())
		s.inUse = nil
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	return errors.Join(errs...)
}

const buildPrefix = "build-"

// removeAbandoned removes the directories of slots whose agent died without closing them.
func removeAbandoned(workDir string) error {
	entries, err := os.ReadDir(workDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), buildPrefix) {
			continue
		}
		dir := filepath.Join(workDir, e.Name())
		lock, err := lockDir(dir)
		if err != nil {
			continue // in use
		}
		errs = append(errs, removeTree(dir), lock.Close())
	}
	return errors.Join(errs...)
}

// lockDir fails when another process or slot has locked dir.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// removeTree also removes directories that a build made unreadable, as Go does with its module cache. Nothing of the
// build runs any more, so no name changes its meaning between the walk and the change of mode.
func removeTree(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil && (d == nil || !d.IsDir()) {
			return err
		}
		// WalkDir calls once before it reads a directory, and once more if that fails.
		if d.IsDir() && err == nil {
			return root.Chmod(p, 0o700)
		}
		return nil
	})
	return errors.Join(err, os.RemoveAll(dir))
}

func writeFile(name, content string) error {
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Chmod(name, 0o644)
}

// SharedDir is a directory below base that lasts longer than the slot and belongs to its builds: to whatever build next
// has the same uid. Only what cannot carry one build's code into the next may be kept there.
func (s *Slot) SharedDir(base string) (string, error) {
	dir := filepath.Join(base, "uid-"+strconv.FormatUint(uint64(s.uid), 10))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if !ownUID(s.box.level) {
		return dir, nil
	}
	// The name is the agent's to give away, so it cannot be a link that a build made.
	if err := os.Lchown(dir, int(s.uid), int(s.uid)); err != nil {
		return "", err
	}
	return dir, nil
}
