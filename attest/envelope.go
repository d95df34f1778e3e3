package attest

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/reprosign/reprosign/attest/canonical"
	"github.com/reprosign/reprosign/attest/edtable"
)

// Payload types of envelopes.
const (
	// StatementType is the payload type of every in-toto statement.
	StatementType = "application/vnd.in-toto+json"
	// PolicyType is the payload type of policies.
	PolicyType = "application/vnd.reprosign.policy+json"
)

// Limits of envelopes.
const (
	// MaxPayload bounds a payload: the largest decision has about 570 KiB.
	MaxPayload = 640 << 10
	// MaxEnvelope bounds an encoded envelope: the payload in base64 and its signatures.
	MaxEnvelope = MaxPayload/3*4 + 64<<10
	// MaxSignatures bounds the signatures of a policy or an approval.
	MaxSignatures = 64

	maxKeyID     = 320 // the longest verifier key
	maxSignature = 256
)

// Envelope is a DSSE envelope: a payload, its type and signatures over both
// (https://github.com/secure-systems-lab/dsse, protocol version 1).
type Envelope struct {
	Payload     []byte      `json:"payload"`
	PayloadType string      `json:"payloadType"`
	Signatures  []Signature `json:"signatures"`
}

// Signature is one signature in an envelope. KeyID is a hint for people; it
// chooses nothing.
type Signature struct {
	KeyID string `json:"keyid,omitzero"`
	Sig   []byte `json:"sig"`
}

// ErrSignatureCount says that an envelope has more or fewer signatures than its role allows.
var ErrSignatureCount = errors.New("envelope must carry exactly one signature")

// ParseEnvelope reads an envelope in canonical JSON. It verifies no signature.
func ParseEnvelope(data []byte) (*Envelope, error) {
	var e Envelope
	if err := canonical.Read(data, MaxEnvelope, e.Walk); err != nil {
		return nil, fmt.Errorf("parsing envelope: %w", err)
	}
	if err := e.Check(); err != nil {
		return nil, fmt.Errorf("parsing envelope: %w", err)
	}
	return &e, nil
}

// Check reports why the envelope is not well-formed. [ParseEnvelope] has checked
// what it returns; an envelope inside another document has been checked by nobody.
func (e *Envelope) Check() error {
	if len(e.Payload) == 0 || len(e.Payload) > MaxPayload {
		return malformed("payload of %d bytes, 1 to %d allowed", len(e.Payload), MaxPayload)
	}
	if e.PayloadType != StatementType && e.PayloadType != PolicyType {
		return malformed("payload type %q", clip(e.PayloadType))
	}
	if len(e.Signatures) == 0 || len(e.Signatures) > MaxSignatures {
		return malformed("%d signatures, 1 to %d allowed", len(e.Signatures), MaxSignatures)
	}
	for _, s := range e.Signatures {
		if len(s.Sig) == 0 || len(s.Sig) > maxSignature {
			return malformed("signature of %d bytes, 1 to %d allowed", len(s.Sig), maxSignature)
		}
		if len(s.KeyID) > maxKeyID || !printableASCII(s.KeyID) {
			return malformed("keyid is longer than %d bytes or not printable ASCII", maxKeyID)
		}
	}
	return nil
}

// Encode returns the envelope in canonical JSON: the bytes that [ParseEnvelope] reads.
func (e *Envelope) Encode() ([]byte, error) {
	if err := e.Check(); err != nil {
		return nil, fmt.Errorf("encoding envelope: %w", err)
	}
	const around = 1024 // bytes, if it has not more signatures than most have
	return canonical.Append(make([]byte, 0, base64.StdEncoding.EncodedLen(len(e.Payload))+around), e.Walk)
}

// Walk goes through the envelope within a message. Who reads one so has to
// [Envelope.Check] it.
func (e *Envelope) Walk(w *canonical.Walk) {
	w.Base64(`{"payload":`, &e.Payload)
	canonical.Word(w, `,"payloadType":`, &e.PayloadType)
	canonical.List(w, `,"signatures":`, &e.Signatures, func(s *Signature) {
		w.Text(`{`)
		if w.Has(`"keyid":`, `""`, s.KeyID != "") {
			canonical.Word(w, "", &s.KeyID)
			w.Text(`,`)
		}
		w.Base64(`"sig":`, &s.Sig)
		w.Text(`}`)
	})
	w.Text(`}`)
}

// Digest returns the digest of the statement in the envelope: the SHA-256 of the payload.
func (e *Envelope) Digest() Digest { return SHA256(e.Payload) }

// PAE returns the bytes that are signed: the DSSE pre-authentication encoding.
func (e *Envelope) PAE() []byte {
	return e.appendPAE(make([]byte, 0, len("DSSEv1   ")+20+len(e.PayloadType)+len(e.Payload)))
}

func (e *Envelope) appendPAE(b []byte) []byte { return append(e.appendHead(b), e.Payload...) }

// PAEDigest returns the SHA-256 of [Envelope.PAE].
func (e *Envelope) PAEDigest() Digest {
	h := sha256.New()
	h.Write(e.appendHead(nil))
	h.Write(e.Payload)
	return Digest(h.Sum(nil))
}

// appendHead appends what comes before the payload in the encoding that is signed.
func (e *Envelope) appendHead(b []byte) []byte {
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(e.PayloadType)), 10)
	b = append(b, ' ')
	b = append(b, e.PayloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(e.Payload)), 10)
	return append(b, ' ')
}

// Verify checks that the envelope carries exactly one signature and that it is key's.
func (e *Envelope) Verify(key VerifierKey) error {
	if len(e.Signatures) != 1 {
		return fmt.Errorf("%w, has %d", ErrSignatureCount, len(e.Signatures))
	}
	return key.Verify(e.PAE(), e.Signatures[0].Sig)
}

// verifyTogether reports which envelopes [Envelope.Verify] would find good under
// the keys at their places, for less. It judges those of keys that have tables; of
// the others, and of those that it does not find good, only [Envelope.Verify] can tell.
func verifyTogether(envelopes []*Envelope, keys []VerifierKey) []bool {
	var batch edtable.Batch
	var at []int
	var pae []byte
	for i, e := range envelopes {
		if table := keys[i].table(); table != nil && len(e.Signatures) == 1 {
			pae = e.appendPAE(pae[:0])
			batch.Add(table, pae, e.Signatures[0].Sig)
			at = append(at, i)
		}
	}
	good := make([]bool, len(envelopes))
	for n, ok := range batch.Good() {
		good[at[n]] = ok
	}
	return good
}

// SignedBy reports which of keys signed the envelope, each at most once, in
// the order of keys. Policies are signed by several admins.
func (e *Envelope) SignedBy(keys []VerifierKey) []VerifierKey {
	pae := e.PAE()
	var by []VerifierKey
	for _, k := range keys {
		for _, s := range e.Signatures {
			if k.Verify(pae, s.Sig) == nil {
				by = append(by, k)
				break
			}
		}
	}
	return by
}

// AddSignature signs the payload with key beside the signatures that are
// there. After an error the envelope is as it was.
func (e *Envelope) AddSignature(key SigningKey) error {
	sig, err := key.Sign(e.PAE())
	if err != nil {
		return err
	}
	more := *e
	more.Signatures = append(slices.Clip(e.Signatures), Signature{KeyID: key.String(), Sig: sig})
	if err := more.Check(); err != nil {
		return fmt.Errorf("adding signature: %w", err)
	}
	*e = more
	return nil
}

// Seal puts payload into an envelope and signs it with key.
func Seal(payloadType string, payload []byte, key SigningKey) (*Envelope, error) {
	e := &Envelope{Payload: payload, PayloadType: payloadType}
	sig, err := key.Sign(e.PAE())
	if err != nil {
		return nil, err
	}
	e.Signatures = []Signature{{Sig: sig}}
	if err := e.Check(); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return e, nil
}
