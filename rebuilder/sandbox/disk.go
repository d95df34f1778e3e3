package sandbox

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"
)

// Between two looks at what a build wrote: at least diskInterval, and so much that looking takes a small part of the time.
const (
	diskInterval = 2 * time.Second
	diskShare    = 20
)

// watchDisk closes the returned channel when the writable mounts hold more than limit bytes.
func watchDisk(ctx context.Context, mounts []Mount, limit int64) <-chan struct{} {
	full := make(chan struct{})
	go func() {
		wait := diskInterval
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			began := time.Now()
			// A tree that changes while it is walked is the normal case: what cannot be read now is counted at the end.
			if used, _ := diskUse(mounts); used > limit {
				close(full)
				return
			}
			wait = max(diskInterval, diskShare*time.Since(began))
		}
	}()
	return full
}

// diskUse sums the blocks under the writable mounts. A file with several names counts each time: it errs on the safe side.
func diskUse(mounts []Mount) (total int64, err error) {
	for _, m := range mounts {
		if !m.Writable {
			continue
		}
		walkErr := filepath.WalkDir(m.Host, func(_ string, d fs.DirEntry, err error) error {
			if d == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				// At level userns a build can hide files from the agent in a directory that it made unreadable. Then only
				// the file system's own size bounds them.
				return nil
			}
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return nil //nolint:nilerr // it vanished
			}
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				total += stat.Blocks * 512
			}
			return nil
		})
		err = errors.Join(err, walkErr)
	}
	return total, err
}
