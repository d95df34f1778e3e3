package evidence

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
)

// MediaType is the media type of evidence bundles.
const MediaType = "application/vnd.reprosign.evidence.v1+json"

// Limits of bundles.
const (
	// MaxBundle bounds a bundle, in bytes. 1,024 artifacts, 7 votes and one
	// certificate make about 2 MiB; the rest is room for the other limits.
	MaxBundle = 64 << 20
	// MaxPolicies bounds the chain of policies in a bundle.
	MaxPolicies = 256
	// MaxEarlier bounds the earlier decisions whose signatures are reused.
	MaxEarlier = 64

	maxSignatures = attest.MaxArtifacts * policy.MaxCertificates
)

// Bundle is the evidence for one release. Members are in the order and
// spelling of docs/spec/evidence-bundle.md; lists are sorted as said there, so
// that the same evidence always has the same bytes.
type Bundle struct {
	Artifacts    attest.Artifacts   `json:"artifacts"`
	Certificates [][]byte           `json:"certificates"`    // OpenPGP, binary, by fingerprint
	Claim        *attest.Claim      `json:"claim,omitzero"`  // what the request's salted digest hides
	Decision     *Sigstore          `json:"decision"`        // with its log entry
	Earlier      []*Sigstore        `json:"earlier"`         // decisions whose signatures are reused, by log index
	MediaType    string             `json:"mediaType"`       // always [MediaType]
	Opening      *attest.Envelope   `json:"opening"`         // its digest is the release id
	OpeningProof string             `json:"openingLogProof"` // C2SP tlog-proof of the opening's leaf
	Policies     []*attest.Envelope `json:"policies"`        // oldest first; the last is the release's
	Request      *attest.Envelope   `json:"request"`
	Signatures   []Signature        `json:"signatures"` // by artifact, then certificate
	Votes        []*attest.Envelope `json:"votes"`      // votes and reports, by digest
}

// Signature is one OpenPGP signature over one artifact.
type Signature struct {
	Artifact    string               `json:"artifact"`
	Certificate string               `json:"certificate"` // fingerprint of the signing key
	Kind        attest.SignatureKind `json:"kind"`
	Signature   []byte               `json:"signature"` // binary packet
}

// Parse reads a bundle. It accepts exactly the bytes that [Bundle.Encode]
// writes, and verifies nothing.
func Parse(data []byte) (*Bundle, error) {
	var b Bundle
	if err := attest.UnmarshalStrict(data, MaxBundle, &b); err != nil {
		return nil, fmt.Errorf("parsing evidence bundle: %w", err)
	}
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("parsing evidence bundle: %w", err)
	}
	return &b, nil
}

// Encode returns the bundle's bytes; equal bundles have equal bytes.
func (b *Bundle) Encode() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("encoding evidence bundle: %w", err)
	}
	data, err := attest.MarshalCanonical(b)
	if err != nil {
		return nil, fmt.Errorf("encoding evidence bundle: %w", err)
	}
	if len(data) > MaxBundle {
		return nil, fmt.Errorf("encoding evidence bundle: %d bytes, at most %d allowed", len(data), MaxBundle)
	}
	return data, nil
}

// SigstoreBundle returns the decision as a Sigstore bundle of its own, which
// stock `cosign verify-blob-attestation` checks together with a [TrustedRoot].
func (b *Bundle) SigstoreBundle() ([]byte, error) { return b.Decision.Encode() }

// check settles what is there and in which number and order; what it means is for [Verify].
func (b *Bundle) check() error {
	if b.MediaType != MediaType {
		return malformed("media type %.80q, want %q", b.MediaType, MediaType)
	}
	for what, e := range map[string]*attest.Envelope{"request": b.Request, "opening": b.Opening} {
		if e == nil {
			return malformed("%s missing", what)
		}
	}
	if b.Decision == nil || slices.Contains(b.Earlier, nil) || slices.Contains(b.Policies, nil) || slices.Contains(b.Votes, nil) {
		return malformed("decision, policy or vote missing")
	}
	for _, list := range []struct {
		what           string
		n, least, most int
	}{
		{"policies", len(b.Policies), 1, MaxPolicies},
		{"votes", len(b.Votes), 1, attest.MaxVotes},
		{"earlier decisions", len(b.Earlier), 0, MaxEarlier},
		{"certificates", len(b.Certificates), 0, policy.MaxCertificates},
		{"signatures", len(b.Signatures), 0, maxSignatures},
	} {
		if list.n < list.least || list.n > list.most {
			return malformed("%d %s, %d to %d allowed", list.n, list.what, list.least, list.most)
		}
	}
	if !slices.IsSortedFunc(b.Signatures, compareSignatures) {
		return malformed("signatures are out of order")
	}
	for i, s := range b.Signatures {
		if i > 0 && compareSignatures(b.Signatures[i-1], s) == 0 {
			return malformed("two signatures over %.128q by certificate %.40s; there is one, ever", s.Artifact, s.Certificate)
		}
		if s.Kind != attest.DetachedBinary {
			return malformed("signature of kind %.40q, want %q", s.Kind, attest.DetachedBinary)
		}
		if len(s.Signature) == 0 || len(s.Signature) > openpgp.MaxSignature {
			return malformed("signature of %d bytes, 1 to %d allowed", len(s.Signature), openpgp.MaxSignature)
		}
	}
	return nil
}

func compareSignatures(a, b Signature) int {
	if c := strings.Compare(a.Artifact, b.Artifact); c != 0 {
		return c
	}
	return strings.Compare(a.Certificate, b.Certificate)
}

func compareEnvelopes(a, b *attest.Envelope) int {
	da, db := a.Digest(), b.Digest()
	return bytes.Compare(da[:], db[:])
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", attest.ErrMalformed, fmt.Errorf(format, args...))
}
