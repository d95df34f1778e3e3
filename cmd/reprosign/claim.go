package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/backend"
)

// saltDomain begins what a salt is the signature of. No statement begins so:
// those are signed behind "DSSEv1".
const saltDomain = "reprosign claim salt v1"

// saltOf derives the salt that hides a claim from the publisher's key: only its
// holder can make it, and the same request has the same bytes whenever it is
// made. Ed25519 signatures are deterministic (RFC 8032), and this one is never
// shown; the salt is its SHA-256.
func saltOf(key attest.SigningKey, r attest.Request, set attest.Digest) (attest.Digest, error) {
	if key.Algorithm() != attest.Ed25519 {
		return attest.Digest{}, fmt.Errorf("hiding the claim: the publisher's key is %v, must be %v", key.Algorithm(), attest.Ed25519)
	}
	// None of the words can hold a line break.
	message := strings.Join([]string{saltDomain, set.String(), r.Suite, r.Source, r.Version, r.Architecture}, "\n")
	signature, err := key.Sign([]byte(message))
	if err != nil {
		return attest.Digest{}, fmt.Errorf("hiding the claim: %w", err)
	}
	return attest.SHA256(signature), nil
}

// claimedSet hashes the candidate's files, as rebuilders hash what they built.
func claimedSet(files []string) (attest.Artifacts, error) {
	set := make(attest.Artifacts, 0, len(files))
	for _, path := range files {
		a, err := hashFile(path)
		if err != nil {
			return nil, err
		}
		set = append(set, a)
	}
	set.Sort()
	return set, set.Check()
}

func hashFile(path string) (attest.Artifact, error) {
	f, err := openRegular(path)
	if err != nil {
		return attest.Artifact{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return attest.Artifact{}, fmt.Errorf("reading %s: %w", path, err)
	}
	kind := backend.Kind(f, info.Size())
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return attest.Artifact{}, fmt.Errorf("reading %s: %w", path, err)
	}
	a, _, err := attest.HashArtifact(f, filepath.Base(path), kind)
	if err == nil && a.Size != info.Size() {
		err = errors.New("it changed while it was read")
	}
	if err != nil {
		return attest.Artifact{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return a, nil
}

// readSet reads an artifact set in canonical JSON, for candidates that are
// elsewhere.
func readSet(path string) (attest.Artifacts, error) {
	data, err := readFile(path, attest.MaxArtifactList+1)
	if err != nil {
		return nil, err
	}
	set, err := attest.ParseArtifacts(bytes.TrimSuffix(data, []byte("\n")))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return set, nil
}
