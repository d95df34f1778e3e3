package backend

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/reprosign/reprosign/attest"
)

const (
	// MaxOutputBytes bounds the sum of all artifacts of one build. Debian's largest source gives some 20 GB.
	MaxOutputBytes = 64 << 30

	maxEvidence      = 16
	maxEvidenceBytes = 64 << 20
)

// Collect opens, parses and hashes the files in dir, each in one pass, and copies them to keep unless that is empty. The
// build's processes must be dead. Everything in dir must be a regular file with a usable name: a symbolic link, a device
// or a directory is refused, since rebuilders could take it for different things.
func Collect(dir, keep string) (attest.Artifacts, []attest.State, error) {
	set, states, err := collect(dir, keep, attest.MaxArtifacts, MaxOutputBytes)
	if err != nil {
		return nil, nil, err
	}
	if len(set) == 0 {
		return nil, nil, failure(attest.BuildFailed, "%w", attest.ErrNoArtifacts)
	}
	if err := set.Check(); err != nil {
		return nil, nil, failure(attest.BuildFailed, "%w", err)
	}
	return set, states, nil
}

func collectEvidence(dir, keep string) (attest.Artifacts, error) {
	set, _, err := collect(dir, keep, maxEvidence, maxEvidenceBytes)
	if err != nil {
		return nil, fmt.Errorf("collecting evidence: %w", err)
	}
	return set, nil
}

func collect(dir, keep string, maxFiles int, maxBytes int64) (attest.Artifacts, []attest.State, error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("looking at the output directory: %w", err)
	}
	// A root agent could read it all the same, and would then vote where others cannot.
	if info.Mode()&0o500 != 0o500 {
		return nil, nil, failure(attest.BuildFailed, "the build made its output directory unreadable (%v)", info.Mode())
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the output directory: %w", err)
	}
	defer root.Close()
	names, err := outputNames(root, maxFiles)
	if err != nil {
		return nil, nil, err
	}
	var set attest.Artifacts
	var states []attest.State
	left := maxBytes
	for _, name := range names {
		a, state, err := collectFile(root, name, keep, left)
		if err != nil {
			return nil, nil, err
		}
		left -= a.Size
		set, states = append(set, a), append(states, state)
	}
	return set, states, nil
}

// outputNames lists the directory, sorted by name. It reads no more names than the limit allows.
func outputNames(root *os.Root, limit int) ([]string, error) {
	d, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("opening the output directory: %w", err)
	}
	defer d.Close()
	entries, err := d.ReadDir(limit + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("listing the output directory: %w", err)
	}
	if len(entries) > limit {
		return nil, failure(attest.BuildFailed, "more than %d output files", limit)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if err := attest.CheckArtifactName(e.Name()); err != nil {
			return nil, failure(attest.BuildFailed, "output file: %w", err)
		}
		if !e.Type().IsRegular() {
			return nil, failure(attest.BuildFailed, "output %q is not a regular file but %v", e.Name(), e.Type())
		}
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}

func collectFile(root *os.Root, name, keep string, left int64) (attest.Artifact, attest.State, error) {
	if info, err := root.Lstat(name); err != nil || info.Mode()&0o400 == 0 {
		return attest.Artifact{}, nil, failure(attest.BuildFailed, "output %q is unreadable", name)
	}
	// O_NONBLOCK keeps a named pipe from blocking; the second look at the type is on what was opened.
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return attest.Artifact{}, nil, failure(attest.BuildFailed, "opening output: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return attest.Artifact{}, nil, fmt.Errorf("looking at output %q: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return attest.Artifact{}, nil, failure(attest.BuildFailed, "output %q is not a regular file", name)
	}
	if info.Size() > left {
		return attest.Artifact{}, nil, failure(attest.BuildFailed, "outputs up to %q are larger than the limit", name)
	}
	kind := Kind(f, info.Size())
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return attest.Artifact{}, nil, fmt.Errorf("reading output %q: %w", name, err)
	}
	var r io.Reader = f
	closeCopy := func() error { return nil }
	if keep != "" {
		out, err := os.OpenFile(filepath.Join(keep, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return attest.Artifact{}, nil, fmt.Errorf("keeping output: %w", err)
		}
		r, closeCopy = io.TeeReader(f, out), out.Close
	}
	a, state, err := attest.HashArtifact(r, name, kind)
	if err := errors.Join(err, closeCopy()); err != nil {
		return attest.Artifact{}, nil, fmt.Errorf("reading output: %w", err)
	}
	if a.Size != info.Size() {
		return attest.Artifact{}, nil, fmt.Errorf("output %q changed while it was read: a process of the build survives", name)
	}
	return a, state, nil
}
