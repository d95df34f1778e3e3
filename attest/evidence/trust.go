package evidence

import (
	"bytes"
	"fmt"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// TrustMediaType is the media type of trust files with witnesses of their own.
const TrustMediaType = "application/vnd.reprosign.trust.v1+json"

// MaxTrust bounds a trust file, in bytes: a policy's envelope and its witnesses.
const MaxTrust = attest.MaxEnvelope + 64<<10

// Trust is all that a verifier believes before it reads a bundle: one signed
// policy, which the admins handed out, and the witnesses of the log. The policy must be
// as old as the oldest release to be verified, or older; the bundle leads on from there.
type Trust struct {
	Policy *attest.Envelope
	// Witnesses replace those of the policy. The zero value leaves it at those
	// of the policy that is pinned; those of later ones never count.
	Witnesses policy.Witnesses
}

// trustFile is a trust file with witnesses of its own.
type trustFile struct {
	MediaType string           `json:"mediaType"`
	Policy    *attest.Envelope `json:"policy"`
	Witnesses policy.Witnesses `json:"witnesses"`
}

// ParseTrust reads a trust file (docs/spec/evidence-bundle.md, "Trust"): one
// signed policy envelope alone, or an object of it and of witnesses. A line end
// behind it, which editors leave, is no part of it.
func ParseTrust(data []byte) (Trust, error) {
	t, err := parseTrust(bytes.TrimSuffix(data, []byte("\n")))
	if err != nil {
		return Trust{}, fmt.Errorf("parsing trust file: %w", err)
	}
	return t, nil
}

func parseTrust(data []byte) (Trust, error) {
	if !bytes.HasPrefix(data, []byte(`{"mediaType":`)) {
		e, err := attest.ParseEnvelope(data)
		if err != nil {
			return Trust{}, err
		}
		t := Trust{Policy: e}
		_, err = t.chain()
		return t, err
	}
	var f trustFile
	if err := attest.UnmarshalStrict(data, MaxTrust, &f); err != nil {
		return Trust{}, err
	}
	switch {
	case f.MediaType != TrustMediaType:
		return Trust{}, malformed("media type %.80q, want %q", f.MediaType, TrustMediaType)
	case f.Policy == nil:
		return Trust{}, malformed("policy missing")
	case f.Witnesses.IsZero():
		return Trust{}, malformed("witnesses missing; without them the file is the policy's envelope alone")
	}
	t := Trust{f.Policy, f.Witnesses}
	_, err := t.chain()
	return t, err
}

// Encode returns the trust file.
func (t Trust) Encode() ([]byte, error) {
	if _, err := t.chain(); err != nil {
		return nil, fmt.Errorf("encoding trust file: %w", err)
	}
	if t.Witnesses.IsZero() {
		return t.Policy.Encode()
	}
	data, err := attest.MarshalCanonical(trustFile{TrustMediaType, t.Policy, t.Witnesses})
	if err != nil {
		return nil, fmt.Errorf("encoding trust file: %w", err)
	}
	return data, nil
}

// Pinned returns the policy that is pinned and the witnesses that count.
func (t Trust) Pinned() (*policy.Version, policy.Witnesses, error) {
	chain, err := t.chain()
	if err != nil {
		return nil, policy.Witnesses{}, err
	}
	pinned := chain.Newest()
	if t.Witnesses.IsZero() {
		return pinned, pinned.Witnesses, nil
	}
	return pinned, t.Witnesses, nil
}

// chain checks the trust by itself, and begins a chain with its policy.
func (t Trust) chain() (*policy.Chain, error) {
	chain, err := policy.Pin(t.Policy)
	if err != nil {
		return nil, err
	}
	if err := chain.Newest().CheckWitnesses(t.Witnesses); !t.Witnesses.IsZero() && err != nil {
		return nil, err
	}
	return chain, nil
}
