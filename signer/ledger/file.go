package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/durable"
)

const (
	fileMode = 0o600
	// maxLine bounds a line of the file, in bytes. The longest is the head, with all
	// policies before the pinned one, as many as the bus hands over.
	maxLine = 64 << 20
	// fileForm is the form of the file, for a reader of another one.
	fileForm = 1
)

// line is one line of the file: exactly one of its members is there.
type line struct {
	Head  *head          `json:"head,omitzero"`
	Fact  *translog.Fact `json:"fact,omitzero"`
	Proof *proof         `json:"proof,omitzero"`
}

// head is the first line: what the rest depends on.
type head struct {
	Form   int           `json:"form"`
	Pinned attest.Digest `json:"pinned"` // the policy
	// History are the policies before the pinned one, the newest first.
	History []*attest.Envelope `json:"history,omitzero"`
}

// proof ends a stretch of facts: the checkpoint that they were verified under,
// and the digest of the whole file before this line.
type proof struct {
	Checkpoint []byte        `json:"checkpoint"`
	File       attest.Digest `json:"file"`
}

// file is the ledger's file, held by one process.
type file struct {
	f   *os.File
	w   *bufio.Writer
	sum hash.Hash // of all bytes so far
}

// openFile opens the file, or makes it, and takes its lock.
func openFile(path string) (*file, error) {
	f, err := durable.OpenAppend(path, fileMode)
	if err != nil {
		return nil, err
	}
	return &file{f: f, w: bufio.NewWriterSize(f, 1<<20), sum: sha256.New()}, nil
}

// load hands over the lines up to the last proof and cuts off what follows it.
// It returns how many bytes that was.
func (c *file) load(take func(line) error) (cut int64, err error) {
	proven, err := c.lastProof()
	if err != nil {
		return 0, err
	}
	if _, err := c.f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	lines := bufio.NewReaderSize(io.LimitReader(c.f, proven), 1<<20)
	for n := 1; ; n++ {
		data, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		var l line
		if err := json.Unmarshal(data, &l, json.RejectUnknownMembers(true)); err != nil {
			return 0, fmt.Errorf("line %d is damaged: %w", n, err)
		}
		if l.Proof != nil && l.Proof.File != attest.Digest(c.sum.Sum(nil)) {
			return 0, fmt.Errorf("line %d: the lines before it are not those that were written", n)
		}
		if err := take(l); err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		c.sum.Write(data)
	}
	end, err := c.f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	return end - proven, c.f.Truncate(proven)
}

// lastProof returns where the last whole line with a proof ends.
func (c *file) lastProof() (int64, error) {
	if _, err := c.f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	var at, proven int64
	lines := bufio.NewReaderSize(c.f, 1<<20)
	for {
		data, err := readLine(lines)
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
			return proven, nil
		}
		if err != nil {
			return 0, err
		}
		at += int64(len(data))
		if bytes.HasPrefix(data, []byte(`{"proof":`)) {
			proven = at
		}
	}
}

var errTorn = errors.New("line without end")

// readLine returns the next line with its end.
func readLine(r *bufio.Reader) ([]byte, error) {
	data, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		if errors.Is(err, io.EOF) && len(data) > 0 {
			return nil, errTorn
		}
		return data, err
	}
	long := bytes.Clone(data)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(long) > maxLine {
			return nil, fmt.Errorf("longer than %d bytes", maxLine)
		}
		data, err = r.ReadSlice('\n')
		long = append(long, data...)
	}
	if errors.Is(err, io.EOF) {
		return nil, errTorn
	}
	return long, err
}

// write appends a line. It is not on disk before [file.prove] returns.
func (c *file) write(l line) error {
	data, err := json.Marshal(l, json.Deterministic(true))
	if err != nil {
		return err
	}
	if len(data) >= maxLine {
		return fmt.Errorf("line of %d bytes, at most %d allowed", len(data), maxLine-1)
	}
	data = append(data, '\n')
	c.sum.Write(data)
	_, err = c.w.Write(data)
	return err
}

// prove ends the facts written so far with the checkpoint that they were
// verified under, and returns when all is on disk.
func (c *file) prove(checkpoint []byte) error {
	if err := c.write(line{Proof: &proof{Checkpoint: checkpoint, File: attest.Digest(c.sum.Sum(nil))}}); err != nil {
		return err
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	return c.f.Sync()
}

// empty makes the file as if it had just been made.
func (c *file) empty() error {
	c.w.Reset(c.f)
	c.sum.Reset()
	return c.f.Truncate(0)
}

func (c *file) close() error { return c.f.Close() }
