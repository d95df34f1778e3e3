package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
)

const (
	// maxEnvelopeFile is an envelope and the line end that editors leave.
	maxEnvelopeFile = attest.MaxEnvelope + 1
	// fileMode is that of what this command writes: all of it is public. Secrets
	// are written by internal/config.
	fileMode = 0o644
)

// readFile reads a whole file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(path, f, limit)
}

func readAll(name string, r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("reading %s: more than %d bytes", name, limit)
	}
	return data, nil
}

// openRegular opens a file that is neither a directory nor a device.
func openRegular(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading a file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("no regular file")
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, errors.Join(err, f.Close()))
	}
	return f, nil
}

// digestOf hashes a file of any size.
func digestOf(path string) (attest.Digest, error) {
	f, err := openRegular(path)
	if err != nil {
		return attest.Digest{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return attest.Digest{}, fmt.Errorf("hashing %s: %w", path, err)
	}
	return attest.Digest(h.Sum(nil)), nil
}

// readBundle reads evidence. What is no bundle at all does not verify.
func readBundle(path string) (*evidence.Bundle, error) {
	data, err := readFile(path, evidence.MaxBundle+1)
	if err != nil {
		return nil, err
	}
	b, err := evidence.Parse(bytes.TrimSuffix(data, []byte("\n")))
	if err != nil {
		return nil, &failure{code: exitUnverified, cause: fmt.Errorf("%s: %w", path, err)}
	}
	return b, nil
}

// creator opens new files for writing: an *os.Root, or the working directory.
type creator interface {
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
}

type anywhere struct{}

// OpenFile implements creator.
func (anywhere) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}

// writeFile writes a public file. It replaces one that is there only if force is set.
func writeFile(in creator, name string, data []byte, force bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := in.OpenFile(name, flags, fileMode)
	if errors.Is(err, fs.ErrExist) {
		return hinted(fmt.Errorf("writing %s: it exists already and is not replaced", name), "choose another place, or give --force")
	}
	if err != nil {
		return fmt.Errorf("writing a file: %w", err)
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}
