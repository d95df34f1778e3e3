package attest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/reprosign/reprosign/attest/canonical"
)

// Ground is why a signature is lawful (design §2).
type Ground string

// GroundQuorum is the ground of n distinct operators' agreement.
const GroundQuorum Ground = "quorum"

// Decision is the signer's verdict on one release: a SLSA Verification Summary
// Attestation v1 over the agreed artifacts. Together with an artifact and a
// certificate it fixes every byte of the signature that follows.
type Decision struct {
	Signer  string // name of the statement key
	Release Digest // the release id
	Request Digest
	// Policy and PolicySerial name the policy the release was opened and decided under.
	Policy       Digest
	PolicySerial uint64
	// Decided is the signer's time of evaluation and the creation time of every
	// OpenPGP signature made on this decision.
	Decided   Time
	Ground    Ground
	Set       Digest
	Artifacts []Agreed
	// Threshold of Operators had to agree.
	Threshold int
	Operators int
	// Votes are the digests of all accepted votes and reports, sorted.
	Votes []Digest
	// Blind says that no public copy of the artifacts existed that votes could
	// have been copied from.
	Blind bool
}

// Agreed is an artifact as a decision names it. Kind and size are bound by the
// set digest.
type Agreed struct {
	Name   string
	SHA256 Digest
	SHA512 Digest512
}

// MaxVotes bounds the votes and reports that a decision lists.
const MaxVotes = 1024

// URIs in the terms of SLSA, but for what they end with.
const (
	releaseURI   = "urn:reprosign:release:"
	statementURI = "urn:reprosign:statement:"
	policyURI    = "urn:reprosign:policy:"
)

// level is what the verdict amounts to, in SLSA's terms a custom level.
func (d Decision) level() string {
	return fmt.Sprintf("REPROSIGN_REPRODUCED_%d_OF_%d", d.Threshold, d.Operators)
}

// AgreedOf returns the artifacts of a set as a decision names them.
func AgreedOf(set Artifacts) []Agreed {
	out := make([]Agreed, len(set))
	for i, a := range set {
		out[i] = Agreed{a.Name, a.SHA256, a.SHA512}
	}
	return out
}

// Check reports why the decision is not well-formed.
func (d Decision) Check() error {
	if err := CheckName(d.Signer); err != nil {
		return fmt.Errorf("decision: signer: %w", err)
	}
	for what, digest := range map[string]Digest{"release": d.Release, "request": d.Request, "policy": d.Policy, "artifact set": d.Set} {
		if digest.IsZero() {
			return fmt.Errorf("decision: %w", malformed("%s missing", what))
		}
	}
	if d.Ground != GroundQuorum {
		return fmt.Errorf("decision: %w", malformed("ground %q", clip(string(d.Ground))))
	}
	if d.PolicySerial < 1 || d.PolicySerial > maxSerial || d.Decided.IsZero() {
		return fmt.Errorf("decision: %w", malformed("policy serial or time missing"))
	}
	if d.Threshold < 1 || d.Operators < d.Threshold || d.Operators > MaxVotes {
		return fmt.Errorf("decision: %w", malformed("%d of %d operators", d.Threshold, d.Operators))
	}
	if len(d.Votes) < d.Threshold || len(d.Votes) > MaxVotes || !slices.IsSortedFunc(d.Votes, compareDigests) {
		return fmt.Errorf("decision: %w", malformed("%d votes, or unsorted", len(d.Votes)))
	}
	for i, v := range d.Votes {
		if v.IsZero() || i > 0 && v == d.Votes[i-1] {
			return fmt.Errorf("decision: %w", malformed("a vote is listed twice or empty"))
		}
	}
	if len(d.Artifacts) == 0 || len(d.Artifacts) > MaxArtifacts {
		return fmt.Errorf("decision: %w", malformed("%d artifacts, 1 to %d allowed", len(d.Artifacts), MaxArtifacts))
	}
	for i, a := range d.Artifacts {
		if err := CheckArtifactName(a.Name); err != nil {
			return fmt.Errorf("decision: %w", err)
		}
		if a.SHA256.IsZero() || a.SHA512.IsZero() || i > 0 && d.Artifacts[i-1].Name >= a.Name {
			return fmt.Errorf("decision: %w", malformed("artifact %q lacks a digest or is out of order", a.Name))
		}
	}
	return nil
}

func compareDigests(a, b Digest) int { return bytes.Compare(a[:], b[:]) }

// SortDigests puts digests into the order that statements list them in.
func SortDigests(d []Digest) { slices.SortFunc(d, compareDigests) }

// Decides reports whether the decision is about exactly this artifact set.
func (d Decision) Decides(set Artifacts) error {
	digest, err := set.SetDigest()
	if err != nil {
		return err
	}
	if digest != d.Set || !slices.Equal(AgreedOf(set), d.Artifacts) {
		return errors.New("decision is about another artifact set")
	}
	return nil
}

// Encode returns the payload of a valid decision.
func (d Decision) Encode() ([]byte, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	return writeStatement(d.walk)
}

// walk says several things twice, in SLSA's terms and in our own.
func (d *Decision) walk(w *canonical.Walk) {
	canonical.List(w, beginStatement+`{"inputAttestations":`, &d.Votes, func(vote *Digest) {
		w.Hex(`{"digest":{"sha256":`, vote[:])
		w.HexAgain(`},"uri":"`+statementURI, vote[:])
		w.Text(`}`)
	})
	w.Hex(`,"policy":{"digest":{"sha256":`, d.Policy[:])
	canonical.Number(w, `},"uri":"`+policyURI, &d.PolicySerial)
	w.Hex(`"},"reprosign":{"artifactSet":`, d.Set[:])
	w.Truth(`,"blind":`, &d.Blind)
	canonical.Word(w, `,"ground":`, &d.Ground)
	canonical.Number(w, `,"operators":`, &d.Operators)
	w.Text(`,"policySerial":`)
	w.Spelling(strconv.AppendUint(nil, d.PolicySerial, 10))
	w.Hex(`,"release":`, d.Release[:])
	w.Hex(`,"request":`, d.Request[:])
	canonical.Number(w, `,"threshold":`, &d.Threshold)
	w.HexAgain(`},"resourceUri":"`+releaseURI, d.Release[:])
	moment(w, `,"timeVerified":`, &d.Decided)
	w.Text(`,"verificationResult":"PASSED","verifiedLevels":["`)
	w.Text(d.level())
	canonical.Word(w, `"],"verifier":{"id":`, &d.Signer)
	canonical.List(w, `}},"predicateType":"`+DecisionType+`","subject":`, &d.Artifacts, func(a *Agreed) {
		w.Hex(`{"digest":{"sha256":`, a.SHA256[:])
		w.Hex(`,"sha512":`, a.SHA512[:])
		canonical.Word(w, `},"name":`, &a.Name)
		w.Text(`}`)
	})
	w.Text(`}`)
}

// Seal signs the decision with a statement key.
func (d Decision) Seal(key SigningKey) (*Envelope, error) {
	return seal("decision", d.Signer, key, d.Encode)
}

// ParseDecision reads a decision's payload, whose envelope somebody else verified.
func ParseDecision(payload []byte) (Decision, error) { return parse[Decision]("decision", payload) }

// OpenDecision verifies a decision under the statement key it names.
func OpenDecision(e *Envelope, signers Keys) (Decision, error) {
	return open("decision", e, ParseDecision, func(d Decision) string { return d.Signer }, signers)
}
