package translog

import (
	"fmt"

	"github.com/reprosign/reprosign/attest"
)

// MaxFact bounds an encoded fact, in bytes. The largest is of a decision about
// 1,024 artifacts, or of a policy, which it holds whole.
const MaxFact = attest.MaxEnvelope + 64<<10

// Kind says what an entry is about.
type Kind string

// The kinds of entries. Those of records are the records' own.
const (
	KindOpening      Kind = "opening"
	KindDecision     Kind = "decision"
	KindSignatures   Kind = "signatures-made"
	KindPolicy            = Kind(attest.RecordPolicy)
	KindWithdrawal        = Kind(attest.RecordWithdrawal)
	KindEquivocation      = Kind(attest.RecordEquivocation)
	KindComplaint         = Kind(attest.RecordComplaint)
	// KindForeign are entries that are no statement of a party of the policies.
	KindForeign Kind = "foreign"
)

// Fact is what an entry means: all that a [Follower] remembers of it, so that
// a follower can be built again from facts without the entries. It follows from
// the entry and those before it, and from nothing else.
type Fact struct {
	Leaf      attest.Digest `json:"leaf"` // the leaf's hash
	Kind      Kind          `json:"kind"`
	Statement attest.Digest `json:"statement,omitzero"` // digest of the statement; zero if foreign
	// Problem says why the entry changes nothing, whatever it says: no lawful
	// coordinator and no lawful signer would have logged it.
	Problem string `json:"problem,omitzero"`

	Opening    *OpeningFact    `json:"opening,omitzero"`
	Decision   *DecisionFact   `json:"decision,omitzero"`
	Signatures *SignaturesFact `json:"signatures,omitzero"`
	Record     *RecordFact     `json:"record,omitzero"`
}

// OpeningFact is an opening with what its request says that others depend on.
// The release's id is the fact's Statement.
type OpeningFact struct {
	Request   attest.Digest `json:"request"`
	Policy    attest.Digest `json:"policy"`
	Attempt   int           `json:"attempt"`
	Publisher string        `json:"publisher"`
	Suite     string        `json:"suite"`
	Source    string        `json:"source"`
}

// DecisionFact is a decision.
type DecisionFact struct {
	Release   attest.Digest `json:"release"`
	Signer    string        `json:"signer"`
	Decided   attest.Time   `json:"decided"`
	Ground    attest.Ground `json:"ground"`
	Set       attest.Digest `json:"set"`
	Artifacts []NamedBytes  `json:"artifacts"`
}

// NamedBytes is a decided artifact.
type NamedBytes struct {
	Name   string           `json:"name"`
	SHA256 attest.Digest    `json:"sha256"`
	SHA512 attest.Digest512 `json:"sha512"`
}

// SignaturesFact is a signatures-made statement.
type SignaturesFact struct {
	Release     attest.Digest `json:"release"`
	Decision    attest.Digest `json:"decision"`
	Certificate string        `json:"certificate"`
	Count       int           `json:"count"`
}

// RecordFact is a record. What beside the bodies is there depends on its kind.
type RecordFact struct {
	Bodies  []attest.Digest `json:"bodies"`
	Release attest.Digest   `json:"release,omitzero"`
	// By names the author of a withdrawal or a complaint, or a rebuilder of the
	// operator that equivocated.
	By     string           `json:"by,omitzero"`
	Policy *attest.Envelope `json:"policy,omitzero"`
	// Contradicts says that the admins signed another policy with this one's serial.
	Contradicts bool `json:"contradicts,omitzero"`
}

// Encode returns the fact in canonical JSON, without line breaks.
func (f *Fact) Encode() ([]byte, error) {
	data, err := attest.MarshalCanonical(f)
	if err != nil {
		return nil, fmt.Errorf("encoding fact: %w", err)
	}
	if len(data) > MaxFact {
		return nil, malformed("fact of %d bytes, at most %d allowed", len(data), MaxFact)
	}
	return data, nil
}

// ParseFact reads what [Fact.Encode] wrote. It verifies nothing: facts are
// somebody's own memory, and who can change that can change what it says.
func ParseFact(data []byte) (Fact, error) {
	var f Fact
	if err := attest.UnmarshalStrict(data, MaxFact, &f); err != nil {
		return Fact{}, fmt.Errorf("parsing fact: %w", err)
	}
	return f, nil
}
