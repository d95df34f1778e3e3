package signer

import (
	"fmt"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

// release is a request and its opening, bound to each other and to a policy of
// the log, and not withdrawn. There is no other way to make one than [newRelease].
type release struct {
	id            attest.Digest
	version       *policy.Version
	suite         *policy.Suite
	request       attest.Request
	requestDigest attest.Digest
	opening       attest.Opening
	log           *recollection
}

// newRelease binds what a message holds to what the log says. The opening's
// signature was verified with its entry, and its digest is the release's id.
func newRelease(m *recollection, request, opening *attest.Envelope, at attest.Time) (*release, error) {
	if request == nil || opening == nil {
		return nil, refusal(bus.KindInvalid, "request or opening missing")
	}
	if !m.logged {
		return nil, refusal(bus.KindNotReady, "opening of release %s is not in the published log", opening.Digest().Short())
	}
	r := &release{id: opening.Digest(), version: m.Policy, requestDigest: request.Digest(), log: m}
	var err error
	if r.opening, err = attest.ParseOpening(opening.Payload); err != nil {
		return nil, err
	}
	if r.request, err = attest.OpenRequest(request, r.version.PublisherKey); err != nil {
		return nil, err
	}
	if r.opening.Request != r.requestDigest {
		return nil, fmt.Errorf("opening is of request %s, not of %s", r.opening.Request.Short(), r.requestDigest.Short())
	}
	if m.Withdrawn {
		return nil, refusal(bus.KindDenied, "release %s was withdrawn, the log says", r.id.Short())
	}
	if m.Reopened {
		return nil, refusal(bus.KindDenied, "release %s had expired: a later attempt at its request is in the log", r.id.Short())
	}
	if r.opening.Opened > at.Add(MaxClockSkew) {
		return nil, refusal(bus.KindNotReady, "opening is from %v, which is in the future of the signer's clock (%v)", r.opening.Opened, at)
	}
	if err := r.version.Admit(r.request); err != nil {
		return nil, err
	}
	if r.suite, err = r.version.Suite(r.request.Suite); err != nil {
		return nil, err
	}
	return r, m.inForce(r.suite, at)
}

// caseOf is the release with votes, and with what the log has against it.
func (r *release) caseOf(claim *attest.Claim, votes []policy.Vote) policy.Case {
	return policy.Case{
		Policy: r.version, Request: r.request, RequestDigest: r.requestDigest, Opening: r.opening, Release: r.id,
		Claim: claim, Votes: votes, Objections: r.log.objections(),
	}
}
