package evidence

import (
	"errors"
	"fmt"

	"github.com/reprosign/reprosign/attest"
)

// MaxAnchor bounds an anchor, in bytes: a decision and a proof.
const MaxAnchor = 2 * attest.MaxEnvelope

// Anchored is where another log holds a decision.
type Anchored struct {
	Log      string // its origin
	Index    int64
	TreeSize int64 // of the tree in which its inclusion was shown
}

// CheckAnchor verifies that another log, known by its key, holds the decision
// of this report: data is the anchor, a Sigstore bundle with that log's proof
// (docs/spec/log.md). The error wraps [ErrNotVerified]. An anchor adds nothing
// to the verdict; it shows the decision to those who watch the other log.
func (r *Report) CheckAnchor(data []byte, log attest.VerifierKey) (Anchored, error) {
	a, err := r.checkAnchor(data, log)
	if err != nil {
		return Anchored{}, notVerified("anchor", err)
	}
	return a, nil
}

func (r *Report) checkAnchor(data []byte, log attest.VerifierKey) (Anchored, error) {
	var s Sigstore
	if err := attest.UnmarshalStrict(data, MaxAnchor, &s); err != nil {
		return Anchored{}, err
	}
	if s.Envelope == nil {
		return Anchored{}, errors.New("it holds no decision")
	}
	if s.Envelope.Digest() != r.decision {
		return Anchored{}, fmt.Errorf("it is of another decision than %s", r.decision)
	}
	_, proof, err := s.Open(r.Policy.SignerKey, log)
	if err != nil {
		return Anchored{}, err
	}
	return Anchored{log.Name(), proof.Index, s.Material.Entries[0].InclusionProof.TreeSize}, nil
}
