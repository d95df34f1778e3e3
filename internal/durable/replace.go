// Package durable writes files that a crash leaves either as they were or as
// they were to become, and opens those that only grow.
//
//	err := durable.Replace("/var/lib/witness/log.checkpoint", note, 0o600)
//
// When Replace returns without an error the disk has the new content: only then
// may anybody be told of it. A file that grows is opened by [OpenAppend].
package durable

import (
	"errors"
	"os"
)

// Unfinished ends the name of a file that is being written beside the one it
// will replace. A crash may leave it behind; the next Replace takes its place.
const Unfinished = ".new"

// Replace puts data in the place of the file at path, whole or not at all, and
// returns when it is on the disk. Two at one time on one path are the caller's
// to prevent.
func Replace(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path+Unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+Unfinished, path); err != nil {
		return err
	}
	return syncDirectory(path)
}
