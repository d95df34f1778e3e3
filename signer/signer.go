// Package signer is the trust domain in front of the device: it decides for
// itself, and only then has the device sign (design §2.5 to §2.7).
//
// The signer believes nothing that the coordinator says. From its pinned
// policy and the envelopes in a message it works out again whether the release
// was lawfully requested, opened and agreed on; what it then signs is a
// decision, with its own statement key. For a signature it wants that very
// decision back, with a proof that it is in the log: so there is no signature
// whose reason is not public.
//
//	s, err := signer.New(signer.Config{Trust: pinned, Key: statementKey, Certificates: certificates, …})
//	err = conn.ServeSigner(ctx, s)
//
// It keeps no state but the policies it has verified. Each request carries all
// that its answer depends on.
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
	// Trust is the chain of policies from the pinned one; the signer extends it
	// with policies that the chain rules admit.
	Trust *policy.Chain
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
	trust        *policy.Chain
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
	if _, err := c.Trust.Newest().SignerKey(c.Key.Name()); err != nil {
		return nil, fmt.Errorf("statement key in the pinned policy: %w", err)
	}
	s := &Signer{trust: c.Trust, key: c.Key, certificates: map[string]Certificate{}, now: c.Now, log: c.Log, metrics: newMetrics()}
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

// extend adds policies that lead on from the pinned one. Those before it are
// none of this signer's business.
func (s *Signer) extend(chain []*attest.Envelope) error {
	for _, e := range chain {
		before := s.trust.Newest().Serial
		err := s.trust.Add(e)
		if errors.Is(err, policy.ErrStale) {
			continue
		}
		if err != nil {
			return refusal(bus.KindDenied, "policy chain: %w", err)
		}
		if now := s.trust.Newest(); now.Serial != before {
			s.log.Info("policy in force", slog.Any("serial", now.Serial), slog.Any("policy", now.Digest))
		}
	}
	return nil
}

// known returns the policy of a release, if the chain leads to it.
func (s *Signer) known(digest attest.Digest) (*policy.Version, error) {
	version, known := s.trust.ByDigest(digest)
	if !known {
		return nil, refusal(bus.KindUnknownPolicy, "policy %s is not known here; send the chain that leads to it", digest.Short())
	}
	return version, nil
}

// newest returns the newest policy, which must not have expired.
func (s *Signer) newest(at attest.Time) (*policy.Version, error) {
	version := s.trust.Newest()
	if err := version.InForce(at); err != nil {
		return nil, refusal(bus.KindDenied, "%w", err)
	}
	return version, nil
}

// mayDecide refuses decisions under any other policy than the newest: who may
// vote or request is what the admins say now.
func (s *Signer) mayDecide(under *policy.Version, at attest.Time) error {
	newest, err := s.newest(at)
	if err != nil {
		return err
	}
	if newest.Digest != under.Digest {
		return refusal(bus.KindDenied, "policy %d is superseded by policy %d; open the release again", under.Serial, newest.Serial)
	}
	return nil
}

// maySign refuses signatures that the newest policy no longer allows. A
// decision made lawfully under an older policy stays good as long as its
// statement key, its log and its certificate are still trusted: otherwise a
// harmless new policy would strand every release between decision and signature.
func (s *Signer) maySign(d attest.Decision, under *policy.Version, suite, certificate string, at attest.Time) error {
	newest, err := s.newest(at)
	if err != nil {
		return err
	}
	then, err := under.SignerKey(d.Signer)
	if err != nil {
		return err
	}
	now, err := newest.SignerKey(d.Signer)
	if err != nil || now.Fingerprint() != then.Fingerprint() {
		return refusal(bus.KindDenied, "statement key of %q is not trusted any more by policy %d", d.Signer, newest.Serial)
	}
	if newest.Log.Key.Fingerprint() != under.Log.Key.Fingerprint() {
		return refusal(bus.KindDenied, "log of policy %d is not the log of policy %d", under.Serial, newest.Serial)
	}
	for _, v := range []*policy.Version{under, newest} {
		rules, err := v.Suite(suite)
		if err != nil {
			return refusal(bus.KindDenied, "policy %d: %w", v.Serial, err)
		}
		if err := rules.MaySign(certificate); err != nil {
			return refusal(bus.KindDenied, "policy %d: %w", v.Serial, err)
		}
	}
	return nil
}
