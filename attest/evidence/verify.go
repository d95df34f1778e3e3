package evidence

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// ErrNotVerified is wrapped by every error that says: this evidence does not
// show what it should. The rest of the error says which step failed, and why.
var ErrNotVerified = errors.New("evidence not verified")

func notVerified(step string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrNotVerified, step, err)
}

// Verify checks everything but the file, from the pinned policy on. It
// believes nothing in the bundle that does not follow from the trust. Errors
// wrap [ErrNotVerified].
func Verify(b *Bundle, t Trust) (*Report, error) {
	v := &verifier{bundle: b, trust: t, report: &Report{set: b.Artifacts}}
	return v.verify()
}

func (v *verifier) verify() (*Report, error) {
	if err := v.bundle.check(); err != nil {
		return nil, notVerified("bundle", err)
	}
	for _, step := range []struct {
		what  string
		check func() (detail string, err error)
	}{
		{"pinned policy", v.pin},
		{"policy chain", v.extend},
		{"request", v.request},
		{"opening", v.opening},
		{"opening in the log", v.openingLogged},
		{"claim", v.claim},
		{"votes", v.votes},
		{"artifacts", v.artifacts},
		{"decision in the log", v.decision},
		{"policy in force", v.inForce},
		{"agreement", v.agreement},
		{"verdict", v.verdict},
		{"witness time", v.witnessTime},
		{"earlier decisions", v.earlierDecisions},
		{"certificates", v.openCertificates},
		{"signatures", v.openSignatures},
	} {
		detail, err := step.check()
		if err != nil {
			return nil, notVerified(step.what, err)
		}
		v.report.Steps = append(v.report.Steps, Step{step.what, detail})
	}
	return v.report, nil
}

// Reevaluate asks whether the signer decided as it had to, and not whether anybody
// may rely on the decision: it is [Verify], but for evidence without signatures it
// lets a decision pass that the log's witnesses saw too late, and says so in
// [Report.TooLate]. Deciding shortly before the witnesses go away is no fault;
// signing on it afterwards would be, and is refused here too.
func Reevaluate(b *Bundle, t Trust) (*Report, error) {
	v := &verifier{bundle: b, trust: t, orTooLate: true, report: &Report{set: b.Artifacts}}
	return v.verify()
}

// verifier is a verification under way: each step leaves what the next ones
// stand on.
type verifier struct {
	bundle *Bundle
	trust  Trust
	report *Report
	// asSigner has the witnesses of the release's own policy count, as the
	// signer did, not those of the pinned one.
	asSigner bool
	// orTooLate lets a decision without signatures pass that the witnesses saw too late.
	orTooLate bool

	pinned *policy.Version
	chain  *policy.Chain
	suite  *policy.Suite
	c      policy.Case // as it grows

	witnesses policy.Witnesses // that count

	openingIndex int64
	own          decided
	earlier      []decided
	certificates []certificate
}

func (v *verifier) pin() (string, error) {
	if v.trust.Policy == nil {
		return "", errors.New("no policy is pinned; name a trust file")
	}
	chain, err := v.trust.chain()
	if err != nil {
		return "", err
	}
	v.pinned, v.chain = chain.Newest(), chain
	whose := ""
	if v.witnesses = v.trust.Witnesses; !v.witnesses.IsZero() {
		whose = fmt.Sprintf("; %d of the verifier's own %d witnesses must have seen the log", v.witnesses.Quorum, len(v.witnesses.Keys))
	} else if v.witnesses = chain.Newest().Witnesses; !v.witnesses.IsZero() {
		whose = fmt.Sprintf("; %d of its %d witnesses must have seen the log", v.witnesses.Quorum, len(v.witnesses.Keys))
	}
	return fmt.Sprintf("policy %d is pinned and signed by its admins%s", chain.Newest().Serial, whose), nil
}

// extend walks from the pinned policy to the release's, and back to those before it.
func (v *verifier) extend() (string, error) {
	claimed, err := attest.ParseOpening(v.bundle.Opening.Payload)
	if err != nil {
		return "", err
	}
	pinned := v.pinned
	var before uint64
	var older []*attest.Envelope
	for _, e := range v.bundle.Policies {
		if e.PayloadType != attest.PolicyType {
			return "", malformed("no envelope of a policy")
		}
		if err := e.Check(); err != nil {
			return "", err
		}
		p, err := policy.Parse(e.Payload)
		if err != nil {
			return "", err
		}
		if p.Serial <= before {
			return "", malformed("policy %d does not stand in order", p.Serial)
		}
		before = p.Serial
		if p.Serial < pinned.Serial {
			older = append(older, e)
			continue
		}
		if err := v.chain.Add(e); err != nil {
			return "", err
		}
	}
	if last := v.bundle.Policies[len(v.bundle.Policies)-1]; last.Digest() != claimed.Policy {
		return "", fmt.Errorf("the chain does not end with policy %d, which the release was opened under", claimed.PolicySerial)
	}
	version, known := v.chain.ByDigest(claimed.Policy)
	if !known {
		return "", fmt.Errorf("%w: the release was opened under policy %d, pinned is policy %d", policy.ErrStale, claimed.PolicySerial, pinned.Serial)
	}
	v.precede(older)
	v.c.Policy, v.report.Policy, v.report.Origin = version, version, version.Log.Origin
	if v.asSigner {
		v.witnesses = version.Witnesses
	}
	v.report.Unwitnessed = !v.witnesses.Independent(pinned.Log.Operator, version.Log.Operator)
	v.report.Insecure = pinned.Insecure
	for _, p := range v.chain.Since(pinned.Serial) {
		v.report.Insecure = v.report.Insecure || p.Insecure
	}
	if version == pinned {
		return "the pinned policy is the release's own", nil
	}
	return fmt.Sprintf("leads from policy %d to policy %d, each step signed by the admins before and after it", pinned.Serial, version.Serial), nil
}

// precede goes back from the pinned policy, as far as each names the one before it by
// digest. What is left proves nothing to this verifier and is passed over. The
// release's own policy was found before: whoever pins a policy has given up the
// keys that it no longer lists, and they open no release. They may only explain
// when and why a signature was made that serves a release of today.
func (v *verifier) precede(older []*attest.Envelope) {
	for _, e := range slices.Backward(older) {
		if v.chain.Precede(e) != nil {
			return
		}
	}
}

func (v *verifier) request() (string, error) {
	p := v.c.Policy
	r, err := attest.OpenRequest(v.bundle.Request, p.PublisherKey)
	if err != nil {
		return "", err
	}
	if err := p.Admit(r); err != nil {
		return "", err
	}
	if v.suite, err = p.Suite(r.Suite); err != nil {
		return "", err
	}
	v.c.Request, v.c.RequestDigest, v.report.Request = r, v.bundle.Request.Digest(), r
	return fmt.Sprintf("publisher %s asked for %s %s (%s) in suite %s, as the policy allows", r.Publisher, r.Source, r.Version, r.Architecture, r.Suite), nil
}

func (v *verifier) opening() (string, error) {
	o, err := attest.OpenOpening(v.bundle.Opening, v.c.Policy.CoordinatorKey)
	if err != nil {
		return "", err
	}
	if o.Request != v.c.RequestDigest {
		return "", errors.New("it opens another request")
	}
	v.c.Opening, v.c.Release, v.report.Release = o, v.bundle.Opening.Digest(), v.bundle.Opening.Digest()
	return fmt.Sprintf("coordinator %s opened attempt %d at %v, until %v", o.Coordinator, o.Attempt, o.Opened, o.Deadline), nil
}

func (v *verifier) openingLogged() (string, error) {
	p := v.c.Policy
	key, err := p.CoordinatorKey(v.c.Opening.Coordinator)
	if err != nil {
		return "", err
	}
	leaf, err := translog.Leaf(v.bundle.Opening, key)
	if err != nil {
		return "", err
	}
	proof, err := translog.ParseTLogProof([]byte(v.bundle.OpeningProof))
	if err != nil {
		return "", err
	}
	checkpoint, err := proof.Verify(leaf, p.Log.Key)
	if err != nil {
		return "", err
	}
	seen, by, err := v.witnessed(proof.Checkpoint)
	if err != nil {
		return "", err
	}
	v.openingIndex, v.report.Seen.Opening, v.report.OpeningLeaf = proof.Index, seen, leaf
	return fmt.Sprintf("entry %d of %s, in a tree of %d%s", proof.Index, checkpoint.Origin, checkpoint.Size, cosigners(by)), nil
}

func (v *verifier) claim() (string, error) {
	salted, claim := v.c.Request.Claim, v.bundle.Claim
	switch {
	case salted.IsZero() && claim == nil:
		return "none was made", nil
	case salted.IsZero():
		return "", errors.New("the request makes none, the bundle has one")
	case claim == nil:
		return "", errors.New("the request makes one, the bundle does not open it")
	case !claim.Matches(salted):
		return "", errors.New("salt and set digest are not those that the request hides")
	}
	v.c.Claim = claim
	return "salt and set digest open what the request hides", nil
}

func (v *verifier) votes() (string, error) {
	var names []string
	for i, e := range v.bundle.Votes {
		if i > 0 && compareEnvelopes(v.bundle.Votes[i-1], e) >= 0 {
			return "", malformed("vote %d is out of order or there twice", i+1)
		}
		r, err := attest.OpenRebuild(e, v.c.Policy.RebuilderKey)
		if err != nil {
			return "", err
		}
		if r.Release != v.c.Release {
			return "", fmt.Errorf("the statement of %s is about another release", r.Rebuilder)
		}
		v.c.Votes = append(v.c.Votes, policy.Vote{Rebuild: r, Statement: e.Digest()})
		names = append(names, r.Rebuilder+" "+string(r.Outcome))
	}
	slices.Sort(names)
	return "signed by " + strings.Join(names, ", "), nil
}

func (v *verifier) artifacts() (string, error) {
	if err := v.suite.CheckArtifacts(v.bundle.Artifacts); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d, of kinds that the suite allows", len(v.bundle.Artifacts)), nil
}
