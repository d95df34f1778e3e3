package box

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// lockName is the lock file of a cluster directory. It is held by the
	// owner and, inherited, by PostgreSQL and all its processes: whoever gets
	// it knows that none of them is left.
	lockName = "lock"

	// lockPatience is how long a start waits for the processes of a previous
	// owner that was killed; they take about a second to notice.
	lockPatience = 10 * time.Second

	// pollInterval spaces the looks at a state that nobody announces.
	pollInterval = 20 * time.Millisecond
)

// errLocked reports that a live process holds the lock.
var errLocked = errors.New("in use by another process")

// lockDir takes the lock of a cluster directory, or fails with errLocked.
//
// A new lock file appears under its name only when it is already locked, so
// that sweepStale never takes a directory in the making for an abandoned one.
func lockDir(dir string) (*os.File, error) {
	name := filepath.Join(dir, lockName)
	file, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err == nil {
		return file, lockFile(file)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	file, err = os.CreateTemp(dir, lockName+".new-")
	if err != nil {
		return nil, err
	}
	if err := lockFile(file); err != nil {
		return nil, err
	}
	// Link, not rename: of two that create the lock together one must lose.
	err = os.Link(file.Name(), name)
	if removeErr := os.Remove(file.Name()); err == nil {
		err = removeErr
	}
	if errors.Is(err, os.ErrExist) {
		err = errLocked
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// lockFile locks an open file, or closes it and fails.
func lockFile(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	return nil
}

// awaitLock takes the lock, waiting for a dying predecessor.
func awaitLock(ctx context.Context, dir string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		file, err := lockDir(dir)
		if !errors.Is(err, errLocked) {
			return file, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("locking %s: %w; stop that process or choose another directory", dir, err)
		case <-ticker.C:
		}
	}
}

// clearStalePid removes a postmaster.pid whose process is gone.
//
// PostgreSQL does so itself unless the number has been given to another
// process meanwhile, as happens whenever a container starts again; then it
// refuses to start. The caller holds the directory's lock, so only a server
// that somebody started by hand on the same data can still be alive: that one
// works in the data directory.
func clearStalePid(data string) error {
	name := filepath.Join(data, "postmaster.pid")
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the server's lock file: %w", err)
	}
	pid, _, _ := strings.Cut(string(text), "\n")
	if _, err := strconv.Atoi(pid); err == nil {
		cwd, err := os.Readlink(filepath.Join("/proc", pid, "cwd"))
		if err == nil && cwd == data {
			return fmt.Errorf("process %s is a PostgreSQL server on %s that was started by other means; stop it first", pid, data)
		}
	}
	if err := os.Remove(name); err != nil {
		return fmt.Errorf("removing the stale server lock file: %w", err)
	}
	return nil
}
