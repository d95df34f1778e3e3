package promise

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/durable"
)

const (
	fileName = "promises.jsonl"
	fileMode = 0o600
)

// file is the book's file, held by one process.
type file struct {
	f    *os.File
	last attest.Digest // the sum of the last line
}

func openFile(path string) (*file, error) {
	f, err := durable.OpenAppend(path, fileMode)
	if err != nil {
		return nil, err
	}
	return &file{f: f, last: attest.SHA256([]byte(form))}, nil
}

// load hands over all lines and cuts off a torn one at the end. It returns how
// many bytes that was.
func (c *file) load(take func(line) error) (cut int64, err error) {
	info, err := c.f.Stat()
	if err != nil {
		return 0, err
	}
	var whole int64
	lines := bufio.NewScanner(io.NewSectionReader(c.f, 0, info.Size()))
	lines.Buffer(make([]byte, 0, 1<<16), maxLine)
	lines.Split(upToEnd)
	for n := 1; lines.Scan(); n++ {
		data := lines.Bytes()
		end := whole + int64(len(data))
		if end == info.Size() && torn(data) {
			break
		}
		l, err := parse(c.last, bytes.TrimSuffix(data, []byte{'\n'}))
		if err == nil {
			err = take(l)
		}
		if err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		whole, c.last = end, l.Sum
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if whole == info.Size() {
		return 0, nil
	}
	if err := c.f.Truncate(whole); err != nil {
		return 0, err
	}
	return info.Size() - whole, c.f.Sync()
}

// upToEnd splits into lines that keep their ends. The last may have none.
func upToEnd(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// torn reports whether a write of a line was interrupted: its end is missing, or
// pages that never reached the disk are zero. No whole line holds a zero.
func torn(data []byte) bool {
	return !bytes.HasSuffix(data, []byte{'\n'}) || bytes.IndexByte(data, 0) >= 0
}

// append adds a line and returns when it is on disk.
func (c *file) append(promises []entry) error {
	data, own, err := encode(c.last, promises)
	if err != nil {
		return err
	}
	if _, err := c.f.Write(data); err != nil {
		return err
	}
	if err := c.f.Sync(); err != nil {
		return err
	}
	c.last = own
	return nil
}
