package evidence

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// Parts are what a bundle is built of, in any order where a list has none of its own.
type Parts struct {
	Policies     []*attest.Envelope // from the first to the release's, oldest first
	Request      *attest.Envelope
	Opening      *attest.Envelope
	OpeningProof translog.Proof
	Claim        *attest.Claim
	Votes        []*attest.Envelope // those that the decision lists
	Artifacts    attest.Artifacts   // the decided set
	Decision     Logged
	Earlier      []Logged // decisions that reused signatures name
	Certificates []*openpgp.Certificate
	Signatures   []Signature
}

// Logged is a decision with the proof that the log holds it.
type Logged struct {
	Envelope *attest.Envelope
	Proof    translog.Proof
}

// Build puts a bundle together and verifies it, with the oldest of its own
// policies pinned and the witnesses of the release's: evidence that does not
// convince its maker is not published. Without signatures the decision may have
// come too late for the witnesses, as in [Reevaluate].
func Build(in Parts) (*Bundle, error) {
	b, err := build(in)
	if err != nil {
		return nil, fmt.Errorf("building evidence bundle: %w", err)
	}
	v := &verifier{bundle: b, trust: Trust{Policy: b.Policies[0]}, asSigner: true, orTooLate: true, report: &Report{set: b.Artifacts}}
	if _, err := v.verify(); err != nil {
		return nil, fmt.Errorf("building evidence bundle: %w", err)
	}
	return b, nil
}

func build(in Parts) (*Bundle, error) {
	rules, err := readPolicies(in.Policies)
	if err != nil {
		return nil, err
	}
	b := &Bundle{
		Artifacts: in.Artifacts, Claim: in.Claim, MediaType: MediaType,
		Opening: in.Opening, OpeningProof: string(in.OpeningProof.MarshalTLogProof()),
		Policies: in.Policies, Request: in.Request,
		Signatures: slices.SortedFunc(slices.Values(in.Signatures), compareSignatures),
		Votes:      slices.SortedFunc(slices.Values(in.Votes), compareEnvelopes),
	}
	if b.Decision, err = rules.sigstore(in.Decision); err != nil {
		return nil, fmt.Errorf("decision: %w", err)
	}
	earlier := slices.SortedFunc(slices.Values(in.Earlier), func(a, b Logged) int { return cmp.Compare(a.Proof.Index, b.Proof.Index) })
	for _, l := range earlier {
		s, err := rules.sigstore(l)
		if err != nil {
			return nil, fmt.Errorf("earlier decision: %w", err)
		}
		b.Earlier = append(b.Earlier, s)
	}
	certificates := slices.SortedFunc(slices.Values(in.Certificates), func(a, b *openpgp.Certificate) int {
		return strings.Compare(a.Fingerprint(), b.Fingerprint())
	})
	for _, c := range certificates {
		b.Certificates = append(b.Certificates, c.Binary())
	}
	return b, b.check()
}

// rulebook finds the keys that a decision is made and logged with.
type rulebook struct {
	byDigest map[attest.Digest]*policy.Policy
	last     *policy.Policy
}

func readPolicies(envelopes []*attest.Envelope) (*rulebook, error) {
	r := &rulebook{byDigest: map[attest.Digest]*policy.Policy{}}
	for _, e := range envelopes {
		if e == nil {
			return nil, malformed("policy missing")
		}
		p, err := policy.Parse(e.Payload)
		if err != nil {
			return nil, err
		}
		r.byDigest[e.Digest()], r.last = &p, &p
	}
	if r.last == nil {
		return nil, malformed("no policy")
	}
	return r, nil
}

func (r *rulebook) sigstore(l Logged) (*Sigstore, error) {
	if l.Envelope == nil {
		return nil, malformed("missing")
	}
	d, err := attest.ParseDecision(l.Envelope.Payload)
	if err != nil {
		return nil, err
	}
	p := r.last
	if own, known := r.byDigest[d.Policy]; known {
		p = own
	}
	key, err := p.SignerKey(d.Signer)
	if err != nil {
		return nil, err
	}
	return NewSigstore(l.Envelope, key, r.last.Log.Key, l.Proof)
}
