package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// place is where the demo leaves things. Results are for everybody and stay;
// the work directory holds each party's keys and state, and goes at the end.
type place struct {
	results string
	work    string
}

const (
	publicDir  = 0o755
	publicFile = 0o644
	privateDir = 0o700
	// passableDir lets builds and PostgreSQL, which run as others when the demo
	// is root's, through to their own directories and see nothing else.
	passableDir = 0o711
)

// Names of what a verifier needs.
const (
	artifactsDir    = "artifacts"
	signaturesDir   = "signatures"
	evidenceDir     = "evidence"
	trustDir        = "trust"
	logsDir         = "logs"
	certificateFile = "certificate.pgp"
	summaryFile     = "summary.json"
	policyFile      = "policy.json"
	logKeyFile      = "log.vkey"
)

// commonUmask makes modes mean what they say: secrets have modes of their own.
const commonUmask = 0o022

func makePlace(results string) (*place, error) {
	syscall.Umask(commonUmask)
	// Not $TMPDIR: a database's socket has a path of at most 107 bytes.
	work, err := os.MkdirTemp("/tmp", "reprosign-demo-")
	if err != nil {
		return nil, fmt.Errorf("making a work directory: %w", err)
	}
	p := &place{results: results, work: work}
	if err := os.Chmod(work, passableDir); err != nil {
		return nil, fmt.Errorf("making a work directory: %w", err)
	}
	for _, dir := range []string{artifactsDir, signaturesDir, evidenceDir, trustDir, logsDir} {
		if err := os.MkdirAll(p.result(dir), publicDir); err != nil {
			return nil, fmt.Errorf("making a directory for the results: %w", err)
		}
	}
	return p, nil
}

// result returns a path below the results.
func (p *place) result(name ...string) string {
	return filepath.Join(append([]string{p.results}, name...)...)
}

// party returns the path of a party's own file; directory makes its directory.
func (p *place) party(name string, file ...string) string {
	return filepath.Join(append([]string{p.work, name}, file...)...)
}

func (p *place) directory(mode os.FileMode, name string) (string, error) {
	dir := p.party(name)
	if err := os.Mkdir(dir, mode); err != nil {
		return "", fmt.Errorf("making a directory of %s: %w", name, err)
	}
	return dir, nil
}

// remove takes the work directory away, keys and all.
func (p *place) remove() error { return os.RemoveAll(p.work) }

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, publicFile)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return fmt.Errorf("copying %s: %w", from, err)
	}
	return out.Close()
}

func writePublic(path string, data []byte) error {
	return os.WriteFile(path, data, publicFile)
}
