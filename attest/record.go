package attest

import (
	"fmt"

	"github.com/reprosign/reprosign/attest/canonical"
)

// RecordKind says what kind of envelopes a record brings into the log.
type RecordKind string

// The kinds of records.
const (
	RecordPolicy       RecordKind = "policy"
	RecordWithdrawal   RecordKind = "withdrawal"
	RecordEquivocation RecordKind = "equivocation" // the two contradicting rebuild statements
	RecordComplaint    RecordKind = "complaint"    // complaint, receipt and the statement that the decision lacks
)

const (
	maxRecordBodies = 8
	// anyBodies stands for 1 to maxRecordBodies.
	anyBodies = 0
)

// Record brings envelopes that are not signed with P-256 into the log: it
// names their digests, and they are served as bodies beside the log (design §3).
type Record struct {
	Coordinator string
	Kind        RecordKind
	Bodies      []Digest // digests of the statements (or policies), 1 to 8
	// Envelopes are the digests of the same envelopes with their signatures,
	// as [Envelope.Encode] writes them. Without them one reader of the log could be
	// shown a good signature where another one is shown a bad one.
	Envelopes []Digest
}

// NewRecord returns the record that brings envelopes into the log.
func NewRecord(coordinator string, kind RecordKind, envelopes ...*Envelope) (Record, error) {
	r := Record{Coordinator: coordinator, Kind: kind}
	for _, e := range envelopes {
		encoded, err := e.Encode()
		if err != nil {
			return Record{}, fmt.Errorf("record: %w", err)
		}
		r.Bodies, r.Envelopes = append(r.Bodies, e.Digest()), append(r.Envelopes, SHA256(encoded))
	}
	return r, r.Check()
}

// Brings reports whether e is, signatures included, the i-th envelope that the
// record brings.
func (r Record) Brings(i int, e *Envelope) bool {
	if e == nil || e.Digest() != r.Bodies[i] {
		return false
	}
	encoded, err := e.Encode()
	return err == nil && SHA256(encoded) == r.Envelopes[i]
}

// Check reports why the record is not well-formed.
func (r Record) Check() error {
	if err := CheckName(r.Coordinator); err != nil {
		return fmt.Errorf("record: coordinator: %w", err)
	}
	bodies, known := map[RecordKind]int{RecordPolicy: anyBodies, RecordWithdrawal: anyBodies, RecordEquivocation: 2, RecordComplaint: 3}[r.Kind]
	if !known {
		return fmt.Errorf("record: %w", malformed("kind %q", clip(string(r.Kind))))
	}
	if len(r.Bodies) == 0 || len(r.Bodies) > maxRecordBodies || bodies != anyBodies && len(r.Bodies) != bodies {
		return fmt.Errorf("record: %w", malformed("%d bodies of kind %s, 1 to %d allowed, two for an equivocation, three for a complaint",
			len(r.Bodies), r.Kind, maxRecordBodies))
	}
	if len(r.Envelopes) != len(r.Bodies) {
		return fmt.Errorf("record: %w", malformed("%d bodies, %d envelopes", len(r.Bodies), len(r.Envelopes)))
	}
	for _, list := range [][]Digest{r.Bodies, r.Envelopes} {
		if err := checkDistinct(list); err != nil {
			return fmt.Errorf("record: %w", err)
		}
	}
	return nil
}

// Encode returns the payload of a valid record.
func (r Record) Encode() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	return writeStatement(r.walk)
}

func (r *Record) walk(w *canonical.Walk) {
	digests(w, beginStatement+`{"bodies":`, &r.Bodies)
	canonical.Word(w, `,"coordinator":`, &r.Coordinator)
	digests(w, `,"envelopes":`, &r.Envelopes)
	canonical.Word(w, `,"kind":`, &r.Kind)
	subject := digestOfList(r.Bodies)
	w.HexAgain(`},"predicateType":"`+RecordType+oneSubject+`"`, subject[:])
	w.Text(`},"name":"bodies"}]}`)
}

// Seal signs the record with an opening key.
func (r Record) Seal(key SigningKey) (*Envelope, error) {
	return seal("record", r.Coordinator, key, r.Encode)
}

// ParseRecord reads a record's payload, whose envelope somebody else verified.
func ParseRecord(payload []byte) (Record, error) { return parse[Record]("record", payload) }

// OpenRecord verifies a record under the opening key it names.
func OpenRecord(e *Envelope, coordinators Keys) (Record, error) {
	return open("record", e, ParseRecord, func(r Record) string { return r.Coordinator }, coordinators)
}
