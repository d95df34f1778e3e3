package rebuilder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
)

// How long a spool keeps what it holds (design §2.3, §3.1).
const (
	// KeepStatements is how long a statement stays after its receipt: a
	// coordinator that was restored from a backup may ask for it again.
	KeepStatements = 90 * 24 * time.Hour
	// KeepOutputs is how long outputs and log stay after the deadline, by which
	// the release was decided or never will be.
	KeepOutputs = 7 * 24 * time.Hour
)

// Spool is an agent's memory on disk, one directory per release:
//
//	<release id>/task.json      the task, made durable before the build begins
//	<release id>/vote.json      the sealed statement with its artifact list
//	<release id>/receipt.json   the coordinator's receipt or rejection
//	<release id>/out/, log      outputs and build log
//
// A release that was started and has no vote was interrupted: the agent
// reports infra-error for it and never builds it again, so that it can never
// sign a second set for one release.
type Spool struct {
	dir  string
	lock *os.File

	mu      sync.Mutex
	pending map[attest.Digest]attest.Digest // statement → release, without receipt
}

const (
	taskFile    = "task.json"
	voteFile    = "vote.json"
	receiptFile = "receipt.json"
	outputsDir  = "out"
	logFile     = "log"
)

// OpenSpool opens or creates a spool that nobody else has open.
func OpenSpool(dir string) (*Spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil { //nolint:gosec // a descriptor fits
		return nil, errors.Join(fmt.Errorf("spool %s is in use by another agent: %w; give each agent its own", dir, err), lock.Close())
	}
	s := &Spool{dir: dir, lock: lock, pending: map[attest.Digest]attest.Digest{}}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// Close gives the spool up.
func (s *Spool) Close() error { return s.lock.Close() }

func (s *Spool) load() error {
	return s.each(func(release attest.Digest) error {
		v, err := s.Vote(release)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !s.has(release, receiptFile) {
			s.pending[v.Envelope.Digest()] = release
		}
		return nil
	})
}

func (s *Spool) each(f func(attest.Digest) error) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("reading spool: %w", err)
	}
	for _, e := range entries {
		release, err := attest.ParseDigest(e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		if err := f(release); err != nil {
			return fmt.Errorf("spool of release %s: %w", release.Short(), err)
		}
	}
	return nil
}

func (s *Spool) path(release attest.Digest, name ...string) string {
	return filepath.Join(append([]string{s.dir, release.String()}, name...)...)
}

func (s *Spool) has(release attest.Digest, name string) bool {
	_, err := os.Stat(s.path(release, name))
	return err == nil
}

// Begun tells whether a release was started here before, now or before a restart.
func (s *Spool) Begun(release attest.Digest) bool { return s.has(release, taskFile) }

// Start makes durable that a release is being built. It refuses to start one twice.
func (s *Spool) Start(release attest.Digest, task bus.Task) error {
	if s.Begun(release) {
		return fmt.Errorf("release %s was started before", release.Short())
	}
	if err := os.MkdirAll(s.path(release, outputsDir), 0o700); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	data, err := bus.EncodeTask(task)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return s.write(release, taskFile, data)
}

// Task returns the task of a release that was started.
func (s *Spool) Task(release attest.Digest) (bus.Task, error) {
	data, err := os.ReadFile(s.path(release, taskFile))
	if err != nil {
		return bus.Task{}, err
	}
	return bus.DecodeTask(data)
}

// Outputs returns the directory for the copies of a release's outputs, and Log
// opens the file for its build log.
func (s *Spool) Outputs(release attest.Digest) string { return s.path(release, outputsDir) }

// Log creates the file for a release's build log.
func (s *Spool) Log(release attest.Digest) (*os.File, error) {
	return os.OpenFile(s.path(release, logFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
}

// Put makes a sealed statement durable. A release has one: a second is refused.
func (s *Spool) Put(release attest.Digest, v bus.Vote) error {
	if s.has(release, voteFile) {
		return fmt.Errorf("release %s has a statement already", release.Short())
	}
	data, err := bus.EncodeVote(v)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if err := s.write(release, voteFile, data); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[v.Envelope.Digest()] = release
	return nil
}

// Vote returns the statement of a release, fs.ErrNotExist if there is none.
func (s *Spool) Vote(release attest.Digest) (bus.Vote, error) {
	data, err := os.ReadFile(s.path(release, voteFile))
	if err != nil {
		return bus.Vote{}, err
	}
	return bus.DecodeVote(data)
}

// Pending returns the statements without receipt and their releases.
func (s *Spool) Pending() map[attest.Digest]attest.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[attest.Digest]attest.Digest, len(s.pending))
	for k, v := range s.pending {
		out[k] = v
	}
	return out
}

// Acknowledge keeps the receipt or rejection that ends the duty to send a
// statement. It reports whether the statement is one of this spool's.
func (s *Spool) Acknowledge(statement attest.Digest, receipt *attest.Envelope) (bool, error) {
	s.mu.Lock()
	release, ok := s.pending[statement]
	s.mu.Unlock()
	if !ok {
		return false, nil
	}
	data, err := receipt.Encode()
	if err != nil {
		return true, err
	}
	if err := s.write(release, receiptFile, data); err != nil {
		return true, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, statement)
	return true, nil
}

// Interrupted returns the releases that were started and have no statement.
func (s *Spool) Interrupted() ([]attest.Digest, error) {
	var out []attest.Digest
	err := s.each(func(release attest.Digest) error {
		if s.Begun(release) && !s.has(release, voteFile) {
			out = append(out, release)
		}
		return nil
	})
	return out, err
}

// Clean removes what has been kept long enough.
func (s *Spool) Clean(now time.Time) error {
	return s.each(func(release attest.Digest) error {
		receipt, err := os.Stat(s.path(release, receiptFile))
		if err != nil {
			return nil //nolint:nilerr // without a receipt everything is kept
		}
		if now.Sub(receipt.ModTime()) > KeepStatements {
			return os.RemoveAll(s.path(release))
		}
		task, err := s.Task(release)
		if err != nil {
			return err
		}
		opening, err := attest.ParseOpening(task.Opening.Payload)
		if err != nil {
			return err
		}
		if now.Sub(opening.Deadline.Time()) > KeepOutputs {
			return errors.Join(os.RemoveAll(s.path(release, outputsDir)), os.RemoveAll(s.path(release, logFile)))
		}
		return nil
	})
}

// write makes a file durable: complete or absent, whatever crashes.
func (s *Spool) write(release attest.Digest, name string, data []byte) error {
	dir := s.path(release)
	err := func() error {
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
		return errors.Join(syncDir(dir), syncDir(s.dir))
	}()
	if err != nil {
		return fmt.Errorf("writing %s of release %s to the spool: %w", name, release.Short(), err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
