package attest

import (
	"fmt"

	"github.com/reprosign/reprosign/attest/canonical"
)

// MaxAttempts bounds how often one request may be opened.
const MaxAttempts = 100

// Opening is the coordinator's signed start of a release (design §2.2). Its
// digest is the release id: whatever names it is bound to this request, this
// policy and this attempt.
type Opening struct {
	Coordinator  string // name of the opening key
	Request      Digest
	Policy       Digest
	PolicySerial uint64
	Attempt      int    // counts from 1
	Nonce        Digest // 32 random bytes
	Opened       Time
	Deadline     Time // votes committed later are rejected
}

// maxSerial keeps policy serials exact in JSON.
const maxSerial = 1<<53 - 1

// Check reports why the opening is not well-formed.
func (o Opening) Check() error {
	if err := CheckName(o.Coordinator); err != nil {
		return fmt.Errorf("opening: coordinator: %w", err)
	}
	if o.Request.IsZero() || o.Policy.IsZero() || o.Nonce.IsZero() {
		return fmt.Errorf("opening: %w", malformed("request, policy or nonce missing"))
	}
	if o.Attempt < 1 || o.Attempt > MaxAttempts || o.PolicySerial < 1 || o.PolicySerial > maxSerial {
		return fmt.Errorf("opening: %w", malformed("attempt %d or policy serial %d out of range", o.Attempt, o.PolicySerial))
	}
	if o.Opened.IsZero() || o.Deadline <= o.Opened {
		return fmt.Errorf("opening: %w", malformed("deadline %v is not after %v", o.Deadline, o.Opened))
	}
	return nil
}

// Encode returns the payload of a valid opening.
func (o Opening) Encode() ([]byte, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	return writeStatement(o.walk)
}

func (o *Opening) walk(w *canonical.Walk) {
	canonical.Number(w, beginStatement+`{"attempt":`, &o.Attempt)
	canonical.Word(w, `,"coordinator":`, &o.Coordinator)
	moment(w, `,"deadline":`, &o.Deadline)
	w.Hex(`,"nonce":`, o.Nonce[:])
	moment(w, `,"opened":`, &o.Opened)
	w.Hex(`,"policy":`, o.Policy[:])
	canonical.Number(w, `,"policySerial":`, &o.PolicySerial)
	w.Hex(`,"request":`, o.Request[:])
	w.HexAgain(`},"predicateType":"`+OpeningType+oneSubject+`"`, o.Request[:])
	w.Text(`},"name":"release-request"}]}`)
}

// Seal signs the opening with an opening key.
func (o Opening) Seal(key SigningKey) (*Envelope, error) {
	return seal("opening", o.Coordinator, key, o.Encode)
}

// ParseOpening reads an opening's payload, whose envelope somebody else verified.
func ParseOpening(payload []byte) (Opening, error) { return parse[Opening]("opening", payload) }

// OpenOpening verifies an opening under the opening key it names.
func OpenOpening(e *Envelope, coordinators Keys) (Opening, error) {
	return open("opening", e, ParseOpening, func(o Opening) string { return o.Coordinator }, coordinators)
}
