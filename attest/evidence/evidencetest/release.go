package evidencetest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// Release is one release with everything that was said about it.
type Release struct {
	World *World

	Request       *attest.Envelope
	Opening       *attest.Envelope
	ID            attest.Digest
	Claim         *attest.Claim
	Files         [][]byte // in the order of Artifacts
	Artifacts     attest.Artifacts
	States        []attest.State
	Votes         []*attest.Envelope // all rebuilders', agreeing
	Decision      *attest.Envelope
	Signatures    [][]byte // in the order of Artifacts
	OpeningIndex  int64
	DecisionIndex int64
	OpeningProof  translog.Proof
	DecisionProof translog.Proof
	opening       attest.Opening
	decided       attest.Decision
}

// Release takes the world's one request through the cycle, as the given
// attempt: the artifacts are the same each time, opening and decision are new.
func (w *World) Release(tb testing.TB, attempt int) *Release {
	tb.Helper()
	r := &Release{World: w}
	r.build(tb)
	r.open(tb, attempt)
	if w.Options.Votes != nil {
		r.Votes = w.Options.Votes(tb, r)
	} else {
		for _, key := range w.Rebuilders {
			r.Votes = append(r.Votes, r.Vote(tb, key, r.Artifacts))
		}
	}
	r.decide(tb)
	r.Signatures = r.Sign(tb, Suite, w.Certificate)
	return r
}

func (r *Release) build(tb testing.TB) {
	tb.Helper()
	for i := range r.World.Options.Artifacts {
		file := bytes.Repeat(fmt.Appendf(nil, "content of file %d\n", i), 10+i)
		a, state, err := attest.HashArtifact(bytes.NewReader(file), fmt.Sprintf("%s-%04d_%s_%s.deb", Source, i, Version, Architecture), "deb")
		if err != nil {
			tb.Fatal(err)
		}
		r.Files, r.Artifacts, r.States = append(r.Files, file), append(r.Artifacts, a), append(r.States, state)
	}
}

func (r *Release) open(tb testing.TB, attempt int) {
	tb.Helper()
	w := r.World
	set, err := r.Artifacts.SetDigest()
	if err != nil {
		tb.Fatal(err)
	}
	r.Claim = &attest.Claim{Salt: attest.SHA256([]byte("salt")), Set: set}
	r.Request = seal(tb, w.Publisher, attest.Request{
		Publisher: w.Publisher.Name(), Suite: Suite, Source: Source, Version: Version, Architecture: Architecture,
		Recipe: attest.Recipe{
			Backend:    "command",
			Parameters: map[string]string{"sha256": attest.SHA256([]byte("build")).String()},
			Sources:    []attest.Source{{Name: "hello.tar.xz", SHA256: attest.SHA256([]byte("source")), Size: 6}},
		},
		Claim: r.Claim.Digest(),
	})
	opened := Opened + attest.Time(attempt-1)*hour
	r.opening = attest.Opening{
		Coordinator: w.Coordinator.Name(), Request: r.Request.Digest(), Policy: w.Version.Digest, PolicySerial: w.Version.Serial,
		Attempt: attempt, Nonce: attest.SHA256(fmt.Appendf(nil, "nonce %d", attempt)), Opened: opened, Deadline: opened + hour,
	}
	r.Opening = seal(tb, w.Coordinator, r.opening)
	r.ID = r.Opening.Digest()
	w.Log.Now = opened + 1
	r.OpeningIndex = w.Log.Append(tb, r.Opening, w.Coordinator.VerifierKey, r.Request)
	r.OpeningProof = w.Log.Prove(tb, r.OpeningIndex)
}

// Vote returns a rebuilder's vote for a set.
func (r *Release) Vote(tb testing.TB, key attest.SigningKey, artifacts attest.Artifacts) *attest.Envelope {
	tb.Helper()
	set, err := artifacts.SetDigest()
	if err != nil {
		tb.Fatal(err)
	}
	return seal(tb, key, attest.Rebuild{
		Release: r.ID, Rebuilder: key.Name(), Outcome: attest.Built, Set: set, Isolation: attest.IsolationBwrap,
		Environment: map[string]string{"kernel": "6.1.0"}, Inputs: attest.SHA256([]byte("inputs")), Log: attest.SHA256([]byte(key.Name())),
		Started: r.opening.Opened + 10, Finished: r.opening.Opened + 60,
	})
}

// Report returns a rebuilder's statement that nothing was built.
func (r *Release) Report(tb testing.TB, key attest.SigningKey, outcome attest.Outcome) *attest.Envelope {
	tb.Helper()
	return seal(tb, key, attest.Rebuild{
		Release: r.ID, Rebuilder: key.Name(), Outcome: outcome, Source: attest.SHA256([]byte("source")), Isolation: attest.IsolationBwrap,
		Environment: map[string]string{"kernel": "6.1.0"}, Inputs: attest.SHA256([]byte("inputs")), Log: attest.SHA256([]byte(key.Name())),
		Started: r.opening.Opened + 10, Finished: r.opening.Opened + 60,
	})
}

// Case returns what the signer evaluates, over the given statements.
func (r *Release) Case(tb testing.TB, votes []*attest.Envelope) policy.Case {
	tb.Helper()
	request, err := attest.ParseRequest(r.Request.Payload)
	if err != nil {
		tb.Fatal(err)
	}
	c := policy.Case{
		Policy: r.World.Version, Request: request, RequestDigest: r.Request.Digest(), Opening: r.opening, Release: r.ID, Claim: r.Claim,
	}
	for _, e := range votes {
		rebuild, err := attest.ParseRebuild(e.Payload)
		if err != nil {
			tb.Fatal(err)
		}
		c.Votes = append(c.Votes, policy.Vote{Rebuild: rebuild, Statement: e.Digest()})
	}
	return c
}

func (r *Release) decide(tb testing.TB) {
	tb.Helper()
	at := r.opening.Opened + 100
	verdict := policy.Evaluate(r.Case(tb, r.Votes), at)
	if verdict.Outcome != policy.Agreed {
		tb.Fatalf("the rebuilders of the test world do not agree: %s", verdict.Explanation)
	}
	r.World.Log.Now = at + 1
	r.Log(tb, r.World.Signer, attest.Decision{
		Signer: r.World.Signer.Name(), Release: r.ID, Request: r.Request.Digest(), Policy: r.World.Version.Digest,
		PolicySerial: r.World.Version.Serial, Decided: at, Ground: attest.GroundQuorum, Set: verdict.Set,
		Artifacts: attest.AgreedOf(r.Artifacts), Threshold: verdict.Threshold, Operators: verdict.Operators,
		Votes: verdict.Accepted, Blind: true,
	})
}

// Decided returns the decision of the release.
func (r *Release) Decided() attest.Decision { return r.decided }

// Log seals a decision, logs it and makes it the release's own: the true one
// at first, then whatever a test wants to see refused.
func (r *Release) Log(tb testing.TB, key attest.SigningKey, d attest.Decision) {
	tb.Helper()
	r.decided = d
	r.Decision = seal(tb, key, d)
	r.DecisionIndex = r.World.Log.Append(tb, r.Decision, key.VerifierKey)
	r.DecisionProof = r.World.Log.Prove(tb, r.DecisionIndex)
}

// Sign signs all artifacts on the release's decision with a holder's certificate.
func (r *Release) Sign(tb testing.TB, holder string, certificate *openpgp.Certificate) [][]byte {
	tb.Helper()
	signatures := make([][]byte, len(r.Artifacts))
	for i, a := range r.Artifacts {
		var err error
		signatures[i], err = openpgp.SignState(certificate, Ed25519("openpgp "+holder), r.States[i], uint64(a.Size), a.SHA512, openpgp.Options{
			Created:   r.decided.Decided.Time(),
			Notations: evidence.Notations(r.World.Policy.Log.Origin, r.Decision.Digest(), r.decided.Ground, a.SHA512),
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return signatures
}

// Parts returns what the release's bundle is built of.
func (r *Release) Parts() evidence.Parts {
	w := r.World
	p := evidence.Parts{
		Policies: []*attest.Envelope{w.Envelope}, Request: r.Request, Opening: r.Opening, OpeningProof: r.OpeningProof,
		Claim: r.Claim, Votes: r.Votes, Artifacts: r.Artifacts,
		Decision:     evidence.Logged{Envelope: r.Decision, Proof: r.DecisionProof},
		Certificates: []*openpgp.Certificate{w.Certificate},
	}
	for i, a := range r.Artifacts {
		p.Signatures = append(p.Signatures, evidence.Signature{
			Artifact: a.Name, Certificate: w.Certificate.Fingerprint(), Kind: attest.DetachedBinary, Signature: r.Signatures[i],
		})
	}
	return p
}

// Bundle builds the release's bundle.
func (r *Release) Bundle(tb testing.TB) *evidence.Bundle {
	tb.Helper()
	b, err := evidence.Build(r.Parts())
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// UnsignedBundle builds the release's bundle as it is when nothing was signed.
func (r *Release) UnsignedBundle(tb testing.TB) *evidence.Bundle {
	tb.Helper()
	p := r.Parts()
	p.Signatures, p.Certificates = nil, nil
	b, err := evidence.Build(p)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// SeeLate has the witnesses see the decision when the deadline of the first
// attempt has passed by the grace.
func (r *Release) SeeLate(tb testing.TB) {
	tb.Helper()
	r.World.Log.Now = late
	r.DecisionProof = r.World.Log.Prove(tb, r.DecisionIndex)
}

type sealer interface {
	Seal(key attest.SigningKey) (*attest.Envelope, error)
}

func seal(tb testing.TB, key attest.SigningKey, s sealer) *attest.Envelope {
	tb.Helper()
	e, err := s.Seal(key)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}
