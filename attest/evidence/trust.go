package evidence

import (
	"bytes"
	"fmt"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// Trust is all that a verifier believes before it reads a bundle: one signed
// policy, which the admins handed out. It must be as old as the oldest
// release to be verified, or older; the bundle leads on from there.
type Trust struct {
	Policy *attest.Envelope
}

// ParseTrust reads a trust file: one signed policy envelope. A line end behind
// it, which editors leave, is no part of it.
func ParseTrust(data []byte) (Trust, error) {
	e, err := attest.ParseEnvelope(bytes.TrimSuffix(data, []byte("\n")))
	if err != nil {
		return Trust{}, fmt.Errorf("parsing trust file: %w", err)
	}
	if _, err := policy.Pin(e); err != nil {
		return Trust{}, fmt.Errorf("parsing trust file: %w", err)
	}
	return Trust{Policy: e}, nil
}
