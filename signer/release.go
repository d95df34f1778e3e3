package signer

import (
	"fmt"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

// release is a request and its opening, verified and bound to each other and
// to a policy of the chain. There is no other way to make one than [Signer.release].
type release struct {
	id            attest.Digest
	version       *policy.Version
	suite         *policy.Suite
	request       attest.Request
	requestDigest attest.Digest
	opening       attest.Opening
}

func (s *Signer) release(request, opening *attest.Envelope, at attest.Time) (*release, error) {
	if request == nil || opening == nil {
		return nil, refusal(bus.KindInvalid, "request or opening missing")
	}
	// Which policy's keys to use stands in the opening itself; the signature is
	// checked under them right after.
	claimed, err := attest.ParseOpening(opening.Payload)
	if err != nil {
		return nil, err
	}
	version, err := s.known(claimed.Policy)
	if err != nil {
		return nil, err
	}
	r := &release{id: opening.Digest(), version: version, requestDigest: request.Digest()}
	if r.opening, err = attest.OpenOpening(opening, version.CoordinatorKey); err != nil {
		return nil, err
	}
	if r.request, err = attest.OpenRequest(request, version.PublisherKey); err != nil {
		return nil, err
	}
	if r.opening.Request != r.requestDigest {
		return nil, fmt.Errorf("opening is of request %s, not of %s", r.opening.Request.Short(), r.requestDigest.Short())
	}
	if r.opening.PolicySerial != version.Serial {
		return nil, fmt.Errorf("opening names policy serial %d, policy has %d", r.opening.PolicySerial, version.Serial)
	}
	if r.opening.Opened > at.Add(MaxClockSkew) {
		return nil, refusal(bus.KindNotReady, "opening is from %v, which is in the future of the signer's clock (%v)", r.opening.Opened, at)
	}
	if err := version.Admit(r.request); err != nil {
		return nil, err
	}
	if r.suite, err = version.Suite(r.request.Suite); err != nil {
		return nil, err
	}
	return r, nil
}
