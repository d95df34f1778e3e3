package attest

import (
	"fmt"

	"github.com/reprosign/reprosign/attest/canonical"
)

// SignatureKind is what an OpenPGP signature is made over.
type SignatureKind string

// DetachedBinary is an OpenPGP signature of type 0x00 over a file's bytes.
const DetachedBinary SignatureKind = "detached-binary"

// SignaturesMade is the signer's signed word that the device made these
// signatures on this decision (design §2.7): one per release and certificate,
// logged, so that the device's own count can be explained.
type SignaturesMade struct {
	Signer      string
	Release     Digest
	Decision    Digest
	LogIndex    int64  // of the decision
	Certificate string // fingerprint of the signing key, 40 upper-case hexadecimal digits
	Kind        SignatureKind
	Signatures  []ArtifactSignature // in the order of the artifact set
}

// ArtifactSignature names one signature by the digest of its binary packet.
type ArtifactSignature struct {
	Artifact  string
	SHA512    Digest512 // of the artifact
	Signature Digest
}

const fingerprintSize = 40

// CheckFingerprint reports why s is not the fingerprint of a v4 OpenPGP key.
func CheckFingerprint(s string) error {
	if len(s) != fingerprintSize {
		return malformed("fingerprint of %d characters, want %d", len(s), fingerprintSize)
	}
	for i := range len(s) {
		if c := s[i]; !(c >= '0' && c <= '9' || c >= 'A' && c <= 'F') {
			return malformed("fingerprint %q is not upper-case hexadecimal", s)
		}
	}
	return nil
}

// Check reports why the statement is not well-formed.
func (m SignaturesMade) Check() error {
	if err := CheckName(m.Signer); err != nil {
		return fmt.Errorf("signatures made: signer: %w", err)
	}
	if err := CheckFingerprint(m.Certificate); err != nil {
		return fmt.Errorf("signatures made: %w", err)
	}
	if m.Release.IsZero() || m.Decision.IsZero() || m.LogIndex < 0 || m.LogIndex > maxSerial || m.Kind != DetachedBinary {
		return fmt.Errorf("signatures made: %w", malformed("release, decision, log index or kind missing"))
	}
	if len(m.Signatures) == 0 || len(m.Signatures) > MaxArtifacts {
		return fmt.Errorf("signatures made: %w", malformed("%d signatures, 1 to %d allowed", len(m.Signatures), MaxArtifacts))
	}
	for i, s := range m.Signatures {
		if err := CheckArtifactName(s.Artifact); err != nil {
			return fmt.Errorf("signatures made: %w", err)
		}
		if s.SHA512.IsZero() || s.Signature.IsZero() || i > 0 && m.Signatures[i-1].Artifact >= s.Artifact {
			return fmt.Errorf("signatures made: %w", malformed("signature of %q lacks a digest or is out of order", s.Artifact))
		}
	}
	return nil
}

// Encode returns the payload of a valid statement.
func (m SignaturesMade) Encode() ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	return writeStatement(m.walk)
}

func (m *SignaturesMade) walk(w *canonical.Walk) {
	canonical.Word(w, beginStatement+`{"certificate":`, &m.Certificate)
	canonical.Word(w, `,"kind":`, &m.Kind)
	canonical.Number(w, `,"logIndex":`, &m.LogIndex)
	w.Hex(`,"release":`, m.Release[:])
	canonical.List(w, `,"signatures":`, &m.Signatures, func(s *ArtifactSignature) {
		canonical.Word(w, `{"artifact":`, &s.Artifact)
		w.Hex(`,"artifactSHA512":`, s.SHA512[:])
		w.Hex(`,"signature":`, s.Signature[:])
		w.Text(`}`)
	})
	canonical.Word(w, `,"signer":`, &m.Signer)
	w.Hex(`},"predicateType":"`+SignaturesMadeType+oneSubject, m.Decision[:])
	w.Text(`},"name":"decision"}]}`)
}

// Seal signs the statement with a statement key.
func (m SignaturesMade) Seal(key SigningKey) (*Envelope, error) {
	return seal("signatures made", m.Signer, key, m.Encode)
}

// ParseSignaturesMade reads a statement's payload, whose envelope somebody else verified.
func ParseSignaturesMade(payload []byte) (SignaturesMade, error) {
	return parse[SignaturesMade]("signatures made", payload)
}

// OpenSignaturesMade verifies a statement under the statement key it names.
func OpenSignaturesMade(e *Envelope, signers Keys) (SignaturesMade, error) {
	return open("signatures made", e, ParseSignaturesMade, func(m SignaturesMade) string { return m.Signer }, signers)
}
