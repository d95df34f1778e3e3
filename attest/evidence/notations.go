package evidence

import (
	"fmt"
	"strings"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/openpgp"
)

// Names of the notations in every OpenPGP signature, by which it points to its
// evidence. The domain is a name space, not an address.
const (
	// NotationEvidence is the log's origin and the decision's digest, with a space between them.
	NotationEvidence = "evidence@reprosign.github.io"
	// NotationGround is the ground of the decision.
	NotationGround = "ground@reprosign.github.io"
	// NotationDataDigest is the file's own SHA-512: "sha512:" and hexadecimal digits.
	NotationDataDigest = "data-digest@reprosign.github.io"
)

// Notations returns what a signature over a file says besides who and when.
// The signer writes them and the verifier expects them, to the byte: they
// follow from the logged decision and the file alone.
func Notations(origin string, decision attest.Digest, ground attest.Ground, sha512 attest.Digest512) []openpgp.Notation {
	return []openpgp.Notation{
		{Name: NotationEvidence, Value: origin + " " + decision.String()},
		{Name: NotationGround, Value: string(ground)},
		{Name: NotationDataDigest, Value: "sha512:" + sha512.String()},
	}
}

// DecisionNamed returns the digest of the decision that a signature says it was
// made on. Nothing is verified.
func DecisionNamed(signature []byte) (attest.Digest, error) {
	parsed, err := openpgp.ParseSignature(signature)
	if err != nil {
		return attest.Digest{}, err
	}
	for _, n := range parsed.Notations {
		if n.Name == NotationEvidence {
			_, digest, _ := strings.Cut(n.Value, " ")
			return attest.ParseDigest(digest)
		}
	}
	return attest.Digest{}, fmt.Errorf("signature names no decision: it has no notation %s", NotationEvidence)
}
