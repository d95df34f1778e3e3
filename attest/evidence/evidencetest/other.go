package evidencetest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/reprosign/reprosign/attest"
)

// Other is a release that was opened and logged, beside those that went
// through the whole cycle.
type Other struct {
	ID      attest.Digest
	Request *attest.Envelope
	Opening *attest.Envelope
	Index   int64

	opening attest.Opening
}

// Open opens an attempt at releasing a source in a suite.
func (w *World) Open(tb testing.TB, suite, source string, attempt int) *Other {
	tb.Helper()
	o := &Other{Request: seal(tb, w.Publisher, attest.Request{
		Publisher: w.Publisher.Name(), Suite: suite, Source: source, Version: Version, Architecture: Architecture,
		Recipe: attest.Recipe{
			Backend:    "command",
			Parameters: map[string]string{"sha256": attest.SHA256([]byte("build")).String()},
			Sources:    []attest.Source{{Name: "source.tar.xz", SHA256: attest.SHA256([]byte(source)), Size: 6}},
		},
	})}
	opened := Opened + attest.Time(attempt-1)*hour
	o.opening = attest.Opening{
		Coordinator: w.Coordinator.Name(), Request: o.Request.Digest(), Policy: w.Version.Digest, PolicySerial: w.Version.Serial,
		Attempt: attempt, Nonce: attest.SHA256(fmt.Appendf(nil, "nonce %d", len(w.Log.Entries))), Opened: opened, Deadline: opened + hour,
	}
	o.Opening = seal(tb, w.Coordinator, o.opening)
	o.ID = o.Opening.Digest()
	o.Index = w.Log.Append(tb, o.Opening, w.Coordinator.VerifierKey, o.Request)
	return o
}

// Decided returns a decision about files of the release. Nobody voted for them.
func (o *Other) Decided(tb testing.TB, w *World, files ...attest.Artifact) attest.Decision {
	tb.Helper()
	set := attest.Artifacts(files)
	digest, err := set.SetDigest()
	if err != nil {
		tb.Fatal(err)
	}
	d := attest.Decision{
		Signer: w.Signer.Name(), Release: o.ID, Request: o.opening.Request, Policy: o.opening.Policy, PolicySerial: o.opening.PolicySerial,
		Decided: o.opening.Opened + 100, Ground: attest.GroundQuorum, Set: digest, Artifacts: attest.AgreedOf(set),
		Threshold: 2, Operators: 3, Votes: []attest.Digest{attest.SHA256([]byte("vote 1")), attest.SHA256([]byte("vote 2"))}, Blind: true,
	}
	attest.SortDigests(d.Votes)
	return d
}

// Decide logs such a decision and returns it with its index.
func (o *Other) Decide(tb testing.TB, w *World, files ...attest.Artifact) (*attest.Envelope, int64) {
	tb.Helper()
	e := seal(tb, w.Signer, o.Decided(tb, w, files...))
	return e, w.Log.Append(tb, e, w.Signer.VerifierKey)
}

// Vote returns a rebuilder's vote for files of the release.
func (o *Other) Vote(tb testing.TB, key attest.SigningKey, files ...attest.Artifact) *attest.Envelope {
	tb.Helper()
	return (&Release{ID: o.ID, opening: o.opening}).Vote(tb, key, files)
}

// File returns an artifact with some content.
func File(tb testing.TB, name, content string) attest.Artifact {
	tb.Helper()
	a, _, err := attest.HashArtifact(bytes.NewReader([]byte(content)), name, "deb")
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// Withdraw logs a withdrawal by the first admin.
func (w *World) Withdraw(tb testing.TB, release attest.Digest) int64 {
	tb.Helper()
	e := seal(tb, w.Admins[0], attest.Withdrawal{
		Role: attest.RoleAdmin, By: w.Admins[0].Name(), Release: release, Reason: "wrong source", At: Opened + 50,
	})
	return w.Log.Record(tb, attest.RecordWithdrawal, w.Coordinator, e)
}
