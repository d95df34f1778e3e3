package signer

import (
	"errors"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/signer/ledger"
	"github.com/reprosign/reprosign/signer/promise"
)

// naming is the decision that the one signature over some bytes names, or why
// there can be none.
type naming struct {
	decision translog.Decided
	problem  error
}

// named returns what was promised for some bytes, wherever the log would begin
// today; else, of all decisions about them, the first in the log. A promise is kept
// only while the log has its decision: a signature must name one that all can find.
func (s *Signer) named(v ledger.View, certificate string, sha512 attest.Digest512) naming {
	promised, given := s.promises.Given(certificate, sha512)
	if !given {
		d, decided := v.FirstDecision(sha512, certificate)
		if !decided {
			return naming{problem: refusal(bus.KindDenied, "the log has no decision about its bytes that this certificate may sign on")}
		}
		return naming{decision: d}
	}
	r, opened := v.Release(promised.Release)
	if !opened || r.Decision == nil || r.Decision.Statement != promised.Statement {
		return naming{problem: refusal(bus.KindDenied, "its one signature by certificate %s names decision %s about release %s, which is not in this log, "+
			"and another signature over the same bytes is never made; docs/operations.md, \"The signer keeps another promise\", says what to do",
			certificate, promised.Statement, promised.Release)}
	}
	return naming{decision: *r.Decision}
}

// promise makes durable which decisions the signatures will name. The device is
// asked only afterwards: whatever happens then, no other signature is made.
func (s *Signer) promise(w *warrant) error {
	promises := make([]promise.Promise, len(w.artifacts))
	for i, a := range w.artifacts {
		promises[i] = promise.Promise{SHA512: a.SHA512, Decision: promise.Decision{Release: w.named[i].Release, Statement: w.named[i].Statement}}
	}
	err := s.promises.Give(w.certificate.Certificate.Fingerprint(), promises)
	switch {
	case errors.Is(err, promise.ErrOther): // between the look at the log and now
		return refusal(bus.KindNotReady, "the same bytes are being signed for another release: %w", err)
	case err != nil:
		return refusal(bus.KindUnavailable, "%w", err)
	}
	return nil
}
