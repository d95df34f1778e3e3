package attest

import "fmt"

const inTotoStatement = "https://in-toto.io/Statement/v1"

// specBase is where the predicates of this project are specified: docs/spec of its repository.
const specBase = "https://github.com/reprosign/reprosign/docs/spec/"

// Predicate types, one per role of a statement.
const (
	RequestType        = specBase + "release-request/v1"
	OpeningType        = specBase + "opening/v1"
	RebuildType        = "https://slsa.dev/provenance/v1"
	ReceiptType        = specBase + "receipt/v1"
	RejectionType      = specBase + "rejection/v1"
	DecisionType       = "https://slsa.dev/verification_summary/v1"
	SignaturesMadeType = specBase + "signatures-made/v1"
	RecordType         = specBase + "record/v1"
	WithdrawalType     = specBase + "withdrawal/v1"
	ComplaintType      = specBase + "complaint/v1"
)

// Keys finds the verifier key of the party that a statement names as its
// author, in one role. An unknown name is an error that says so.
type Keys func(name string) (VerifierKey, error)

// statement is the in-toto Statement v1 around a predicate.
type statement[P any] struct {
	Type          string    `json:"_type"`
	Predicate     P         `json:"predicate"`
	PredicateType string    `json:"predicateType"`
	Subject       []subject `json:"subject"`
}

type subject struct {
	Digest subjectDigest `json:"digest"`
	Name   string        `json:"name"`
}

type subjectDigest struct {
	SHA256 Digest    `json:"sha256"`
	SHA512 Digest512 `json:"sha512,omitzero"`
}

func oneSubject(name string, d Digest) []subject {
	return []subject{{Name: name, Digest: subjectDigest{SHA256: d}}}
}

// wantSubject checks that a statement has the one subject that its predicate implies.
func wantSubject(got []subject, name string, d Digest) error {
	if len(got) != 1 || got[0].Name != name || got[0].Digest != (subjectDigest{SHA256: d}) {
		return malformed("subject is not the one %q that the predicate names", name)
	}
	return nil
}

func encodeStatement[P any](predicateType string, predicate P, subjects []subject) ([]byte, error) {
	return MarshalCanonical(statement[P]{
		Type: inTotoStatement, Predicate: predicate, PredicateType: predicateType, Subject: subjects,
	})
}

func decodeStatement[P any](payload []byte, predicateType string) (statement[P], error) {
	var s statement[P]
	if err := UnmarshalStrict(payload, MaxPayload, &s); err != nil {
		return s, err
	}
	if s.Type != inTotoStatement {
		return s, malformed("statement type %q", clip(s.Type))
	}
	if s.PredicateType != predicateType {
		return s, malformed("predicate type %q, want %q", clip(s.PredicateType), predicateType)
	}
	return s, nil
}

// open parses a statement, finds its author's key and verifies the envelope
// with it. It is the one way from bytes to a statement that may be believed.
func open[S any](what string, e *Envelope, parse func([]byte) (S, error), author func(S) string, keys Keys) (S, error) {
	var none S
	if e == nil || e.PayloadType != StatementType {
		return none, fmt.Errorf("opening %s: %w", what, malformed("no envelope of a statement"))
	}
	if err := e.Check(); err != nil {
		return none, fmt.Errorf("opening %s: %w", what, err)
	}
	s, err := parse(e.Payload)
	if err != nil {
		return none, err
	}
	name := author(s)
	key, err := keys(name)
	if err != nil {
		return none, fmt.Errorf("opening %s: %w", what, err)
	}
	if key.Name() != name {
		return none, fmt.Errorf("opening %s: author is %q, key is of %q", what, name, key.Name())
	}
	if err := e.Verify(key); err != nil {
		return none, fmt.Errorf("opening %s: %w", what, err)
	}
	return s, nil
}

// seal encodes and signs a statement; the author it names must be the key's name.
func seal(what, author string, key SigningKey, encode func() ([]byte, error)) (*Envelope, error) {
	if author != key.Name() {
		return nil, fmt.Errorf("sealing %s: %q named as author, key is of %q", what, author, key.Name())
	}
	payload, err := encode()
	if err != nil {
		return nil, fmt.Errorf("sealing %s: %w", what, err)
	}
	e, err := Seal(StatementType, payload, key)
	if err != nil {
		return nil, fmt.Errorf("sealing %s: %w", what, err)
	}
	return e, nil
}
