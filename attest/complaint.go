package attest

import (
	"fmt"

	"github.com/reprosign/reprosign/attest/canonical"
)

// Complaint is a rebuilder's public word that a decision does not list a
// statement of its, though a coordinator has confirmed in a receipt that the
// statement is counted (design §2.5). Complaint, receipt and statement together
// show it to anybody; package policy judges them.
type Complaint struct {
	Rebuilder string
	Release   Digest
	Decision  Digest // that does not list the statement
	Statement Digest
	Receipt   Digest // that names it as counted
	Issued    Time   // by the rebuilder's clock
}

// Check reports why the complaint is not well-formed.
func (c Complaint) Check() error {
	if err := CheckName(c.Rebuilder); err != nil {
		return fmt.Errorf("complaint: rebuilder: %w", err)
	}
	for _, d := range []struct {
		what   string
		digest Digest
	}{{"release", c.Release}, {"decision", c.Decision}, {"statement", c.Statement}, {"receipt", c.Receipt}} {
		if d.digest.IsZero() {
			return fmt.Errorf("complaint: %w", malformed("%s missing", d.what))
		}
	}
	if c.Issued.IsZero() {
		return fmt.Errorf("complaint: %w", malformed("time missing"))
	}
	return nil
}

// Encode returns the payload of a valid complaint.
func (c Complaint) Encode() ([]byte, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	return writeStatement(c.walk)
}

func (c *Complaint) walk(w *canonical.Walk) {
	moment(w, beginStatement+`{"issued":`, &c.Issued)
	canonical.Word(w, `,"rebuilder":`, &c.Rebuilder)
	w.Hex(`,"receipt":`, c.Receipt[:])
	w.Hex(`,"release":`, c.Release[:])
	w.Hex(`,"statement":`, c.Statement[:])
	w.Hex(`},"predicateType":"`+ComplaintType+oneSubject, c.Decision[:])
	w.Text(`},"name":"decision"}]}`)
}

// Seal signs the complaint with the rebuilder's key.
func (c Complaint) Seal(key SigningKey) (*Envelope, error) {
	return seal("complaint", c.Rebuilder, key, c.Encode)
}

// ParseComplaint reads a complaint's payload, whose envelope somebody else verified.
func ParseComplaint(payload []byte) (Complaint, error) { return parse[Complaint]("complaint", payload) }

// OpenComplaint verifies a complaint under the key of the rebuilder it names.
func OpenComplaint(e *Envelope, rebuilders Keys) (Complaint, error) {
	return open("complaint", e, ParseComplaint, func(c Complaint) string { return c.Rebuilder }, rebuilders)
}
