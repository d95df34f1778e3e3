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
	"github.com/reprosign/reprosign/internal/durable"
	"github.com/reprosign/reprosign/rebuilder/backend"
)

// Spool is an agent's memory on disk, one directory per release:
//
//	<release id>/task.json      the task, made durable before the build begins
//	<release id>/vote.json      the sealed statement with its artifact list
//	<release id>/receipt.json   the coordinator's receipt or rejection
//	<release id>/decision.json  a decision that does not list the statement
//	<release id>/complaint.json the complaint about that, with its proof
//	<release id>/published.json where the log shows the complaint
//	<release id>/out/           the outputs
//	<release id>/evidence/, inputs.json, log   what explains them
//	policies/                   the policies that the agent knows
//
// A release that was started and has no vote was interrupted: the agent
// reports infra-error for it and never builds it again, so that it can never
// sign a second set for one release. What is in a spool is under embargo until
// its release is decided, so nobody but the agent's user can enter it.
type Spool struct {
	dir  string
	lock *os.File

	learning sync.Mutex // of policies, one at a time

	mu       sync.Mutex
	pending  map[attest.Digest]pending       // by statement, without receipt
	messages map[attest.Digest]attest.Digest // message → statement, of the same
	lacking  map[attest.Digest]attest.Digest // statement → release whose decision does not list it
	unheard  map[attest.Digest]bool          // releases with a complaint that the log does not show
}

// pending is a statement without receipt.
type pending struct {
	release attest.Digest
	message attest.Digest
	since   time.Time // zero for those of an earlier run
}

const (
	taskFile    = "task.json"
	voteFile    = "vote.json"
	receiptFile = "receipt.json"
	outputsDir  = "out"
	evidenceDir = "evidence"
	inputsFile  = "inputs.json"
	logFile     = "log"

	spoolMode = 0o700
	fileMode  = 0o600
)

// OpenSpool opens or creates a spool that nobody else has open. A file that
// cannot be read is an error that names it and its release.
func OpenSpool(dir string) (*Spool, error) {
	if err := makePrivate(dir); err != nil {
		return nil, fmt.Errorf("opening spool: %w", err)
	}
	lock, err := durable.OpenAppend(filepath.Join(dir, "lock"), fileMode)
	if errors.Is(err, durable.ErrInUse) {
		return nil, fmt.Errorf("opening spool %s: %w; give each agent its own", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening spool: %w", err)
	}
	s := &Spool{dir: dir, lock: lock, pending: map[attest.Digest]pending{}, messages: map[attest.Digest]attest.Digest{}, unheard: map[attest.Digest]bool{}, lacking: map[attest.Digest]attest.Digest{}}
	if err := errors.Join(s.removeHalves(), s.each(s.load)); err != nil {
		return nil, errors.Join(fmt.Errorf("opening spool %s: %w", dir, err), lock.Close())
	}
	return s, nil
}

// makePrivate makes dir, or closes to others what is there already.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, spoolMode); err != nil {
		return err
	}
	if err := os.Chmod(dir, spoolMode); err != nil {
		return err
	}
	return syncDir(filepath.Dir(filepath.Clean(dir)))
}

// Close gives the spool up.
func (s *Spool) Close() error { return s.lock.Close() }

// load reads what a release still owes.
func (s *Spool) load(release attest.Digest) error {
	if err := s.loadComplaint(release); err != nil {
		return err
	}
	if answered, err := s.has(release, receiptFile); answered || err != nil {
		return err
	}
	v, err := s.Message(release)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = s.Task(release)
		return err
	}
	if err != nil {
		return err
	}
	s.await(release, v, time.Time{})
	return nil
}

// await notes that a statement has no receipt.
func (s *Spool) await(release attest.Digest, v bus.EncodedVote, since time.Time) {
	statement, message := v.Statement(), attest.SHA256(v.Data())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[statement] = pending{release, message, since}
	s.messages[message] = statement
}

// Replay makes the agent ask again for the receipts of all statements that the
// spool holds, and so send those again that the coordinator does not know. It
// is for a coordinator that was restored from a backup.
func (s *Spool) Replay() error {
	return s.each(func(release attest.Digest) error {
		v, err := s.Message(release)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		s.await(release, v, time.Time{})
		return nil
	})
}

// Begun tells whether a release was started here before, now or before a restart.
func (s *Spool) Begun(release attest.Digest) (bool, error) { return s.has(release, taskFile) }

// Start makes durable that a release is being built. It refuses to start one twice.
func (s *Spool) Start(release attest.Digest, task bus.Task) error {
	begun, err := s.Begun(release)
	if err != nil {
		return err
	}
	if begun {
		return fmt.Errorf("release %s was started before", release)
	}
	for _, name := range []string{outputsDir, evidenceDir} {
		if err := os.MkdirAll(s.path(release, name), spoolMode); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
	}
	data, err := bus.EncodeTask(task)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return s.write(release, taskFile, data)
}

// Task returns the task of a release that was started.
func (s *Spool) Task(release attest.Digest) (bus.Task, error) {
	return read(s, release, taskFile, func(data []byte) (bus.Task, error) {
		t, err := bus.DecodeTask(data)
		if err == nil && t.Opening.Digest() != release {
			err = errors.New("it holds the task of another release")
		}
		return t, err
	})
}

// Outputs returns the directory for the copies of a release's outputs.
func (s *Spool) Outputs(release attest.Digest) string { return s.path(release, outputsDir) }

// Evidence returns the directory for what the build left to explain them.
func (s *Spool) Evidence(release attest.Digest) string { return s.path(release, evidenceDir) }

// Log creates the file for a release's build log.
func (s *Spool) Log(release attest.Digest) (*os.File, error) {
	return os.OpenFile(s.path(release, logFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|unix.O_NOFOLLOW, fileMode)
}

// PutInputs keeps a release's input manifest, whose digest its statement holds.
func (s *Spool) PutInputs(release attest.Digest, in backend.Inputs) error {
	data, err := in.Encode()
	if err != nil {
		return err
	}
	return s.write(release, inputsFile, data)
}

// Put makes a sealed statement durable, as it is sent. A release has one: a
// second is refused.
func (s *Spool) Put(release attest.Digest, v bus.EncodedVote) error {
	exists, err := s.has(release, voteFile)
	if err != nil {
		return err
	}
	if exists {
		return fmt.Errorf("release %s has a statement already", release)
	}
	if err := s.write(release, voteFile, v.Data()); err != nil {
		return err
	}
	s.await(release, v, time.Now())
	return nil
}

// Message returns the statement of a release as it is sent, fs.ErrNotExist if
// there is none.
func (s *Spool) Message(release attest.Digest) (bus.EncodedVote, error) {
	v, err := s.Vote(release)
	if err != nil {
		return bus.EncodedVote{}, err
	}
	return bus.EncodeVote(v)
}

// Vote returns the statement of a release, fs.ErrNotExist if there is none.
func (s *Spool) Vote(release attest.Digest) (bus.Vote, error) {
	return read(s, release, voteFile, func(data []byte) (bus.Vote, error) {
		v, err := bus.DecodeVote(data)
		if err != nil {
			return v, err
		}
		r, err := attest.ParseRebuild(v.Envelope.Payload)
		if err == nil && r.Release != release {
			err = errors.New("it holds the statement on another release")
		}
		return v, err
	})
}

// Pending returns the statements that have waited for a receipt for at least
// quiet, those of an earlier run included, and their releases.
func (s *Spool) Pending(quiet time.Duration) map[attest.Digest]attest.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[attest.Digest]attest.Digest, len(s.pending))
	for statement, p := range s.pending {
		if time.Since(p.since) >= quiet {
			out[statement] = p.release
		}
	}
	return out
}

// Waiting reports whether a statement of this spool has no receipt.
func (s *Spool) Waiting(statement attest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.pending[statement]
	return ok
}

// Acknowledge keeps the receipt or rejection that ends the duty to send a
// statement, which it names by its digest or, if the coordinator could not
// read it, by that of the message. It reports whether one of this spool's was
// waiting for it. After a replay the first receipt is kept.
func (s *Spool) Acknowledge(what attest.Digest, receipt *attest.Envelope) (bool, error) {
	s.mu.Lock()
	if statement, ok := s.messages[what]; ok {
		what = statement
	}
	p, ok := s.pending[what]
	s.mu.Unlock()
	if !ok {
		return false, nil
	}
	kept, err := s.has(p.release, receiptFile)
	if err != nil {
		return true, err
	}
	if !kept {
		data, err := receipt.Encode()
		if err != nil {
			return true, err
		}
		if err := s.write(p.release, receiptFile, data); err != nil {
			return true, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, what)
	delete(s.messages, p.message)
	return true, nil
}

// Interrupted returns the releases that were started and have no statement.
func (s *Spool) Interrupted() ([]attest.Digest, error) {
	var out []attest.Digest
	err := s.each(func(release attest.Digest) error {
		signed, err := s.has(release, voteFile)
		if err == nil && !signed {
			out = append(out, release)
		}
		return err
	})
	return out, err
}
