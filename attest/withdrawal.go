package attest

import (
	"fmt"

	"github.com/reprosign/reprosign/attest/canonical"
)

// Role says in which role a withdrawal's author may stop a release.
type Role string

// The roles that may withdraw: one admin, or the request's own publisher.
const (
	RoleAdmin     Role = "admin"
	RolePublisher Role = "publisher"
)

// Withdrawal stops a release and all further attempts at its request
// (design §2, "one admin may stop"). It can be delivered by anybody.
type Withdrawal struct {
	Role    Role
	By      string // name of the admin or publisher
	Release Digest
	Reason  string // for people, public
	At      Time   // by its author's clock
}

// Check reports why the withdrawal is not well-formed.
func (w Withdrawal) Check() error {
	if err := CheckName(w.By); err != nil {
		return fmt.Errorf("withdrawal: author: %w", err)
	}
	if w.Role != RoleAdmin && w.Role != RolePublisher {
		return fmt.Errorf("withdrawal: %w", malformed("role %q", clip(string(w.Role))))
	}
	if w.Release.IsZero() || w.At.IsZero() || w.Reason == "" {
		return fmt.Errorf("withdrawal: %w", malformed("release, time or reason missing"))
	}
	if err := checkReason(w.Reason); err != nil {
		return fmt.Errorf("withdrawal: %w", err)
	}
	return nil
}

// Encode returns the payload of a valid withdrawal.
func (w Withdrawal) Encode() ([]byte, error) {
	if err := w.Check(); err != nil {
		return nil, err
	}
	return writeStatement(w.walk)
}

func (w *Withdrawal) walk(k *canonical.Walk) {
	moment(k, beginStatement+`{"at":`, &w.At)
	canonical.Word(k, `,"by":`, &w.By)
	canonical.Word(k, `,"reason":`, &w.Reason)
	canonical.Word(k, `,"role":`, &w.Role)
	k.Hex(`},"predicateType":"`+WithdrawalType+oneSubject, w.Release[:])
	k.Text(`},"name":"release"}]}`)
}

// Seal signs the withdrawal with its author's key.
func (w Withdrawal) Seal(key SigningKey) (*Envelope, error) {
	return seal("withdrawal", w.By, key, w.Encode)
}

// ParseWithdrawal reads a withdrawal's payload, whose envelope somebody else verified.
func ParseWithdrawal(payload []byte) (Withdrawal, error) {
	return parse[Withdrawal]("withdrawal", payload)
}

// OpenWithdrawal verifies a withdrawal under its author's key; the role in it
// chooses among the policy's keys.
func OpenWithdrawal(e *Envelope, author func(role Role, name string) (VerifierKey, error)) (Withdrawal, error) {
	var role Role
	return open("withdrawal", e, ParseWithdrawal,
		func(w Withdrawal) string { role = w.Role; return w.By },
		func(name string) (VerifierKey, error) { return author(role, name) })
}
