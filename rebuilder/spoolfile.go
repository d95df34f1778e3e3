package rebuilder

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/reprosign/reprosign/attest"
)

// removedPrefix marks a release's directory that is being removed. Without it a
// crash could leave a task without its statement, as if a build had been
// interrupted.
const removedPrefix = ".removed-"

func (s *Spool) path(release attest.Digest, name ...string) string {
	return filepath.Join(append([]string{s.dir, release.String()}, name...)...)
}

// has reports whether a file is there. A disk that cannot tell is an error: to
// take it for "no" could build a release twice.
func (s *Spool) has(release attest.Digest, name string) (bool, error) {
	_, err := os.Lstat(s.path(release, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking into the spool: %w", err)
	}
	return true, nil
}

// read reads and parses a file of a release. The error is fs.ErrNotExist if
// there is none, and else says what to do.
func read[T any](s *Spool, release attest.Digest, name string, parse func([]byte) (T, error)) (T, error) {
	data, err := os.ReadFile(s.path(release, name))
	if errors.Is(err, fs.ErrNotExist) {
		var none T
		return none, err
	}
	v, parseErr := parse(data)
	if err = errors.Join(err, parseErr); err != nil {
		return v, fmt.Errorf("%s of release %s is damaged: %w; restore it from a backup or, when the release's deadline has passed, move the directory %s away",
			name, release, err, s.path(release))
	}
	return v, nil
}

// each calls f for every release that was started, also when it fails for some.
func (s *Spool) each(f func(attest.Digest) error) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("reading spool: %w", err)
	}
	var errs []error
	for _, e := range entries {
		release, err := attest.ParseDigest(e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		begun, err := s.Begun(release)
		if err == nil && begun {
			err = f(release)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removeHalves removes what a crash left of releases that were not started yet
// or were being removed.
func (s *Spool) removeHalves() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("reading spool: %w", err)
	}
	for _, e := range entries {
		release, err := attest.ParseDigest(e.Name())
		half := strings.HasPrefix(e.Name(), removedPrefix)
		if err == nil && e.IsDir() {
			begun, err := s.Begun(release)
			if err != nil {
				return err
			}
			half = !begun
		}
		if !half {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.dir, e.Name())); err != nil {
			return fmt.Errorf("clearing spool: %w", err)
		}
	}
	return nil
}

// remove removes all of a release, or nothing, whatever crashes.
func (s *Spool) remove(release attest.Digest) error {
	s.mu.Lock()
	maps.DeleteFunc(s.pending, func(_ attest.Digest, p pending) bool { return p.release == release })
	maps.DeleteFunc(s.lacking, func(_, r attest.Digest) bool { return r == release })
	s.mu.Unlock()
	doomed := filepath.Join(s.dir, removedPrefix+release.String())
	if err := os.Rename(s.path(release), doomed); err != nil {
		return err
	}
	return errors.Join(syncDir(s.dir), os.RemoveAll(doomed))
}

// write makes a file of a release durable: complete or absent, whatever crashes.
func (s *Spool) write(release attest.Digest, name string, data []byte) error {
	if err := errors.Join(writeDurably(s.path(release), name, data), syncDir(s.dir)); err != nil {
		return fmt.Errorf("writing %s of release %s to the spool: %w", name, release, err)
	}
	return nil
}

// writeDurably writes a file of a directory: complete or not at all, whatever
// crashes, and once it returns for good.
func writeDurably(dir, name string, data []byte) error {
	f, err := os.CreateTemp(dir, "."+name+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
