package attest

import (
	"fmt"
	"slices"

	"github.com/reprosign/reprosign/attest/canonical"
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
	return writeStatement(r.walk)
}

func (r *Receipt) walk(w *canonical.Walk) {
	canonical.Word(w, beginStatement+`{"coordinator":`, &r.Coordinator)
	digests(w, `,"counted":`, &r.Counted)
	moment(w, `,"issued":`, &r.Issued)
	digests(w, `,"late":`, &r.Late)
	canonical.Word(w, `,"rebuilder":`, &r.Rebuilder)
	subject := digestOfList(slices.Concat(r.Counted, r.Late))
	w.HexAgain(`},"predicateType":"`+ReceiptType+oneSubject+`"`, subject[:])
	w.Text(`},"name":"statements"}]}`)
}

// Seal signs the receipt with an opening key.
func (r Receipt) Seal(key SigningKey) (*Envelope, error) {
	return seal("receipt", r.Coordinator, key, r.Encode)
}

// ParseReceipt reads a receipt's payload, whose envelope somebody else verified.
func ParseReceipt(payload []byte) (Receipt, error) { return parse[Receipt]("receipt", payload) }

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
	return writeStatement(r.walk)
}

func (r *Rejection) walk(w *canonical.Walk) {
	canonical.Word(w, beginStatement+`{"code":`, &r.Code)
	canonical.Word(w, `,"coordinator":`, &r.Coordinator)
	moment(w, `,"issued":`, &r.Issued)
	canonical.Word(w, `,"reason":`, &r.Reason)
	canonical.Word(w, `,"rebuilder":`, &r.Rebuilder)
	w.Hex(`},"predicateType":"`+RejectionType+oneSubject, r.Statement[:])
	w.Text(`},"name":"statement"}]}`)
}

// Seal signs the rejection with an opening key.
func (r Rejection) Seal(key SigningKey) (*Envelope, error) {
	return seal("rejection", r.Coordinator, key, r.Encode)
}

// ParseRejection reads a rejection's payload, whose envelope somebody else verified.
func ParseRejection(payload []byte) (Rejection, error) { return parse[Rejection]("rejection", payload) }

// OpenRejection verifies a rejection under the opening key it names.
func OpenRejection(e *Envelope, coordinators Keys) (Rejection, error) {
	return open("rejection", e, ParseRejection, func(r Rejection) string { return r.Coordinator }, coordinators)
}
