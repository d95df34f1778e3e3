package attest

import (
	"fmt"
	"slices"
)

// MaxReceipt bounds the statements in one receipt.
const MaxReceipt = 1000

// Receipt is the coordinator's signed word that it has committed a
// rebuilder's statements (design §3.1). Only a counted vote may be complained
// about when a decision does not list it.
type Receipt struct {
	Coordinator string // name of the opening key
	Rebuilder   string
	Issued      Time
	// Counted are statements committed before the vote set of their release closed.
	Counted []Digest
	// Late are statements committed afterwards: kept, but counted for nothing.
	Late []Digest
}

type receiptPredicate struct {
	Coordinator string   `json:"coordinator"`
	Counted     []Digest `json:"counted"`
	Issued      Time     `json:"issued"`
	Late        []Digest `json:"late"`
	Rebuilder   string   `json:"rebuilder"`
}

const statementsSubject = "statements"

func (p receiptPredicate) subject() ([]subject, error) {
	data, err := MarshalCanonical(slices.Concat(p.Counted, p.Late))
	if err != nil {
		return nil, err
	}
	return oneSubject(statementsSubject, SHA256(data)), nil
}

// Check reports why the receipt is not well-formed.
func (r Receipt) Check() error {
	for what, name := range map[string]string{"coordinator": r.Coordinator, "rebuilder": r.Rebuilder} {
		if err := CheckName(name); err != nil {
			return fmt.Errorf("receipt: %s: %w", what, err)
		}
	}
	if n := len(r.Counted) + len(r.Late); n == 0 || n > MaxReceipt {
		return fmt.Errorf("receipt: %w", malformed("%d statements, 1 to %d allowed", n, MaxReceipt))
	}
	if r.Issued.IsZero() {
		return fmt.Errorf("receipt: %w", malformed("time missing"))
	}
	if err := checkDistinct(slices.Concat(r.Counted, r.Late)); err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	return nil
}

// Encode returns the payload of a valid receipt.
func (r Receipt) Encode() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	p := receiptPredicate{r.Coordinator, r.Counted, r.Issued, r.Late, r.Rebuilder}
	s, err := p.subject()
	if err != nil {
		return nil, err
	}
	return encodeStatement(ReceiptType, p, s)
}

// Seal signs the receipt with an opening key.
func (r Receipt) Seal(key SigningKey) (*Envelope, error) {
	return seal("receipt", r.Coordinator, key, r.Encode)
}

// ParseReceipt reads a receipt's payload, whose envelope somebody else verified.
func ParseReceipt(payload []byte) (Receipt, error) {
	s, err := decodeStatement[receiptPredicate](payload, ReceiptType)
	if err != nil {
		return Receipt{}, fmt.Errorf("parsing receipt: %w", err)
	}
	p := s.Predicate
	r := Receipt{p.Coordinator, p.Rebuilder, p.Issued, p.Counted, p.Late}
	if err := r.Check(); err != nil {
		return Receipt{}, fmt.Errorf("parsing %w", err)
	}
	want, err := p.subject()
	if err != nil || !slices.Equal(want, s.Subject) {
		return Receipt{}, fmt.Errorf("parsing receipt: %w", malformed("subject is not the listed statements"))
	}
	return r, nil
}

// OpenReceipt verifies a receipt under the opening key it names.
func OpenReceipt(e *Envelope, coordinators Keys) (Receipt, error) {
	return open("receipt", e, ParseReceipt, func(r Receipt) string { return r.Coordinator }, coordinators)
}

// RejectionCode classes the reason of a rejection for programs.
type RejectionCode string

// The rejection codes.
const (
	RejectedMalformed    RejectionCode = "malformed"     // bytes, sizes or names
	RejectedSignature    RejectionCode = "bad-signature" // not by the key it must be by
	RejectedUnknown      RejectionCode = "unknown"       // rebuilder or release not known
	RejectedNotAllowed   RejectionCode = "not-allowed"   // not this suite, architecture, isolation or subject
	RejectedLate         RejectionCode = "late"          // after the deadline
	RejectedInconsistent RejectionCode = "inconsistent"  // list, states or source do not fit the statement
)

// Rejection is the coordinator's signed word that it will not take a
// rebuilder's message, and why. It ends the agent's duty to send it again.
type Rejection struct {
	Coordinator string
	Rebuilder   string
	Issued      Time
	// Statement is the digest of the rejected statement or, when the message
	// held none that could be read, the SHA-256 of the message itself.
	Statement Digest
	Code      RejectionCode
	Reason    string // for people: what is wrong and what to do
}

type rejectionPredicate struct {
	Code        RejectionCode `json:"code"`
	Coordinator string        `json:"coordinator"`
	Issued      Time          `json:"issued"`
	Reason      string        `json:"reason"`
	Rebuilder   string        `json:"rebuilder"`
}

const statementSubject = "statement"

// Check reports why the rejection is not well-formed.
func (r Rejection) Check() error {
	for what, name := range map[string]string{"coordinator": r.Coordinator, "rebuilder": r.Rebuilder} {
		if err := CheckName(name); err != nil {
			return fmt.Errorf("rejection: %s: %w", what, err)
		}
	}
	switch r.Code {
	case RejectedMalformed, RejectedSignature, RejectedUnknown, RejectedNotAllowed, RejectedLate, RejectedInconsistent:
	default:
		return fmt.Errorf("rejection: %w", malformed("code %q", clip(string(r.Code))))
	}
	if r.Statement.IsZero() || r.Issued.IsZero() || r.Reason == "" {
		return fmt.Errorf("rejection: %w", malformed("statement, time or reason missing"))
	}
	if err := checkReason(r.Reason); err != nil {
		return fmt.Errorf("rejection: %w", err)
	}
	return nil
}

// Encode returns the payload of a valid rejection.
func (r Rejection) Encode() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	return encodeStatement(RejectionType,
		rejectionPredicate{r.Code, r.Coordinator, r.Issued, r.Reason, r.Rebuilder}, oneSubject(statementSubject, r.Statement))
}

// Seal signs the rejection with an opening key.
func (r Rejection) Seal(key SigningKey) (*Envelope, error) {
	return seal("rejection", r.Coordinator, key, r.Encode)
}

// ParseRejection reads a rejection's payload, whose envelope somebody else verified.
func ParseRejection(payload []byte) (Rejection, error) {
	s, err := decodeStatement[rejectionPredicate](payload, RejectionType)
	if err != nil {
		return Rejection{}, fmt.Errorf("parsing rejection: %w", err)
	}
	p := s.Predicate
	r := Rejection{Coordinator: p.Coordinator, Rebuilder: p.Rebuilder, Issued: p.Issued, Code: p.Code, Reason: p.Reason}
	if len(s.Subject) == 1 {
		r.Statement = s.Subject[0].Digest.SHA256
	}
	if err := wantSubject(s.Subject, statementSubject, r.Statement); err != nil {
		return Rejection{}, fmt.Errorf("parsing rejection: %w", err)
	}
	if err := r.Check(); err != nil {
		return Rejection{}, fmt.Errorf("parsing %w", err)
	}
	return r, nil
}

// OpenRejection verifies a rejection under the opening key it names.
func OpenRejection(e *Envelope, coordinators Keys) (Rejection, error) {
	return open("rejection", e, ParseRejection, func(r Rejection) string { return r.Coordinator }, coordinators)
}
