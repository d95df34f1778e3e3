package evidence

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// ErrUnsigned says that a bundle holds no signature over a decided file: the
// release is not signed, or was not when the bundle was made.
var ErrUnsigned = errors.New("the bundle holds no signature")

// Report is what a verified bundle says. Only [Verify] makes one.
type Report struct {
	Steps    []Step // what was checked, in order
	Release  attest.Digest
	Request  attest.Request
	Policy   *policy.Version // that the release was opened and decided under
	Decision attest.Decision
	Verdict  policy.Verdict
	Origin   string // of the log
	LogIndex int64  // of the decision
	TreeSize int64  // of the tree in which its inclusion was shown

	OpeningLeaf []byte // the opening's entry, as the log holds it

	Seen      policy.Seen            // when the witnesses saw opening and decision; zero if there are none
	Witnesses []translog.Cosignature // who saw the decision, as many as must, in the order of their times

	// Unwitnessed says that nobody but the log's own operator need be behind
	// log and times: no witnesses are trusted, or so few that they might all be the
	// log's own and one other's.
	Unwitnessed bool
	// Insecure says that a policy on the way from the pinned one is marked insecure.
	Insecure bool
	// TooLate says why the decision does not hold by the witnesses' time: nobody may
	// rely on it. Only [Reevaluate] returns such a report; it wraps [policy.ErrTooLate].
	TooLate error

	decision   attest.Digest
	set        attest.Artifacts
	signatures []signature
}

// Step is one check that passed, in plain words.
type Step struct {
	What   string
	Detail string
}

// signature is a signature whose claims fit the evidence; only the file is missing.
type signature struct {
	Signature

	certificate *openpgp.Certificate
	reused      bool
}

// File is what the evidence says about one file.
type File struct {
	Artifact   attest.Artifact
	Signatures []FileSignature // at least one
}

// FileSignature is a signature that was verified over the file.
type FileSignature struct {
	Certificate string // fingerprint of the signing key
	UserID      string // of the certificate
	Created     time.Time
	Reused      bool // made on an earlier decision about the same bytes
}

// Unsigned reports whether nothing in the evidence is signed: it shows that the
// signer decided as it had to, and vouches for no file.
func (r *Report) Unsigned() bool { return len(r.signatures) == 0 }

// Caveats returns, in plain words, what a reader must know before relying on
// the report. They are to be shown wherever the verdict is.
func (r *Report) Caveats() []string {
	var c []string
	if r.Unsigned() {
		c = append(c, "unsigned: nothing in this evidence is signed, and it vouches for no file; the release may be withdrawn, may have come too late, or may be signed later")
	}
	switch {
	case r.Unwitnessed && len(r.Witnesses) == 0:
		c = append(c, "unwitnessed: only the log's own key vouches for the log, and only the signer's clock for the time")
	case r.Unwitnessed:
		c = append(c, "unwitnessed: those who cosigned the log may all be its own operator and one other")
	}
	if r.Insecure {
		c = append(c, "insecure policy: it relaxes the rules that others rely on")
	}
	if !r.Decision.Blind {
		c = append(c, "not blind: the artifacts were public before the votes, which could have been copied")
	}
	return c
}

// Covers reports why the evidence is not about an artifact whose name, size
// and digests the caller has found out. Its kind is not compared.
func (r *Report) Covers(a attest.Artifact) error {
	_, err := r.find(a)
	return err
}

func (r *Report) find(a attest.Artifact) (attest.Artifact, error) {
	for _, decided := range r.set {
		same := decided.Size == a.Size && decided.SHA256 == a.SHA256 && decided.SHA512 == a.SHA512
		switch {
		case same && (a.Name == decided.Name || a.Name == ""):
			return decided, nil
		case same:
			return attest.Artifact{}, notVerified("file", fmt.Errorf("these bytes were decided under the name %q, not %q", decided.Name, a.Name))
		case a.Name == decided.Name:
			return attest.Artifact{}, notVerified("file", fmt.Errorf(
				"%q has %d bytes with SHA-256 %s; decided were %d bytes with SHA-256 %s", a.Name, a.Size, a.SHA256, decided.Size, decided.SHA256))
		}
	}
	return attest.Artifact{}, notVerified("file", errors.New("it is none of the artifacts of this release"))
}

// CheckFile reads a file once and reports what the evidence says about it. The
// name is the one under which the file would be installed; empty means that
// any name will do. Without a valid signature over the file there is an error
// that wraps [ErrNotVerified].
func (r *Report) CheckFile(name string, file io.Reader) (*File, error) {
	// The name is the caller's own; only the bytes are hashed.
	found, state, err := attest.HashArtifact(file, "file", "file")
	if err != nil {
		return nil, err
	}
	found.Name = name
	f := &File{}
	if f.Artifact, err = r.find(found); err != nil {
		return nil, err
	}
	for _, s := range r.signatures {
		if s.Artifact != f.Artifact.Name {
			continue
		}
		verified, err := openpgp.VerifyState(s.certificate, s.Signature.Signature, state)
		if err != nil {
			return nil, notVerified("signature", err)
		}
		f.Signatures = append(f.Signatures, FileSignature{
			Certificate: s.Certificate, UserID: s.certificate.UserIDs()[0], Created: verified.Created, Reused: s.reused,
		})
	}
	if len(f.Signatures) == 0 {
		return nil, notVerified("signature", fmt.Errorf("%q is decided, but %w over it", f.Artifact.Name, ErrUnsigned))
	}
	return f, nil
}
