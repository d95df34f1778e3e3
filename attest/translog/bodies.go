package translog

import (
	"fmt"

	"github.com/reprosign/reprosign/attest"
)

// BodyOf returns the digest by which a leaf names its statement, whose envelope
// is served as the body of that digest. A leaf that names none is an error; a
// [Follower] reads it all the same, as foreign.
func BodyOf(leaf []byte) (attest.Digest, error) {
	body, _, _, err := openLeaf(leaf)
	if err != nil {
		return attest.Digest{}, fmt.Errorf("reading log leaf: %w", err)
	}
	return body, nil
}

// BodiesOf returns the digests of the envelopes that a statement names and that
// a [Follower] needs to read its entry: of an opening its request, of a record
// what it brings into the log. A statement that cannot be read names none.
func BodiesOf(statement *attest.Envelope) []attest.Digest {
	switch attest.PredicateType(statement.Payload) {
	case attest.OpeningType:
		if o, err := attest.ParseOpening(statement.Payload); err == nil {
			return []attest.Digest{o.Request}
		}
	case attest.RecordType:
		if r, err := attest.ParseRecord(statement.Payload); err == nil {
			return r.Bodies
		}
	}
	return nil
}
