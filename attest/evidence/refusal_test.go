package evidence_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// insecure is a release under a policy that calls itself insecure.
func insecure(t *testing.T) *evidencetest.Release {
	t.Helper()
	return evidencetest.New(t, evidencetest.Options{Change: func(p *policy.Policy) { p.Insecure = true }}).Release(t, 1)
}

// spoiled is a bundle of valid form in which one thing is wrong. It is built
// past [evidence.Build], which would refuse it.
type spoiled struct {
	name  string
	spoil func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle)
	step  string // that must refuse it
	why   string // in the error
}

func sortVotes(b *evidence.Bundle) {
	slices.SortFunc(b.Votes, func(x, y *attest.Envelope) int {
		dx, dy := x.Digest(), y.Digest()
		return slices.Compare(dx[:], dy[:])
	})
}

// redecide puts another decision, sealed and logged, into the bundle.
func redecide(t *testing.T, r *evidencetest.Release, b *evidence.Bundle, key attest.SigningKey, d attest.Decision) {
	t.Helper()
	r.Log(t, key, d)
	var err error
	if b.Decision, err = evidence.NewSigstore(r.Decision, key.VerifierKey, r.World.Log.Key.VerifierKey, r.DecisionProof); err != nil {
		t.Fatal(err)
	}
}

// reopen puts another opening, sealed and logged, into the bundle.
func reopen(t *testing.T, r *evidencetest.Release, b *evidence.Bundle, key attest.SigningKey, change func(o *attest.Opening)) {
	t.Helper()
	o, err := attest.ParseOpening(r.Opening.Payload)
	if err != nil {
		t.Fatal(err)
	}
	change(&o)
	if b.Opening, err = o.Seal(key); err != nil {
		t.Fatal(err)
	}
	index := r.World.Log.Append(t, b.Opening, key.VerifierKey)
	b.OpeningProof = string(r.World.Log.Prove(t, index).MarshalTLogProof())
}

// with returns a copy of an envelope with other bytes in the payload.
func with(t *testing.T, e *attest.Envelope, from, to string) *attest.Envelope {
	t.Helper()
	changed := *e
	changed.Payload = []byte(strings.Replace(string(e.Payload), from, to, 1))
	if string(changed.Payload) == string(e.Payload) {
		t.Fatalf("%q is not in the payload", from)
	}
	return &changed
}

func otherLog(t *testing.T) *evidencetest.Log {
	t.Helper()
	return &evidencetest.Log{Key: evidencetest.Ed25519Key(t, "another log", evidencetest.Origin)}
}

var refusals = []spoiled{
	{"vote altered", func(t *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Votes[0] = with(t, b.Votes[0], `"isolation":"bwrap"`, `"isolation":"userns"`)
		sortVotes(b)
	}, "votes", "signature does not verify"},
	{"vote by an unknown rebuilder", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		b.Votes[0] = r.Vote(t, evidencetest.Ed25519Key(t, "rebuilder", "mallory"), r.Artifacts)
		sortVotes(b)
	}, "votes", "mallory"},
	{"vote under a key of the same name", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		b.Votes[0] = r.Vote(t, evidencetest.Ed25519Key(t, "mallory", "rebuilder-1"), r.Artifacts)
		sortVotes(b)
	}, "votes", "signature does not verify"},
	{"vote from another release", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		b.Votes[0] = r.World.Release(t, 2).Votes[0]
		sortVotes(b)
	}, "votes", "another release"},
	{"vote twice", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Votes = slices.Insert(b.Votes, 0, b.Votes[0])
	}, "votes", "there twice"},
	{"vote dropped", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Votes = b.Votes[1:]
	}, "verdict", "lists 3 votes and reports, the bundle holds 2"},
	{"votes below the threshold", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Votes = b.Votes[:1]
	}, "agreement", "do not agree"},
	{"vote that the decision does not list", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		d := r.Decided()
		d.Votes = d.Votes[1:]
		redecide(t, r, b, r.World.Signer, d)
	}, "verdict", "lists 2 votes and reports, the bundle holds 3"},
	{"a voter who differs", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		other := slices.Clone(r.Artifacts)
		other[0].SHA256[0] ^= 1
		b.Votes = []*attest.Envelope{r.Votes[0], r.Votes[1], r.Vote(t, r.World.Rebuilders[2], other)}
		sortVotes(b)
	}, "agreement", "do not agree (held)"},

	{"other artifact list", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Artifacts = slices.Clone(b.Artifacts)
		b.Artifacts[0].Size++
	}, "decision in the log", "another artifact set"},
	{"artifact of a kind that the suite has not", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Artifacts = slices.Clone(b.Artifacts)
		b.Artifacts[0].Kind = "rpm"
	}, "artifacts", "rpm"},
	{"agreed on another set than decided", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		b.Artifacts = slices.Clone(b.Artifacts)
		b.Artifacts[0].SHA512[0] ^= 1
		set, err := b.Artifacts.SetDigest()
		if err != nil {
			t.Fatal(err)
		}
		d := r.Decided()
		d.Set, d.Artifacts = set, attest.AgreedOf(b.Artifacts)
		redecide(t, r, b, r.World.Signer, d)
	}, "verdict", "another artifact set"},

	{"claim not opened", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) { b.Claim = nil }, "claim", "does not open it"},
	{"other claim salt", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Claim = &attest.Claim{Salt: attest.Digest{1}, Set: b.Claim.Set}
	}, "claim", "not those"},

	{"request altered", func(t *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Request = with(t, b.Request, `"version":"2.10-3"`, `"version":"2.10-4"`)
	}, "request", "signature does not verify"},
	{"request of another publisher", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		key := evidencetest.Ed25519Key(t, "publisher", "mallory")
		request, err := attest.ParseRequest(r.Request.Payload)
		if err != nil {
			t.Fatal(err)
		}
		request.Publisher = key.Name()
		if b.Request, err = request.Seal(key); err != nil {
			t.Fatal(err)
		}
	}, "request", "mallory"},
	{"request for another suite", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		request, err := attest.ParseRequest(r.Request.Payload)
		if err != nil {
			t.Fatal(err)
		}
		request.Suite = "testing"
		if b.Request, err = request.Seal(r.World.Publisher); err != nil {
			t.Fatal(err)
		}
	}, "request", "testing"},
	{"other request than opened", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		request, err := attest.ParseRequest(r.Request.Payload)
		if err != nil {
			t.Fatal(err)
		}
		request.Version = "2.10-4"
		if b.Request, err = request.Seal(r.World.Publisher); err != nil {
			t.Fatal(err)
		}
	}, "opening", "another request"},

	{"opening altered", func(t *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Opening = with(t, b.Opening, `"attempt":1`, `"attempt":2`)
	}, "opening", "signature does not verify"},
	{"opening by an unknown coordinator", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		key := evidencetest.P256Key(t, "coordinator", "mallory")
		reopen(t, r, b, key, func(o *attest.Opening) { o.Coordinator = key.Name() })
	}, "opening", "mallory"},
	{"opening under another policy", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		reopen(t, r, b, r.World.Coordinator, func(o *attest.Opening) { o.Policy[0] ^= 1 })
	}, "policy chain", "does not end with"},
	{"opening of another attempt", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		reopen(t, r, b, r.World.Coordinator, func(o *attest.Opening) { o.Attempt = 2 })
	}, "votes", "another release"},
	{"opening not in the log", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		log := otherLog(t)
		log.Key = r.World.Log.Key
		log.Append(t, r.Decision, r.World.Signer.VerifierKey)
		b.OpeningProof = string(log.Prove(t, 0).MarshalTLogProof())
	}, "opening in the log", "not at index 0"},
	{"opening under another log's checkpoint", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		log := otherLog(t)
		log.Append(t, r.Opening, r.World.Coordinator.VerifierKey)
		b.OpeningProof = string(log.Prove(t, 0).MarshalTLogProof())
	}, "opening in the log", "signature does not verify"},
	{"opening without proof", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) { b.OpeningProof = "" }, "opening in the log", "parsing log proof"},

	{"decision altered", func(t *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Decision.Envelope = with(t, b.Decision.Envelope, `"blind":true`, `"blind":false`)
	}, "decision in the log", "signature does not verify"},
	{"decision by a foreign statement key", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		redecide(t, r, b, evidencetest.P256Key(t, "mallory", "signer"), r.Decided())
	}, "decision in the log", "signature does not verify"},
	{"decision by an unknown signer", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		d := r.Decided()
		d.Signer = "mallory"
		redecide(t, r, b, evidencetest.P256Key(t, "signer", "mallory"), d)
	}, "decision in the log", "mallory"},
	{"decision about another release", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		b.Decision = r.World.Release(t, 2).Bundle(t).Decision
	}, "decision in the log", "another release"},
	{"decision about another request", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		d := r.Decided()
		d.Request[0] ^= 1
		redecide(t, r, b, r.World.Signer, d)
	}, "decision in the log", "another request"},
	{"decision under another policy", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		d := r.Decided()
		d.PolicySerial = 2
		redecide(t, r, b, r.World.Signer, d)
	}, "decision in the log", "under policy 2"},
	{"decision with another threshold", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		d := r.Decided()
		d.Threshold = 1
		redecide(t, r, b, r.World.Signer, d)
	}, "verdict", "decided as 1 of 3"},
	{"decision that calls the votes not blind", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		d := r.Decided()
		d.Blind = false
		redecide(t, r, b, r.World.Signer, d)
	}, "decision in the log", "blind"},
	{"decision after the policy expired", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		d := r.Decided()
		d.Decided = evidencetest.Expires
		redecide(t, r, b, r.World.Signer, d)
	}, "policy in force", "expired"},
	{"decision after the deadline", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		d := r.Decided()
		d.Decided += 2 * 3600
		redecide(t, r, b, r.World.Signer, d)
	}, "agreement", "do not agree (expired)"},
	{"decision before the opening", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		d := r.Decided()
		d.Decided -= 3600
		redecide(t, r, b, r.World.Signer, d)
	}, "agreement", "do not agree (waiting)"},

	{"wrong checkpoint key", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		log := otherLog(t)
		log.Append(t, r.Decision, r.World.Signer.VerifierKey)
		var err error
		if b.Decision, err = evidence.NewSigstore(r.Decision, r.World.Signer.VerifierKey, log.Key.VerifierKey, log.Prove(t, 0)); err != nil {
			t.Fatal(err)
		}
	}, "decision in the log", "signature does not verify"},
	{"proof of another leaf", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		b.Decision.Material.Entries[0].InclusionProof.LogIndex = r.OpeningIndex
	}, "decision in the log", "not at index 0"},
	{"outer index differs", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Decision.Material.Entries[0].LogIndex = 7
	}, "decision in the log", "contradict"},
	{"tree size differs from the checkpoint", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Decision.Material.Entries[0].InclusionProof.TreeSize++
	}, "decision in the log", "contradict"},
	{"root differs from the checkpoint", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Decision.Material.Entries[0].InclusionProof.RootHash = make([]byte, 32)
	}, "decision in the log", "contradict"},
	{"other leaf beside the proof", func(_ *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		b.Decision.Material.Entries[0].CanonicalizedBody = r.World.Log.Leaves[r.OpeningIndex]
	}, "decision in the log", "contradict"},
	{"short hash in the proof", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Decision.Material.Entries[0].InclusionProof.Hashes[0] = []byte{1}
	}, "decision in the log", "hash of 1 bytes"},
	{"no log entry", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Decision.Material.Entries = nil
	}, "decision in the log", "0 log entries"},
	{"two log entries", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Decision.Material.Entries = append(b.Decision.Material.Entries, b.Decision.Material.Entries[0])
	}, "decision in the log", "2 log entries"},
	{"no decision in the Sigstore bundle", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Decision.Envelope = nil
	}, "decision in the log", "no envelope"},

	{"certificate of another suite", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		other := evidencetest.Certify(t, "other")
		b.Certificates = [][]byte{other.Binary()}
		for i, s := range r.Sign(t, "other", other) {
			b.Signatures[i].Certificate, b.Signatures[i].Signature = other.Fingerprint(), s
		}
	}, "certificates", "not in the policy"},
	{"certificate in another spelling", func(_ *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		b.Certificates[0] = r.World.Certificate.Armor()
	}, "certificates", "armored"},
	{"certificate cut off", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Certificates[0] = b.Certificates[0][:len(b.Certificates[0])-1]
	}, "certificates", "parsing OpenPGP certificate"},
	{"certificate missing", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) { b.Certificates = nil }, "signatures", "not in the bundle"},
	{"certificate that signs nothing", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) { b.Signatures = nil }, "signatures", "signs nothing"},
	{"signature by another key", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		b.Signatures[0].Signature = r.Sign(t, "other", evidencetest.Certify(t, "other"))[0]
	}, "signatures", "not the signing key"},
	{"signature of another artifact", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Signatures[0].Signature = b.Signatures[1].Signature
	}, "signatures", "name no decision"},
	{"signature over an unknown artifact", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Signatures[0].Artifact = "aaa.deb"
	}, "signatures", "not an artifact"},
	{"signature twice", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Signatures = slices.Insert(b.Signatures, 0, b.Signatures[0])
	}, "bundle", "one, ever"},
	{"signature with other notations", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		b.Signatures[0].Signature = resign(t, r, r.Decided().Decided, evidence.Notations("log.example.com", r.Decision.Digest(), attest.GroundQuorum, r.Artifacts[0].SHA512))
	}, "signatures", "name no decision"},
	{"signature without notations", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		b.Signatures[0].Signature = resign(t, r, r.Decided().Decided, nil)
	}, "signatures", "name no decision"},
	{"signature of another ground", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		b.Signatures[0].Signature = resign(t, r, r.Decided().Decided, evidence.Notations(evidencetest.Origin, r.Decision.Digest(), "approval", r.Artifacts[0].SHA512))
	}, "signatures", "name no decision"},
	{"signature of another time than the decision", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		b.Signatures[0].Signature = resign(t, r, r.Decided().Decided+1, evidence.Notations(evidencetest.Origin, r.Decision.Digest(), attest.GroundQuorum, r.Artifacts[0].SHA512))
	}, "signatures", "name no decision"},
	{"earlier decision that nothing names", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		w := r.World
		redecide(t, r, b, w.Signer, r.Decided()) // the same decision, logged once more
		first, err := evidence.NewSigstore(r.Decision, w.Signer.VerifierKey, w.Log.Key.VerifierKey, w.Log.Prove(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		b.Earlier = []*evidence.Sigstore{first}
	}, "signatures", "named by no signature"},

	{"policy chain broken", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		next := r.World.Policy
		next.Serial, next.Previous = 2, attest.Digest{1}
		b.Policies = append(b.Policies, r.World.Seal(t, next))
	}, "policy chain", "does not follow"},
	{"policy signed by too few admins", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		next := r.World.Policy
		next.Serial, next.Previous = 2, r.World.Envelope.Digest()
		e, err := next.Seal(r.World.Admins[0])
		if err != nil {
			t.Fatal(err)
		}
		b.Policies = append(b.Policies, e)
	}, "policy chain", "too few admins"},
	{"policies out of order", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) {
		b.Policies = append(b.Policies, b.Policies[0])
	}, "policy chain", "order"},
	{"chain that goes on behind the release's policy", func(t *testing.T, r *evidencetest.Release, b *evidence.Bundle) {
		next := r.World.Policy
		next.Serial, next.Previous = 2, r.World.Envelope.Digest()
		b.Policies = append(b.Policies, r.World.Seal(t, next))
	}, "policy chain", "does not end with"},
	{"other media type", func(_ *testing.T, _ *evidencetest.Release, b *evidence.Bundle) { b.MediaType = "text/plain" }, "bundle", "media type"},
}

// resign signs the first artifact with the right key and the wrong words.
func resign(t *testing.T, r *evidencetest.Release, at attest.Time, n []openpgp.Notation) []byte {
	t.Helper()
	s, err := openpgp.SignBytes(r.World.Certificate, evidencetest.Ed25519("openpgp "+evidencetest.Suite), r.Files[0],
		openpgp.Options{Created: at.Time(), Notations: n})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSpoiledEvidenceIsRefusedWithTheReason(t *testing.T) {
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := evidencetest.New(t, evidencetest.Options{}).Release(t, 1)
			b := r.Bundle(t)
			trust := evidence.Trust{Policy: r.World.Envelope}
			if _, err := evidence.Verify(b, trust); err != nil {
				t.Fatalf("before: %v", err)
			}
			c.spoil(t, r, b)
			report, err := evidence.Verify(b, trust)
			if !errors.Is(err, evidence.ErrNotVerified) || report != nil {
				t.Fatalf("verified: %v", err)
			}
			if prefix := evidence.ErrNotVerified.Error() + ": " + c.step + ": "; !strings.HasPrefix(err.Error(), prefix) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("refused with %q, want step %q and %q", err, c.step, c.why)
			}
		})
	}
}

func TestForeignTrustRefusesTheBundle(t *testing.T) {
	r := evidencetest.New(t, evidencetest.Options{}).Release(t, 1)
	foreign := r.World.Policy
	foreign.Admins.Keys = slices.Clone(foreign.Admins.Keys)
	key := evidencetest.Ed25519Key(t, "admin", "mallory")
	foreign.Admins.Keys[0] = key.VerifierKey
	e, err := foreign.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.AddSignature(r.World.Admins[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Verify(r.Bundle(t), evidence.Trust{Policy: e}); !errors.Is(err, evidence.ErrNotVerified) {
		t.Errorf("verified under foreign trust: %v", err)
	}
}

func TestNothingUnverifiedIsBuilt(t *testing.T) {
	r := evidencetest.New(t, evidencetest.Options{}).Release(t, 1)
	for what, spoil := range map[string]func(p *evidence.Parts){
		"no policy":         func(p *evidence.Parts) { p.Policies = nil },
		"missing policy":    func(p *evidence.Parts) { p.Policies = []*attest.Envelope{nil} },
		"no request":        func(p *evidence.Parts) { p.Request = nil },
		"no opening":        func(p *evidence.Parts) { p.Opening = nil },
		"no decision":       func(p *evidence.Parts) { p.Decision.Envelope = nil },
		"no votes":          func(p *evidence.Parts) { p.Votes = nil },
		"no artifacts":      func(p *evidence.Parts) { p.Artifacts = nil },
		"no proof":          func(p *evidence.Parts) { p.Decision.Proof = translog.Proof{} },
		"no opening proof":  func(p *evidence.Parts) { p.OpeningProof = translog.Proof{} },
		"earlier, but none": func(p *evidence.Parts) { p.Earlier = []evidence.Logged{{}} },
	} {
		parts := r.Parts()
		spoil(&parts)
		if _, err := evidence.Build(parts); err == nil {
			t.Errorf("%s: built", what)
		}
	}
}
