package attest

import (
	"fmt"
	"slices"
)

// RecordKind says what kind of envelopes a record brings into the log.
type RecordKind string

// The kinds of records.
const (
	RecordPolicy       RecordKind = "policy"
	RecordWithdrawal   RecordKind = "withdrawal"
	RecordEquivocation RecordKind = "equivocation" // the two contradicting rebuild statements
)

const maxRecordBodies = 8

// Record brings envelopes that are not signed with P-256 into the log: it
// names their digests, and they are served as bodies beside the log (design §3).
type Record struct {
	Coordinator string
	Kind        RecordKind
	Bodies      []Digest // digests of the statements (or policies), 1 to 8
}

type recordPredicate struct {
	Bodies      []Digest   `json:"bodies"`
	Coordinator string     `json:"coordinator"`
	Kind        RecordKind `json:"kind"`
}

const bodiesSubject = "bodies"

func (p recordPredicate) subject() ([]subject, error) {
	data, err := MarshalCanonical(p.Bodies)
	if err != nil {
		return nil, err
	}
	return oneSubject(bodiesSubject, SHA256(data)), nil
}

// Check reports why the record is not well-formed.
func (r Record) Check() error {
	if err := CheckName(r.Coordinator); err != nil {
		return fmt.Errorf("record: coordinator: %w", err)
	}
	if !slices.Contains([]RecordKind{RecordPolicy, RecordWithdrawal, RecordEquivocation}, r.Kind) {
		return fmt.Errorf("record: %w", malformed("kind %q", clip(string(r.Kind))))
	}
	if len(r.Bodies) == 0 || len(r.Bodies) > maxRecordBodies || r.Kind == RecordEquivocation && len(r.Bodies) != 2 {
		return fmt.Errorf("record: %w", malformed("%d bodies, 1 to %d allowed, two for an equivocation", len(r.Bodies), maxRecordBodies))
	}
	if err := checkDistinct(r.Bodies); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// Encode returns the payload of a valid record.
func (r Record) Encode() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	p := recordPredicate{r.Bodies, r.Coordinator, r.Kind}
	s, err := p.subject()
	if err != nil {
		return nil, err
	}
	return encodeStatement(RecordType, p, s)
}

// Seal signs the record with an opening key.
func (r Record) Seal(key SigningKey) (*Envelope, error) {
	return seal("record", r.Coordinator, key, r.Encode)
}

// ParseRecord reads a record's payload, whose envelope somebody else verified.
func ParseRecord(payload []byte) (Record, error) {
	s, err := decodeStatement[recordPredicate](payload, RecordType)
	if err != nil {
		return Record{}, fmt.Errorf("parsing record: %w", err)
	}
	r := Record{s.Predicate.Coordinator, s.Predicate.Kind, s.Predicate.Bodies}
	if err := r.Check(); err != nil {
		return Record{}, fmt.Errorf("parsing %w", err)
	}
	want, err := s.Predicate.subject()
	if err != nil || !slices.Equal(want, s.Subject) {
		return Record{}, fmt.Errorf("parsing record: %w", malformed("subject is not the listed bodies"))
	}
	return r, nil
}

// OpenRecord verifies a record under the opening key it names.
func OpenRecord(e *Envelope, coordinators Keys) (Record, error) {
	return open("record", e, ParseRecord, func(r Record) string { return r.Coordinator }, coordinators)
}
