package attest

import (
	"fmt"

	"github.com/reprosign/reprosign/attest/canonical"
)

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

// All statements are an in-toto Statement v1 around a predicate. This is what
// comes before the predicate, and what comes after its type in those with one subject.
const (
	beginStatement = `{"_type":"` + inTotoStatement + `","predicate":`
	oneSubject     = `","subject":[{"digest":{"sha256":`
)

// writeStatement returns what a walk writes.
func writeStatement(steps func(*canonical.Walk)) ([]byte, error) {
	const size = 1024 // of most, in bytes
	return canonical.Append(make([]byte, 0, size), steps)
}

// parse has a statement's walk read a payload to its end.
func parse[S any, P interface {
	*S
	walk(w *canonical.Walk)
	Check() error
}](what string, payload []byte) (S, error) {
	var s, none S
	if err := canonical.Read(payload, MaxPayload, P(&s).walk); err != nil {
		return none, fmt.Errorf("parsing %s: %w", what, err)
	}
	if err := P(&s).Check(); err != nil {
		return none, fmt.Errorf("parsing %w", err)
	}
	return s, nil
}

// open parses a statement, finds its author's key and verifies the envelope
// with it. It is the one way from bytes to a statement that may be believed;
// [openAll] is the same way, taken with others.
func open[S any](what string, e *Envelope, parse func([]byte) (S, error), author func(S) string, keys Keys) (S, error) {
	var none S
	claimed, by, err := read(what, e, parse, author, keys)
	if err != nil {
		return none, err
	}
	if err := e.Verify(by); err != nil {
		return none, fmt.Errorf("opening %s: %w", what, err)
	}
	return claimed, nil
}

// openAll opens each envelope as [open] does. At its place there is the statement
// or, beside none, the reason.
func openAll[S any](what string, envelopes []*Envelope, parse func([]byte) (S, error), author func(S) string, keys Keys) ([]S, []error) {
	claimed, by := make([]S, len(envelopes)), make([]VerifierKey, len(envelopes))
	statements, errs := make([]S, len(envelopes)), make([]error, len(envelopes))
	for i, e := range envelopes {
		claimed[i], by[i], errs[i] = read(what, e, parse, author, keys)
	}
	good := verifyTogether(envelopes, by)
	for i, e := range envelopes {
		if errs[i] == nil && !good[i] {
			if err := e.Verify(by[i]); err != nil {
				errs[i] = fmt.Errorf("opening %s: %w", what, err)
			}
		}
		if errs[i] == nil {
			statements[i] = claimed[i]
		}
	}
	return statements, errs
}

// read returns what an envelope claims, which nobody may believe yet, and the
// key that must have signed it.
func read[S any](what string, e *Envelope, parse func([]byte) (S, error), author func(S) string, keys Keys) (S, VerifierKey, error) {
	var none S
	if e == nil || e.PayloadType != StatementType {
		return none, VerifierKey{}, fmt.Errorf("opening %s: %w", what, malformed("no envelope of a statement"))
	}
	if err := e.Check(); err != nil {
		return none, VerifierKey{}, fmt.Errorf("opening %s: %w", what, err)
	}
	s, err := parse(e.Payload)
	if err != nil {
		return none, VerifierKey{}, err
	}
	name := author(s)
	key, err := keys(name)
	if err != nil {
		return none, VerifierKey{}, fmt.Errorf("opening %s: %w", what, err)
	}
	if key.Name() != name {
		return none, VerifierKey{}, fmt.Errorf("opening %s: author is %q, key is of %q", what, name, key.Name())
	}
	return s, key, nil
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
