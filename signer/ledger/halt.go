package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/reprosign/reprosign/attest/translog"
)

// Errors that say why the ledger stands still. The signer decides and signs
// nothing meanwhile.
var (
	// ErrForked says that the log's key signed two histories, or signed one and
	// another is served. It holds until a person has removed the file that says so.
	ErrForked = translog.ErrForked
	// ErrShrunk says that the newest published checkpoint is smaller than one
	// that was verified before: a database put back, or a lie.
	ErrShrunk = errors.New("log has become shorter")
	// ErrMissingBody says that an envelope which an entry names is not served.
	ErrMissingBody = translog.ErrMissingBody
	// ErrOldPolicy says that entries are under policies older than any known.
	ErrOldPolicy = translog.ErrOldPolicy
	// ErrUnwitnessed says that fewer witnesses than the policy wants have
	// cosigned the newest checkpoint.
	ErrUnwitnessed = errors.New("checkpoint lacks cosignatures of the policy's witnesses")
	// ErrBadCheckpoint says that the newest checkpoint is not one of the log's key.
	ErrBadCheckpoint = errors.New("checkpoint is not the log's")
)

const (
	logName    = "log.jsonl"
	forkedName = "forked.txt"
)

// forked halts the ledger for good: what shows the fork is kept beside the file.
func (l *Ledger) forked(cause error, note []byte) error {
	text := fmt.Sprintf(`This signer has stopped: %v.

It decides and signs nothing until a person has found out why and removed this
file; docs/operations.md, "The signer has halted", says how. Keep a copy: the two
checkpoints below prove to anybody what the log's key signed.

Verified before:

%s
Served since, with other entries behind it:

%s`, cause, l.note, note)
	path := filepath.Join(l.directory, forkedName)
	if err := os.WriteFile(path, []byte(text), fileMode); err != nil {
		cause = errors.Join(cause, err)
	}
	return fmt.Errorf("%w; see %s", cause, path)
}

// checkForked reports a fork that an earlier run has met.
func checkForked(directory string) error {
	path := filepath.Join(directory, forkedName)
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: read %s, find out why, and remove it", ErrForked, path)
}
