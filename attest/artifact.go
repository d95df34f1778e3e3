package attest

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/reprosign/reprosign/attest/canonical"
)

// Limits of artifact sets (design §3). Debian's largest source builds 521 artifacts.
const (
	MaxArtifacts    = 1024
	MaxArtifactName = 128
	// MaxArtifactSize is the largest integer that JSON numbers keep exact.
	MaxArtifactSize = 1<<53 - 1
	// MaxArtifactList bounds the canonical JSON of a full set, in bytes.
	MaxArtifactList = 512 << 10

	maxKind = 32
)

// Artifact is one immutable built file. Kind is what the bytes are (deb,
// pkg.tar.zst, rpm, sdist, wheel, executable, …), as parsed by the agent. Size
// is in bytes. Both digests are voted on: a SHA-512 state proves nothing about
// the SHA-256 (reference: a state of other content can stand beside a right SHA-256).
type Artifact struct {
	Kind   string    `json:"kind"`
	Name   string    `json:"name"`
	SHA256 Digest    `json:"sha256"`
	SHA512 Digest512 `json:"sha512"`
	Size   int64     `json:"size"`
}

// Artifacts is an artifact set: all files of one build, sorted by name.
type Artifacts []Artifact

// ErrNoArtifacts says that a build gave nothing to agree on.
var ErrNoArtifacts = errors.New("artifact set is empty")

// CheckArtifactName reports why s cannot name an artifact: it must be a plain
// file name in printable ASCII that starts with a letter or digit.
func CheckArtifactName(s string) error {
	if s == "" || len(s) > MaxArtifactName {
		return malformed("artifact name of %d bytes, 1 to %d allowed", len(s), MaxArtifactName)
	}
	if !printableASCII(s) || strings.ContainsAny(s, `/\`) {
		return malformed("artifact name %q holds a path separator, a space or a character outside printable ASCII", clip(s))
	}
	if c := s[0]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
		return malformed("artifact name %q does not start with a letter or digit", clip(s))
	}
	return nil
}

func (a Artifact) check() error {
	if err := CheckArtifactName(a.Name); err != nil {
		return err
	}
	if err := checkKind(a.Kind); err != nil {
		return malformed("artifact %q: %w", a.Name, err)
	}
	if a.Size < 0 || a.Size > MaxArtifactSize {
		return malformed("artifact %q: size %d", a.Name, a.Size)
	}
	if a.SHA256.IsZero() || a.SHA512.IsZero() {
		return malformed("artifact %q: digest missing", a.Name)
	}
	return nil
}

func checkKind(kind string) error {
	if kind == "" || len(kind) > maxKind || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		return malformed("kind %q", clip(kind))
	}
	return nil
}

// Check reports why the list is no artifact set: empty, too many, an
// impossible artifact, unsorted, or a name twice.
func (s Artifacts) Check() error {
	if len(s) == 0 {
		return fmt.Errorf("%w: %w", ErrMalformed, ErrNoArtifacts)
	}
	if len(s) > MaxArtifacts {
		return malformed("%d artifacts, at most %d allowed", len(s), MaxArtifacts)
	}
	for i, a := range s {
		if err := a.check(); err != nil {
			return err
		}
		if i > 0 && s[i-1].Name >= a.Name {
			return malformed("artifact %q is out of order or named twice", a.Name)
		}
	}
	return nil
}

// Sort puts the artifacts into the order of a set: by name, bytewise.
func (s Artifacts) Sort() {
	slices.SortFunc(s, func(a, b Artifact) int { return strings.Compare(a.Name, b.Name) })
}

// Encode returns the canonical JSON of a valid set.
func (s Artifacts) Encode() ([]byte, error) {
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("encoding artifact set: %w", err)
	}
	const each = 320 // bytes, if its name is not longer than most are
	return canonical.Append(make([]byte, 0, each*len(s)), s.Walk)
}

// Walk goes through the set within a message. Who reads one so has to
// [Artifacts.Check] it.
func (s *Artifacts) Walk(w *canonical.Walk) {
	canonical.List(w, "", (*[]Artifact)(s), func(a *Artifact) {
		canonical.Word(w, `{"kind":`, &a.Kind)
		canonical.Word(w, `,"name":`, &a.Name)
		w.Hex(`,"sha256":`, a.SHA256[:])
		w.Hex(`,"sha512":`, a.SHA512[:])
		canonical.Number(w, `,"size":`, &a.Size)
		w.Text(`}`)
	})
}

// SetDigest returns the digest that votes are about: the SHA-256 of [Artifacts.Encode].
func (s Artifacts) SetDigest() (Digest, error) {
	data, err := s.Encode()
	if err != nil {
		return Digest{}, err
	}
	return SHA256(data), nil
}

// ParseArtifacts reads an artifact set from canonical JSON.
func ParseArtifacts(data []byte) (Artifacts, error) {
	var s Artifacts
	if err := canonical.Read(data, MaxArtifactList, s.Walk); err != nil {
		return nil, fmt.Errorf("parsing artifact set: %w", err)
	}
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("parsing artifact set: %w", err)
	}
	return s, nil
}

// HashArtifact reads r to its end, once, and returns the artifact and its
// SHA-512 state. It needs constant memory whatever the size.
func HashArtifact(r io.Reader, name, kind string) (Artifact, State, error) {
	// Before the hours that a large file may take.
	if err := CheckArtifactName(name); err != nil {
		return Artifact{}, nil, err
	}
	if err := checkKind(kind); err != nil {
		return Artifact{}, nil, fmt.Errorf("artifact %q: %w", name, err)
	}
	h256, h512 := sha256.New(), sha512.New()
	size, err := io.Copy(io.MultiWriter(h256, h512), r)
	if err != nil {
		return Artifact{}, nil, fmt.Errorf("hashing artifact %q: %w", name, err)
	}
	a := Artifact{Kind: kind, Name: name, Size: size}
	h256.Sum(a.SHA256[:0])
	h512.Sum(a.SHA512[:0])
	state, err := stateOf(h512)
	if err != nil {
		return Artifact{}, nil, fmt.Errorf("hashing artifact %q: %w", name, err)
	}
	return a, state, nil
}

func stateOf(h hash.Hash) (State, error) {
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, errors.New("SHA-512 implementation cannot give its state")
	}
	return m.MarshalBinary()
}
