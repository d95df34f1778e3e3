package main

import (
	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
)

// schemaRelease names the form of releaseDocument.
const schemaRelease = "reprosign/release/v1"

// releaseDocument is a release for programs. Digests of artifacts are there
// only once it is decided.
type releaseDocument struct {
	Schema       string             `json:"schema"`
	Release      attest.Digest      `json:"release"`
	Request      attest.Digest      `json:"request"`
	Attempt      int                `json:"attempt"`
	Newest       attest.Digest      `json:"newest"`
	Suite        string             `json:"suite"`
	Source       string             `json:"source"`
	Version      string             `json:"version"`
	Architecture string             `json:"architecture"`
	Policy       policyDocument     `json:"policy"`
	State        string             `json:"state"`
	Final        bool               `json:"final"`
	Ground       string             `json:"ground,omitzero"`
	Reason       string             `json:"reason"`
	Opened       attest.Time        `json:"opened"`
	Deadline     attest.Time        `json:"deadline"`
	Votes        []voteDocument     `json:"votes"`
	Artifacts    []artifactDocument `json:"artifacts"`
	Log          *logDocument       `json:"log,omitzero"`
}

type policyDocument struct {
	Serial uint64        `json:"serial"`
	Digest attest.Digest `json:"digest"`
	N      int           `json:"n"`
	M      int           `json:"m"`
}

type voteDocument struct {
	Rebuilder string `json:"rebuilder"`
	Operator  string `json:"operator"`
	View      string `json:"view"`
}

type artifactDocument struct {
	Name       string              `json:"name"`
	Kind       string              `json:"kind"`
	Size       int64               `json:"size"`
	SHA256     attest.Digest       `json:"sha256"`
	SHA512     attest.Digest512    `json:"sha512"`
	Signatures []signatureDocument `json:"signatures"`
}

type signatureDocument struct {
	Fingerprint string `json:"fpr"`
	Kind        string `json:"kind"`
}

type logDocument struct {
	Index int64 `json:"index"`
	Size  int64 `json:"size"`
}

// documentOf takes over what the coordinator says. Its words go to terminals
// and pages: they are made plain here, once for all forms of output.
func documentOf(r *bus.ReleaseStatus) *releaseDocument {
	d := &releaseDocument{
		Schema: schemaRelease, Release: r.Release, Request: r.Request, Attempt: r.Attempt, Newest: r.Newest,
		Suite: plain(r.Suite), Source: plain(r.Source), Version: plain(r.Version), Architecture: plain(r.Architecture),
		Policy: policyDocument{r.PolicySerial, r.Policy, r.Threshold, r.Operators},
		State:  plain(r.State), Final: r.Final, Ground: plain(r.Ground), Reason: plain(r.Reason),
		Opened: r.Opened, Deadline: r.Deadline,
		Votes: []voteDocument{}, Artifacts: []artifactDocument{},
	}
	for _, v := range r.Votes {
		d.Votes = append(d.Votes, voteDocument{plain(v.Rebuilder), plain(v.Operator), plain(v.View)})
	}
	for _, a := range r.Artifacts {
		doc := artifactDocument{plain(a.Name), plain(a.Kind), a.Size, a.SHA256, a.SHA512, []signatureDocument{}}
		for _, s := range a.Signatures {
			doc.Signatures = append(doc.Signatures, signatureDocument{plain(s.Certificate), plain(s.Kind)})
		}
		d.Artifacts = append(d.Artifacts, doc)
	}
	if r.LogIndex != nil {
		d.Log = &logDocument{*r.LogIndex, r.TreeSize}
	}
	return d
}

// title names the release for people.
func (d *releaseDocument) title() string {
	return d.Source + " " + d.Version + " " + d.Architecture + " (" + d.Suite + ")"
}
