package backend

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reprosign/reprosign/attest"
)

// Input is one thing that was fetched. Module sums are Go's h1 hashes.
type Input struct {
	Name   string        `json:"name"`
	SHA256 attest.Digest `json:"sha256"`
	Size   int64         `json:"size"`
	Sum    string        `json:"sum,omitzero"`
}

// Inputs is the input manifest: everything that was fetched, sorted by name. Its digest goes into the rebuild statement,
// so that rebuilders that differ can see whether they started from the same.
type Inputs []Input

func (in Inputs) sorted() Inputs {
	slices.SortFunc(in, func(a, b Input) int { return strings.Compare(a.Name, b.Name) })
	return in
}

// Encode returns the manifest as canonical JSON, an array of {name, sha256, size, sum}.
func (in Inputs) Encode() ([]byte, error) {
	if in == nil {
		in = Inputs{}
	}
	data, err := attest.MarshalCanonical(in)
	if err != nil {
		return nil, fmt.Errorf("encoding the input manifest: %w", err)
	}
	return data, nil
}

// Digest is the SHA-256 of Encode, zero for an empty manifest.
func (in Inputs) Digest() (attest.Digest, error) {
	if len(in) == 0 {
		return attest.Digest{}, nil
	}
	data, err := in.Encode()
	if err != nil {
		return attest.Digest{}, err
	}
	return attest.SHA256(data), nil
}
