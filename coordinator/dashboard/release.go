package dashboard

import (
	"fmt"
	"net/http"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
)

// maxAttempts bounds the other attempts that a page lists.
const maxAttempts = 20

// Summary is what lists show of a release.
type Summary struct {
	Release      attest.Digest     `json:"release"`
	Request      attest.Digest     `json:"request"`
	Attempt      int               `json:"attempt"`
	Attempts     int               `json:"attempts"`
	Newest       attest.Digest     `json:"newest"`
	Suite        string            `json:"suite"`
	Source       string            `json:"source"`
	Version      string            `json:"version"`
	Architecture string            `json:"architecture"`
	Publisher    string            `json:"publisher"`
	State        coordinator.State `json:"state"`
	Final        bool              `json:"final"`
	Policy       PolicyOf          `json:"policy"`
	Opened       attest.Time       `json:"opened"`
	Deadline     attest.Time       `json:"deadline"`
	Decided      attest.Time       `json:"decided,omitzero"`
	Logged       attest.Time       `json:"logged,omitzero"`
	Signed       attest.Time       `json:"signed,omitzero"`
	Ended        attest.Time       `json:"ended,omitzero"`
}

// PolicyOf is the rule that a release is decided by.
type PolicyOf struct {
	Serial    uint64        `json:"serial"`
	Digest    attest.Digest `json:"digest"`
	Threshold int           `json:"threshold"` // operators that must agree
	Operators int           `json:"operators"` // operators invited
}

// Release is the page of a release.
type Release struct {
	Schema string `json:"schema"`
	Summary

	Head         string      `json:"head"`     // the state in a word or two
	Sentence     string      `json:"sentence"` // what it means, in one plain sentence
	Reason       string      `json:"reason,omitzero"`
	Disclosed    bool        `json:"disclosed"` // the embargo is over
	Blind        bool        `json:"blind"`
	Claimed      bool        `json:"claimed"`
	Insecure     bool        `json:"insecure"`
	Unwitnessed  bool        `json:"unwitnessed"`
	Ground       string      `json:"ground,omitzero"`
	Votes        []Vote      `json:"votes"`
	Artifacts    []Artifact  `json:"artifacts,omitzero"`
	Decision     *DecisionOf `json:"decision,omitzero"`
	Anchor       *AnchorOf   `json:"anchor,omitzero"`
	Complaints   []Complaint `json:"complaints,omitzero"`
	Evidence     string      `json:"evidence,omitzero"` // URL of the bundle
	Attempted    []Summary   `json:"otherAttempts,omitzero"`
	Columns      []string    `json:"-"` // artifacts in the vote matrix
	More         int         `json:"-"` // artifacts that the matrix leaves out
	EvidenceName string      `json:"-"` // what the bundle is saved under
}

// Vote is a rebuilder's row in the vote matrix.
type Vote struct {
	Rebuilder string        `json:"rebuilder"`
	Operator  string        `json:"operator"`
	View      policy.View   `json:"view"`
	At        attest.Time   `json:"at,omitzero"`
	Statement attest.Digest `json:"statement,omitzero"` // after the embargo, like all below
	Set       attest.Digest `json:"set,omitzero"`
	Artifacts []Cell        `json:"artifacts,omitzero"` // in the order of the columns
}

// DecisionOf is where a decision is.
type DecisionOf struct {
	Digest   attest.Digest `json:"digest"`
	Index    int64         `json:"index"`
	TreeSize int64         `json:"treeSize"` // of the first checkpoint that covers it
	Entry    string        `json:"entry"`    // URL
	Bundle   string        `json:"bundle"`   // URL of the entry bundle
}

// Artifact is a decided artifact and where its signatures are.
type Artifact struct {
	attest.Artifact

	Signatures []Signature `json:"signatures"`
}

// Signature is an OpenPGP signature of an artifact.
type Signature struct {
	Certificate string               `json:"certificate"` // fingerprint of its signing key
	Kind        attest.SignatureKind `json:"kind"`
	Release     attest.Digest        `json:"release"` // on whose decision it was made
	Made        attest.Time          `json:"made"`
	Binary      string               `json:"binary"`  // URL
	Armored     string               `json:"armored"` // URL
}

func summarize(v *coordinator.View) Summary {
	return Summary{
		Release: v.Release, Request: v.Request, Attempt: v.Attempt, Attempts: v.Attempts, Newest: v.Newest,
		Suite: v.Suite, Source: v.Source, Version: v.Version, Architecture: v.Architecture, Publisher: v.Publisher,
		State: v.State, Final: v.Final,
		Policy: PolicyOf{v.PolicySerial, v.Policy, v.Threshold, v.Operators},
		Opened: v.Opened, Deadline: v.Deadline, Decided: v.DecidedAt, Logged: v.LoggedAt, Signed: v.SignedAt, Ended: v.EndedAt,
	}
}

func (b *Board) release(r *http.Request) (any, error) {
	id, err := digestIn(r, "id")
	if err != nil {
		return nil, err
	}
	v, err := b.reader.View(r.Context(), id)
	if err != nil {
		return nil, err
	}
	rules, err := b.policies.byDigest(r.Context(), v.Policy)
	if err != nil {
		return nil, err
	}
	out := Release{
		Schema: "reprosign.release.v1", Summary: summarize(v), Disclosed: v.Disclosed, Blind: v.Blind, Claimed: v.Claimed,
		Insecure: rules.Insecure, Unwitnessed: !rules.Witnessed(),
	}
	out.tell(v)
	var sets map[attest.Digest]attest.Artifacts
	if v.Disclosed {
		if sets, err = b.reader.Sets(r.Context(), id); err != nil {
			return nil, err
		}
		if out.Complaints, err = b.complaintsOf(r.Context(), id); err != nil {
			return nil, err
		}
	}
	out.Votes, out.Columns, out.More = matrix(v, sets)
	if v.LogIndex >= 0 {
		n, width := v.LogIndex>>translog.TileHeight, int(v.LogIndex%translog.TileWidth)+1
		out.Decision = &DecisionOf{
			Digest: v.Decision, Index: v.LogIndex, TreeSize: v.TreeSize, Entry: fmt.Sprintf("/log/%d", v.LogIndex),
			Bundle: "/" + translog.EntriesPath(n, width),
		}
		out.Ground = string(attest.GroundQuorum)
		if out.Anchor, err = b.anchorOf(r.Context(), id); err != nil {
			return nil, err
		}
	}
	for _, a := range v.Artifacts {
		out.Artifacts = append(out.Artifacts, artifactOf(id, a))
	}
	if v.HasEvidence {
		out.Evidence = fmt.Sprintf("/api/v1/releases/%v/evidence", id)
		out.EvidenceName = evidenceName(v)
	}
	if v.Attempts > 1 {
		all, err := b.reader.Releases(r.Context(), coordinator.Filter{Request: v.Request}, maxAttempts)
		if err != nil {
			return nil, err
		}
		for _, other := range all {
			if other.Release != id {
				out.Attempted = append(out.Attempted, summarize(other))
			}
		}
	}
	return out, nil
}

// Step is a moment in a release's life.
type Step struct {
	What string
	At   attest.Time
}

// Timeline returns what has happened, in order, and the deadline while it matters.
func (r Release) Timeline() []Step {
	var steps []Step
	add := func(what string, at attest.Time) {
		if !at.IsZero() {
			steps = append(steps, Step{what, at})
		}
	}
	add("Opened", r.Opened)
	add("Decided", r.Decided)
	add("In the log", r.Logged)
	add("Signed", r.Signed)
	add("Ended", r.Ended)
	if r.Decided.IsZero() && r.Ended.IsZero() {
		add("Deadline", r.Deadline)
	}
	return steps
}
