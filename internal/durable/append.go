package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// ErrInUse says that another process holds the file.
var ErrInUse = errors.New("in use by another process")

// OpenAppend opens the file at path, or makes it, for one process alone: whoever
// else asks before it is closed gets [ErrInUse]. Writes go to the end. That the
// file is there survives a crash from now on; what is written does after a Sync.
func OpenAppend(path string, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, errors.Join(err, f.Close())
	}
	if err := syncDirectory(path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// syncDirectory puts the name of a file on the disk.
func syncDirectory(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
