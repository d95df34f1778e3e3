package rebuilder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/reprosign/reprosign/attest"
)

// How long a spool keeps what it holds (design §2.3, §3.1).
const (
	// KeepStatements is how long a statement stays after its receipt: a
	// coordinator that was restored from a backup may need it again.
	KeepStatements = 90 * 24 * time.Hour
	// KeepOutputs is how long outputs, evidence and log stay after the
	// deadline, by which the release was decided or never will be.
	KeepOutputs = 7 * 24 * time.Hour
)

// Clean removes what has been kept long enough. A statement without receipt is
// kept for ever, and so is one whose complaint the log does not show. What cannot be removed does not keep the rest.
func (s *Spool) Clean(now time.Time) error {
	return s.each(func(release attest.Digest) error {
		if err := s.cleanRelease(release, now); err != nil {
			return fmt.Errorf("cleaning release %s: %w", release, err)
		}
		return nil
	})
}

func (s *Spool) cleanRelease(release attest.Digest, now time.Time) error {
	receipt, err := os.Stat(s.path(release, receiptFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && now.Sub(receipt.ModTime()) > KeepStatements && !s.complaining(release) {
		return s.remove(release)
	}
	task, err := s.Task(release)
	if err != nil {
		return err
	}
	opening, err := attest.ParseOpening(task.Opening.Payload)
	if err != nil {
		return err
	}
	if now.Sub(opening.Deadline.Time()) <= KeepOutputs {
		return nil
	}
	var errs []error
	for _, name := range []string{outputsDir, evidenceDir, inputsFile, logFile} {
		errs = append(errs, os.RemoveAll(s.path(release, name)))
	}
	return errors.Join(errs...)
}
