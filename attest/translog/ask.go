package translog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// Errors of a file name, which belongs for ever to the source that first
// produced it in a suite, with the content that it first had there.
var (
	ErrNameContent = errors.New("has other content in this suite already")
	ErrNameSource  = errors.New("belongs to another source in this suite")
)

// Release is what the log says of a release.
type Release struct {
	Index     int64 // of the opening
	Request   attest.Digest
	Policy    *policy.Version // that it was opened under
	Attempt   int
	Publisher string
	Suite     string
	Source    string
	Decision  *Decided // nil if there is none
	// Withdrawn says that the release was, or an earlier attempt at its request.
	Withdrawn bool
	// Reopened says that a later attempt at its request was opened: the release
	// had expired, its decision, if it has one, was seen too late by the witnesses.
	Reopened bool
	// Equivocators names a rebuilder of each operator that voted for two sets.
	Equivocators []string
	// Complainants are the rebuilders that miss a statement of theirs in the
	// decision. Whether they are right is for policy.Dispute to judge.
	Complainants []string
	// Refused says why a decision in the log about the release does not count.
	Refused string
}

// Decided is a decision in the log.
type Decided struct {
	Index     int64
	Statement attest.Digest
	Release   attest.Digest
	At        attest.Time
	Ground    attest.Ground
	Origin    string // of the log, by the policy of the decision
}

// Release returns what the log says of a release; ok is false if its opening
// is not in the log.
func (f *Follower) Release(id attest.Digest) (Release, bool) {
	x := &f.index
	i, known := x.byID[id]
	if !known {
		return Release{}, false
	}
	r := &x.releases[i]
	attempt, withdrawn := x.withdrawn[r.request]
	return Release{
		Index: r.opened, Request: r.request, Policy: x.versions[r.version], Attempt: int(r.attempt),
		Publisher: x.words[r.publisher], Suite: x.words[r.suite], Source: x.words[r.source],
		Decision: x.decisionOf(r), Withdrawn: withdrawn && int(r.attempt) >= attempt,
		Reopened:     x.isReopened(r),
		Equivocators: slices.Clone(x.equivocators[id]), Complainants: slices.Clone(x.complainants[id]), Refused: x.refused[id],
	}, true
}

// Contradiction says that the admins signed two policies with one serial, and
// none since then; it is empty otherwise. Nothing should be signed meanwhile.
func (f *Follower) Contradiction() string { return f.index.contradicted }

// CheckName reports why an artifact of a source may not be decided in a suite:
// its name is another content's or another source's. Errors wrap
// [ErrNameContent] or [ErrNameSource].
func (f *Follower) CheckName(suite, source, name string, sha256 attest.Digest) error {
	x := &f.index
	o, taken := x.names[keyOfName(suite, name)]
	if !taken {
		return nil
	}
	why := error(nil)
	switch {
	case x.words[o.source] != source:
		why = fmt.Errorf("%w, %s", ErrNameSource, x.words[o.source])
	case o.sha256 != sha256:
		why = ErrNameContent
	default:
		return nil
	}
	return fmt.Errorf("file name %s %w (log entry %d); publish it under another name or version", name, why, x.releases[o.release].decided)
}

func (x *index) isReopened(r *entryRelease) bool { return x.reopened[r.request] > int(r.attempt) }

// FirstDecision returns the first decision in the log about some bytes, by
// their SHA-512, in a suite that signs artifacts with the certificate: the one
// that fixes what their one signature by it says. A decision counts also if its
// release was withdrawn since, for it may have been signed before; it does not if
// the release was opened again, unless the log says that it was signed.
func (f *Follower) FirstDecision(sha512 attest.Digest512, certificate string) (Decided, bool) {
	x := &f.index
	key := keyOfBytes(sha512)
	first, known := x.first[key]
	if !known {
		return Decided{}, false
	}
	for _, i := range append([]uint32{first}, x.more[key]...) {
		r := &x.releases[i]
		if x.isReopened(r) && !r.signed {
			continue
		}
		suite, err := x.versions[r.version].Suite(x.words[r.suite])
		if err == nil && suite.MaySign(certificate) == nil {
			return *x.decisionOf(r), true
		}
	}
	return Decided{}, false
}
