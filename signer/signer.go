// Package signer is the trust domain in front of the device: it decides for
// itself, and only then has the device sign (design §2.5 to §2.7).
//
// The signer believes nothing that the coordinator says. From its pinned
// policy, its own copy of the evidence log (package ledger) and the envelopes in
// a message it works out again whether the release was lawfully requested,
// opened and agreed on; what it then signs is a decision, with its own statement
// key. For a signature it wants that very decision to stand in the log: so there
// is no signature whose reason is not public. And it knows what else the log
// says: what was withdrawn, which operators equivocated, which file name has
// which content, which policy is in force.
//
//	book, err := promise.Open(promise.Config{Directory: state, …})
//	l, err := ledger.Open(ledger.Config{Directory: state, Trust: pinned, Reader: ledger.OverBus(conn), …})
//	s, err := signer.New(signer.Config{Trust: pinned, Ledger: l, Promises: book, Key: statementKey, Certificates: certificates, …})
//	go l.Run(ctx)
//	err = conn.ServeSigner(ctx, s)
//
// What it remembers is the log: two signers that know the same entries answer the
// same, and a new one learns from the log alone all that the log shows. What the log
// may be kept from showing, which signatures were made, it remembers itself (package
// promise), and that alone a new one cannot learn.
package signer

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/signer/key"
	"github.com/reprosign/reprosign/signer/promise"
)

// MaxClockSkew is how far an opening may lie in the signer's future.
const MaxClockSkew = 5 * time.Minute

// MaxCases bounds the cases in one request for decisions.
const MaxCases = 256

// Certificate is an OpenPGP certificate and the device's key that signs for it.
type Certificate struct {
	Certificate *openpgp.Certificate
	Key         key.Key
}

// Config is what a signer needs.
type Config struct {
	// Trust is the chain that starts with the pinned policy. The ledger extends
	// it with those in the log.
	Trust *policy.Chain
	// Ledger is what the signer knows of the log.
	Ledger Ledger
	// Promises are what the signer said that its signatures name.
	Promises *promise.Book
	// Key is the statement key; every policy it decides under must list it.
	Key attest.SigningKey
	// Certificates are the OpenPGP certificates it signs for.
	Certificates []Certificate
	// Now is the clock; its time becomes the time of decisions.
	Now func() time.Time
	Log *slog.Logger
}

// Signer decides and signs. It is safe for concurrent use.
type Signer struct {
	ledger       Ledger
	promises     *promise.Book
	pending      pending
	made         *made
	key          attest.SigningKey
	certificates map[string]Certificate
	now          func() time.Time
	log          *slog.Logger
	metrics      *metrics
}

// New returns a signer. It refuses a certificate whose device key is another,
// so that a mix-up shows at start and not at the first release.
func New(c Config) (*Signer, error) {
	if c.Key.Algorithm() != attest.ECDSAP256 {
		return nil, fmt.Errorf("statement key is %v, must be %v", c.Key.Algorithm(), attest.ECDSAP256)
	}
	newest := c.Trust.Newest()
	if own, err := newest.SignerKey(c.Key.Name()); err != nil || own.Fingerprint() != c.Key.Fingerprint() {
		c.Log.Warn("statement key is not in the newest policy known so far; nothing is decided until a later one brings it",
			slog.String("signer", c.Key.Name()), slog.Uint64("policy", newest.Serial))
	}
	s := &Signer{
		ledger: c.Ledger, promises: c.Promises, pending: pending{names: map[suiteName]claimed{}}, made: newMade(), key: c.Key, certificates: map[string]Certificate{},
		now: c.Now, log: c.Log, metrics: newMetrics(),
	}
	for _, cert := range c.Certificates {
		fingerprint := cert.Certificate.Fingerprint()
		held, ok := cert.Key.Public().(interface{ Equal(x crypto.PublicKey) bool })
		if !ok || !held.Equal(cert.Certificate.SigningKey()) {
			return nil, fmt.Errorf("certificate %s: the device holds another key than the certificate names", fingerprint)
		}
		if _, twice := s.certificates[fingerprint]; twice {
			return nil, fmt.Errorf("certificate %s: named twice", fingerprint)
		}
		s.certificates[fingerprint] = cert
	}
	return s, nil
}

// refusal is an error with the kind that the coordinator acts on.
func refusal(kind bus.Kind, format string, args ...any) error {
	return &kindError{kind: kind, err: fmt.Errorf(format, args...)}
}

type kindError struct {
	kind bus.Kind
	err  error
}

func (e *kindError) Error() string { return e.err.Error() }
func (e *kindError) Unwrap() error { return e.err }

// answer turns an error into what travels. Errors without a kind come from
// checks of what was sent: the message is at fault.
func answer(err error) *bus.Error {
	var k *kindError
	kind := bus.KindDenied
	switch {
	case errors.As(err, &k):
		kind = k.kind
	case errors.Is(err, attest.ErrMalformed):
		kind = bus.KindInvalid
	case errors.Is(err, key.ErrUnavailable), errors.Is(err, key.ErrLocked), errors.Is(err, key.ErrThrottled),
		errors.Is(err, key.ErrUnauthorized), errors.Is(err, key.ErrMisconfigured), errors.Is(err, key.ErrWrongSignature),
		errors.Is(err, key.ErrClosed):
		kind = bus.KindUnavailable
	}
	return bus.Errorf(kind, "%v", err)
}
