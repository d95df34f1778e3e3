package witness

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/durable"
)

const (
	// keyFile names, in a witness's directory, the key that the memory belongs to.
	keyFile  = "witness"
	lockFile = "lock"
	// cosignedFile lists the origins of the logs that were ever cosigned: of these
	// there must be a checkpoint.
	cosignedFile = "cosigned"

	fileMode = 0o644
	dirMode  = 0o750
)

// Create makes a witness's directory, or makes an empty one its memory, for a
// key that has cosigned nothing yet. A directory that belongs to a key already
// is an error.
func Create(dir string, key attest.VerifierKey) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("creating the witness's memory: %w", err)
	}
	path := filepath.Join(dir, keyFile)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("creating the witness's memory: %s belongs to a witness already", dir)
	}
	if err := durable.Replace(path, []byte(key.String()+"\n"), fileMode); err != nil {
		return fmt.Errorf("creating the witness's memory: %w", err)
	}
	return nil
}

// memory is the directory: for each log a file with the last checkpoint that
// was cosigned, and its cosignature.
type memory struct {
	dir  string
	key  attest.VerifierKey
	lock *os.File

	mu       sync.Mutex
	cosigned []string // origins, as cosignedFile has them
}

func openMemory(dir string, key attest.VerifierKey) (*memory, error) {
	owner, err := os.ReadFile(filepath.Join(dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the witness's memory: %s holds none. If the key %s has never cosigned anything, run `reprosign witness init`; "+
			"if it has, find the directory, or make a new key: a witness that forgot would cosign any history", dir, key.Name())
	}
	if err != nil {
		return nil, fmt.Errorf("opening the witness's memory: %w", err)
	}
	if got := string(bytes.TrimSuffix(owner, []byte("\n"))); got != key.String() {
		return nil, fmt.Errorf("opening the witness's memory: %s belongs to key %.200s, not to %v", dir, got, key)
	}
	lock, err := durable.OpenAppend(filepath.Join(dir, lockFile), fileMode)
	if err != nil {
		return nil, fmt.Errorf("opening the witness's memory %s: %w", dir, err)
	}
	m := &memory{dir: dir, key: key, lock: lock}
	list, err := os.ReadFile(m.listPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // none yet, or of a time without it
		return nil, errors.Join(fmt.Errorf("opening the witness's memory: %w", err), m.close())
	}
	m.cosigned = strings.FieldsFunc(string(list), func(r rune) bool { return r == '\n' })
	return m, nil
}

func (m *memory) close() error { return m.lock.Close() }

// path returns the file of a log, named as it is called over HTTP.
func (m *memory) path(origin string) string {
	return filepath.Join(m.dir, name(origin)+".checkpoint")
}

func (m *memory) listPath() string { return filepath.Join(m.dir, cosignedFile) }

// mark lists a log among those that were cosigned. When it returns, the disk has it.
func (m *memory) mark(origin string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Contains(m.cosigned, origin) {
		return nil
	}
	list := slices.Concat(m.cosigned, []string{origin})
	if err := durable.Replace(m.listPath(), []byte(strings.Join(list, "\n")+"\n"), fileMode); err != nil {
		return fmt.Errorf("remembering log %q: %w", origin, err)
	}
	m.cosigned = list
	return nil
}

func (m *memory) marked(origin string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.cosigned, origin)
}

// name is what a log is called where its origin cannot stand.
func name(origin string) string {
	sum := attest.SHA256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// load returns the last checkpoint of a log that was cosigned, and nil if none
// was. What this witness did not cosign itself is an error, for the file was changed,
// and so is a file that is gone.
func (m *memory) load(origin string) (note []byte, c translog.Checkpoint, at attest.Time, err error) {
	note, err = os.ReadFile(m.path(origin))
	if errors.Is(err, fs.ErrNotExist) && !m.marked(origin) {
		return nil, translog.Checkpoint{}, 0, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, translog.Checkpoint{}, 0, fmt.Errorf("remembering log %q: %s is gone, and this witness has cosigned the log: "+
			"find the file as it was last, or make a new key: a witness that forgot would cosign any history", origin, m.path(origin))
	}
	if err != nil {
		return nil, translog.Checkpoint{}, 0, fmt.Errorf("remembering log %q: %w", origin, err)
	}
	own := translog.Witnesses{Keys: []attest.VerifierKey{m.key}, Quorum: 1}
	if at, _, err = own.Time(note); err != nil {
		return nil, translog.Checkpoint{}, 0, fmt.Errorf("remembering log %q: %s was changed: %w", origin, m.path(origin), err)
	}
	if c, err = translog.ReadForeign(note); err != nil || c.Origin != origin {
		return nil, translog.Checkpoint{}, 0, fmt.Errorf("remembering log %q: %s holds another checkpoint: %w", origin, m.path(origin), err)
	}
	return note, c, at, m.mark(origin) // a crash may have come before it
}

// store remembers a cosigned checkpoint. When it returns, the disk has it, and has
// it that there must be one.
func (m *memory) store(origin string, note []byte) error {
	if err := durable.Replace(m.path(origin), note, fileMode); err != nil {
		return fmt.Errorf("remembering log %q: %w", origin, err)
	}
	return m.mark(origin)
}
