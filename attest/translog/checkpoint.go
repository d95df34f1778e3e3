package translog

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
)

// Limits of checkpoints.
const (
	// MaxCheckpoint bounds a signed checkpoint, in bytes: room for the log's
	// signature and 16 cosignatures of the largest kind.
	MaxCheckpoint = 64 << 10
	// MaxTreeSize is the largest integer that JSON numbers keep exact; it also
	// keeps package tlog's arithmetic far from overflow, where it would not end.
	MaxTreeSize = 1<<53 - 1
	// MaxOrigin bounds an origin, in bytes.
	MaxOrigin = 253
)

// emptyRoot is the root of the tree without leaves: SHA-256 of nothing.
var emptyRoot = tlog.Hash(attest.SHA256(nil))

// Checkpoint is the state of a log: its unique name, how many entries it has
// and the hash over them all.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
}

// CheckOrigin reports why s cannot be a log's origin: it must be a bare host
// name in lower case, without port and path. Stock cosign takes origin and
// key name from the host name of the log's URL.
func CheckOrigin(s string) error {
	if s == "" || len(s) > MaxOrigin {
		return malformed("log origin of %d bytes, 1 to %d allowed", len(s), MaxOrigin)
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return malformed("log origin %.80q is not a bare host name in lower case", s)
		}
	}
	return nil
}

func (c Checkpoint) check() error {
	if err := CheckOrigin(c.Origin); err != nil {
		return err
	}
	if c.Size < 0 || c.Size > MaxTreeSize {
		return malformed("tree size %d, 0 to %d allowed", c.Size, int64(MaxTreeSize))
	}
	if c.Size == 0 && c.Root != emptyRoot {
		return malformed("empty tree with the root of another")
	}
	return nil
}

// text is what the log signs: three lines and no extension lines.
func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
}

// Sign returns the checkpoint as a signed note. The key is Ed25519 and its
// name is the origin. Sign a checkpoint only when its tree is committed: a
// signature given out cannot be taken back.
func (c Checkpoint) Sign(key attest.SigningKey) ([]byte, error) {
	if err := checkLogKey(key.VerifierKey); err != nil {
		return nil, fmt.Errorf("signing checkpoint: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("signing checkpoint: %w", err)
	}
	if c.Origin != key.Name() {
		return nil, fmt.Errorf("signing checkpoint: origin is %q, key is of %q", c.Origin, key.Name())
	}
	signed, err := note.Sign(&note.Note{Text: c.text()}, noteSigner{key})
	if err != nil {
		return nil, fmt.Errorf("signing checkpoint: %w", err)
	}
	return signed, nil
}

// OpenCheckpoint verifies a signed note under the log's key, whose name is the
// origin, and returns the checkpoint in it. Signature lines of other keys are skipped.
func OpenCheckpoint(signed []byte, key attest.VerifierKey) (Checkpoint, error) {
	c, err := openCheckpoint(signed, key)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("opening checkpoint: %w", err)
	}
	return c, nil
}

func openCheckpoint(signed []byte, key attest.VerifierKey) (Checkpoint, error) {
	if err := checkLogKey(key); err != nil {
		return Checkpoint{}, err
	}
	text, err := openNote(signed, key.Name(), key)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := parseText(text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != key.Name() {
		return Checkpoint{}, fmt.Errorf("checkpoint of log %q, want %q", c.Origin, key.Name())
	}
	return c, nil
}

// openNote verifies that one of the keys signed a note of the log, and returns its text.
func openNote(signed []byte, log string, keys ...attest.VerifierKey) (string, error) {
	opened, err := openSigned(signed, log, keys)
	if err != nil {
		return "", err
	}
	return opened.Text, nil
}

func openSigned(signed []byte, log string, keys []attest.VerifierKey) (*note.Note, error) {
	if len(signed) > MaxCheckpoint {
		return nil, malformed("%d bytes, at most %d allowed", len(signed), MaxCheckpoint)
	}
	verifiers := make([]note.Verifier, len(keys))
	for i, k := range keys {
		verifiers[i] = noteVerifier{k}
	}
	opened, err := note.Open(signed, note.VerifierList(verifiers...))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		return nil, fmt.Errorf("%w: no signature of log %q", attest.ErrBadSignature, log)
	case errors.As(err, &invalid):
		return nil, fmt.Errorf("%w of log %q", attest.ErrBadSignature, log)
	case err != nil:
		return nil, malformed("%w", err)
	}
	return opened, nil
}

func parseText(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, malformed("checkpoint has other lines than origin, size and root")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return Checkpoint{}, malformed("tree size %.20q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, malformed("root hash %.50q", lines[2])
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: root}
	if err := c.check(); err != nil {
		return Checkpoint{}, err
	}
	// ParseInt and ParseHash take more than one spelling.
	if c.text() != text {
		return Checkpoint{}, malformed("size or root of the checkpoint in another spelling than the canonical one")
	}
	return c, nil
}

func checkLogKey(key attest.VerifierKey) error {
	if key.Algorithm() != attest.Ed25519 {
		return fmt.Errorf("log key of %q is %v, must be %v", key.Name(), key.Algorithm(), attest.Ed25519)
	}
	return CheckOrigin(key.Name())
}

// noteVerifier and noteSigner are attest's keys in the terms of package note.
type noteVerifier struct{ attest.VerifierKey }

func (v noteVerifier) KeyHash() uint32 { return v.ID() }
func (v noteVerifier) Verify(msg, signature []byte) bool {
	return v.VerifierKey.Verify(msg, signature) == nil
}

type noteSigner struct{ attest.SigningKey }

func (s noteSigner) KeyHash() uint32 { return s.ID() }

// LogID returns the full identifier of a log that Sigstore bundles and trusted
// roots carry: SHA-256(name ‖ LF ‖ 0x01 ‖ public key), whose first four bytes
// are the key id.
func LogID(key attest.VerifierKey) (attest.Digest, error) {
	if err := checkLogKey(key); err != nil {
		return attest.Digest{}, err
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return attest.Digest{}, fmt.Errorf("log key of %q is a %T", key.Name(), key.Public())
	}
	return attest.SHA256(slices.Concat([]byte(key.Name()+"\n"), []byte{byte(attest.Ed25519)}, public)), nil
}
