package box

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	// memoryRoot and diskRoot hold throw-away clusters. Neither is $TMPDIR, which
	// tests and build tools set to long paths: see maxSocketPath. A database is
	// hundreds of files, and in memory to make one takes a tenth of the time.
	memoryRoot = "/dev/shm"
	diskRoot   = "/tmp"

	// memoryNeeded is the room in bytes that memoryRoot must have: a cluster takes
	// a few hundred megabytes, and there are several at a time. Containers often
	// have 64 MB there.
	memoryNeeded = 2 << 30

	// temporaryPrefix marks throw-away cluster directories.
	temporaryPrefix = "reprosign-postgres-"

	// socketName is the socket's name for port 5432, by PostgreSQL's rule.
	socketName = ".s.PGSQL.5432"

	// maxSocketPath is the longest socket path that Linux takes, in bytes.
	maxSocketPath = 107
)

// MaxPostgresDir is the longest absolute PostgresOptions.Dir, in bytes.
const MaxPostgresDir = maxSocketPath - len("/"+socketName)

// openDir prepares the cluster directory: it exists, is locked, and belongs to
// the account alone.
func openDir(ctx context.Context, dir string, as account) (*os.File, error) {
	if len(dir) > MaxPostgresDir {
		return nil, fmt.Errorf("directory %s: path of %d bytes; a Unix socket in it needs at most %d: choose a shorter one", dir, len(dir), MaxPostgresDir)
	}
	// Parents are made passable, since the account may not be ours.
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // G301: the cluster directory itself is 0700
		return nil, fmt.Errorf("making the directories above the cluster: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("making the cluster directory: %w", err)
	}
	if err := as.canReach(dir); err != nil {
		return nil, err
	}
	if err := refuseForeign(dir); err != nil {
		return nil, err
	}
	lock, err := awaitLock(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := as.take(dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// refuseForeign protects a directory that is not ours, such as somebody's
// home named by mistake, from changing owner and mode.
func refuseForeign(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("examining the cluster directory: %w", err)
	}
	ours := func(entry os.DirEntry) bool { return strings.HasPrefix(entry.Name(), lockName) }
	if len(entries) > 0 && !slices.ContainsFunc(entries, ours) {
		return fmt.Errorf("directory %s holds other files: choose an empty or a new one", dir)
	}
	return nil
}

// newTemporaryDir returns the name of a fresh directory for a throw-away
// cluster, after removing those whose owners were killed.
func newTemporaryDir(as account) (string, error) {
	if err := sweepStale(as); err != nil {
		return "", err
	}
	return os.MkdirTemp(temporaryRoot(), temporaryPrefix)
}

// temporaryRoot returns memoryRoot if it has the room.
func temporaryRoot() string {
	var memory syscall.Statfs_t
	if err := syscall.Statfs(memoryRoot, &memory); err != nil || memory.Bavail*uint64(memory.Bsize) < memoryNeeded {
		return diskRoot
	}
	return memoryRoot
}

// sweepStale removes the throw-away clusters of dead processes: those of this
// account whose lock is free. Directories of others are left alone, and so is
// whatever vanishes meanwhile, since another process may sweep too.
func sweepStale(as account) error {
	var dirs []string
	for _, root := range []string{memoryRoot, diskRoot} {
		found, err := filepath.Glob(filepath.Join(root, temporaryPrefix+"*"))
		if err != nil {
			return err
		}
		dirs = append(dirs, found...)
	}
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			continue
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != as.uid {
			continue
		}
		// A directory without a lock file is being made, or not ours.
		if _, err := os.Lstat(filepath.Join(dir, lockName)); err != nil {
			continue
		}
		lock, err := lockDir(dir)
		if err != nil {
			continue
		}
		if err := errors.Join(os.RemoveAll(dir), lock.Close()); err != nil {
			return fmt.Errorf("removing the abandoned cluster %s: %w", dir, err)
		}
	}
	return nil
}
