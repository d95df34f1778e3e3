package evidence

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// decided is a logged decision that signatures may name.
type decided struct {
	attest.Decision

	digest attest.Digest
	index  int64
	origin string // of the log, by the decision's policy
	used   bool   // by a signature
}

// decision verifies who decided, about what, and that the log holds it.
func (v *verifier) decision() (string, error) {
	p, c := v.c.Policy, &v.c
	d, proof, err := v.bundle.Decision.Open(p.SignerKey, p.Log.Key)
	if err != nil {
		return "", err
	}
	switch {
	case d.Release != c.Release:
		return "", errors.New("it is about another release")
	case d.Request != c.RequestDigest:
		return "", errors.New("it is about another request")
	case d.Policy != p.Digest || d.PolicySerial != p.Serial:
		return "", fmt.Errorf("it was made under policy %d, the release was opened under policy %d", d.PolicySerial, p.Serial)
	case d.Blind == c.Request.ClaimPublic:
		return "", errors.New("it says otherwise than the request whether the votes were blind")
	case proof.Index <= v.openingIndex:
		return "", fmt.Errorf("it stands at entry %d of the log, before its opening at entry %d", proof.Index, v.openingIndex)
	}
	if err := d.Decides(v.bundle.Artifacts); err != nil {
		return "", err
	}
	if v.report.Seen.Decision, v.report.Witnesses, err = v.witnessed(proof.Checkpoint); err != nil {
		return "", err
	}
	v.own = decided{Decision: d, digest: v.bundle.Decision.Envelope.Digest(), index: proof.Index, origin: v.report.Origin}
	v.report.Decision, v.report.decision, v.report.LogIndex = d, v.own.digest, proof.Index
	v.report.TreeSize = v.bundle.Decision.Material.Entries[0].InclusionProof.TreeSize
	return fmt.Sprintf("signer %s decided at %v: entry %d of %s, in a tree of %d%s",
		d.Signer, d.Decided, proof.Index, v.report.Origin, v.report.TreeSize, cosigners(v.report.Witnesses)), nil
}

func (v *verifier) inForce() (string, error) {
	if err := v.c.Policy.InForce(v.own.Decided); err != nil {
		return "", err
	}
	return fmt.Sprintf("policy %d was in force when it was decided", v.c.Policy.Serial), nil
}

// agreement evaluates the case again, as the signer did.
func (v *verifier) agreement() (string, error) {
	verdict := policy.Evaluate(v.c, v.own.Decided)
	if verdict.Outcome != policy.Agreed {
		return "", fmt.Errorf("the votes do not agree (%s): %s", verdict.Outcome, verdict.Explanation)
	}
	v.report.Verdict = verdict
	return verdict.Explanation, nil
}

// verdict compares what the signer decided with what it had to decide.
func (v *verifier) verdict() (string, error) {
	d, verdict := v.own.Decision, v.report.Verdict
	if verdict.Set != d.Set {
		return "", errors.New("the operators agree on another artifact set than the decision's")
	}
	if verdict.Threshold != d.Threshold || verdict.Operators != d.Operators {
		return "", fmt.Errorf("decided as %d of %d operators, the policy says %d of %d", d.Threshold, d.Operators, verdict.Threshold, verdict.Operators)
	}
	if len(v.bundle.Votes) != len(d.Votes) {
		return "", fmt.Errorf("the decision lists %d votes and reports, the bundle holds %d", len(d.Votes), len(v.bundle.Votes))
	}
	if !slices.Equal(verdict.Accepted, d.Votes) {
		return "", errors.New("the decision lists other votes and reports than those that the policy accepts")
	}
	blind := "the votes were blind"
	if !d.Blind {
		blind = "the votes were not blind: the artifacts were public before"
	}
	return fmt.Sprintf("the decision lists exactly these votes; %s", blind), nil
}

// earlierDecisions verifies decisions from before, about whose artifacts
// signatures existed. They are judged by the keys of their own policy if the
// chain holds it, else by the release's. The log may have got another origin
// since; the tree went on, so they are proven in it as it is now.
func (v *verifier) earlierDecisions() (string, error) {
	var older strings.Builder
	for i, s := range v.bundle.Earlier {
		if s.Envelope == nil {
			return "", malformed("no envelope of a decision")
		}
		claimed, err := attest.ParseDecision(s.Envelope.Payload)
		if err != nil {
			return "", err
		}
		p := v.c.Policy
		if older, known := v.chain.ByDigest(claimed.Policy); known {
			p = older
		}
		d, proof, err := s.Open(p.SignerKey, v.c.Policy.Log.Key)
		if err != nil {
			return "", err
		}
		if proof.Index >= v.own.index {
			return "", fmt.Errorf("entry %d of the log is not earlier than the release's own decision, entry %d", proof.Index, v.own.index)
		}
		if _, _, err := v.witnessed(proof.Checkpoint); err != nil {
			return "", err
		}
		if i > 0 && v.earlier[i-1].index >= proof.Index {
			return "", malformed("earlier decision at entry %d is out of order or there twice", proof.Index)
		}
		if p.Serial < v.pinned.Serial {
			fmt.Fprintf(&older, "; entry %d was decided under policy %d, older than the pinned policy %d", proof.Index, p.Serial, v.pinned.Serial)
		}
		v.report.Insecure = v.report.Insecure || p.Insecure
		v.earlier = append(v.earlier, decided{Decision: d, digest: s.Envelope.Digest(), index: proof.Index, origin: p.Log.Origin})
	}
	if len(v.earlier) == 0 {
		return "none needed", nil
	}
	return fmt.Sprintf("%d in the log, before this one%s", len(v.earlier), older.String()), nil
}

// agreedOn reports whether d decided about the bytes of a, under any name.
func (d *decided) agreedOn(a attest.Artifact) bool {
	return slices.ContainsFunc(d.Artifacts, func(b attest.Agreed) bool { return a.SHA256 == b.SHA256 && a.SHA512 == b.SHA512 })
}
