package translog_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

func newFollower(tb testing.TB, pinned *attest.Envelope) *translog.Follower {
	tb.Helper()
	chain, err := policy.Pin(pinned)
	if err != nil {
		tb.Fatal(err)
	}
	return translog.NewFollower(chain)
}

// follow reads the whole log of a world and has it confirmed.
func follow(tb testing.TB, w *evidencetest.World) (*translog.Follower, []translog.Fact) {
	tb.Helper()
	f := newFollower(tb, w.Envelope)
	facts, err := f.Append(w.Log.Entries)
	if err != nil {
		tb.Fatal(err)
	}
	confirm(tb, f, w.Log)
	return f, facts
}

func confirm(tb testing.TB, f *translog.Follower, log *evidencetest.Log) {
	tb.Helper()
	c, err := translog.OpenCheckpoint(log.Checkpoint(tb), log.Key.VerifierKey)
	if err != nil {
		tb.Fatal(err)
	}
	if err := f.Advance(c); err != nil {
		tb.Fatal(err)
	}
}

func next(w *evidencetest.World, e *attest.Envelope, change func(*policy.Policy)) policy.Policy {
	p := w.Policy
	p.Serial, p.Previous, p.Issued = p.Serial+1, e.Digest(), p.Issued+1
	if change != nil {
		change(&p)
	}
	return p
}

// propose is a vote by a rebuilder for one file.
func propose(tb testing.TB, w *evidencetest.World, o *evidencetest.Other, rebuilder int, content string) *attest.Envelope {
	tb.Helper()
	return o.Vote(tb, w.Rebuilders[rebuilder], evidencetest.File(tb, "a.deb", content))
}

var samePolicy = cmp.Comparer(func(a, b *policy.Version) bool { return a.Digest == b.Digest })

func TestFollowerKnowsWhatTheLogSays(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	w.Log.Record(t, attest.RecordPolicy, w.Coordinator, w.Envelope)
	r := w.Release(t, 1)
	hello, other := w.Open(t, evidencetest.Suite, "hello-2", 2), w.Open(t, evidencetest.Suite, "other", 1)
	w.Log.Record(t, attest.RecordEquivocation, w.Coordinator, propose(t, w, hello, 1, "x"), propose(t, w, hello, 1, "y"))
	w.Withdraw(t, other.ID)
	complaint, err := attest.Complaint{
		Rebuilder: "rebuilder-1", Release: r.ID, Decision: r.Decision.Digest(), Statement: attest.Digest{2}, Receipt: attest.Digest{3}, Issued: evidencetest.Opened,
	}.Seal(w.Rebuilders[0])
	if err != nil {
		t.Fatal(err)
	}
	w.Log.Record(t, attest.RecordComplaint, w.Coordinator, complaint, r.Votes[1], r.Votes[0])
	f, facts := follow(t, w)
	for i, fact := range facts {
		if fact.Problem != "" {
			t.Errorf("entry %d: %s", i, fact.Problem)
		}
	}
	got, known := f.Release(r.ID)
	want := translog.Release{
		Index: 1, Request: r.Request.Digest(), Policy: f.Chain().Newest(), Attempt: 1, Publisher: "publisher",
		Suite: evidencetest.Suite, Source: evidencetest.Source,
		Complainants: []string{"rebuilder-1"},
		Decision:     &translog.Decided{Index: 2, Statement: r.Decision.Digest(), Release: r.ID, At: r.Decided().Decided, Ground: attest.GroundQuorum, Origin: evidencetest.Origin},
	}
	if diff := cmp.Diff(want, got, samePolicy); diff != "" || !known {
		t.Errorf("decided release (-want +got):\n%s", diff)
	}
	if got, known := f.Release(hello.ID); !known || !slices.Equal(got.Equivocators, []string{"rebuilder-2"}) || got.Withdrawn || got.Attempt != 2 {
		t.Errorf("release with an equivocation: %+v", got)
	}
	if got, known := f.Release(other.ID); !known || !got.Withdrawn {
		t.Errorf("withdrawn release: %+v", got)
	}
	if _, known := f.Release(attest.Digest{1}); known {
		t.Error("a release that is not in the log is known")
	}
	d, ok := f.FirstDecision(r.Artifacts[0].SHA512, w.Certificate.Fingerprint())
	if !ok || d.Statement != r.Decision.Digest() {
		t.Errorf("first decision: %+v, %t", d, ok)
	}
	if _, ok := f.FirstDecision(r.Artifacts[0].SHA512, evidencetest.Certify(t, "other").Fingerprint()); ok {
		t.Error("first decision for a certificate of no suite")
	}
}

func TestAWithdrawalStopsThatAttemptAndAllLaterOnes(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	attempts := []*evidencetest.Other{w.Open(t, evidencetest.Suite, "hello", 1), w.Open(t, evidencetest.Suite, "hello", 2), nil}
	w.Withdraw(t, attempts[1].ID)
	attempts[2] = w.Open(t, evidencetest.Suite, "hello", 3)
	f, _ := follow(t, w)
	for i, want := range []bool{false, true, true} {
		if got, known := f.Release(attempts[i].ID); !known || got.Withdrawn != want {
			t.Errorf("attempt %d withdrawn: %t, want %t", i+1, got.Withdrawn, want)
		}
	}
}

func TestAFileNameIsItsFirstContentsAndItsFirstSourcesForEver(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	first := evidencetest.File(t, "a.deb", "first")
	w.Open(t, evidencetest.Suite, "hello", 1).Decide(t, w, first)
	again := w.Open(t, evidencetest.Suite, "hello", 1)
	_, index := again.Decide(t, w, first) // the same bytes from the same source may be shared
	content := w.Open(t, evidencetest.Suite, "hello", 1)
	content.Decide(t, w, evidencetest.File(t, "a.deb", "second"), evidencetest.File(t, "b.deb", "free"))
	moved := w.Open(t, evidencetest.Suite, "other", 1)
	moved.Decide(t, w, first)
	f, facts := follow(t, w)
	if got, _ := f.Release(again.ID); got.Decision == nil || got.Decision.Index != index {
		t.Errorf("the same content again: %+v", got)
	}
	for o, want := range map[*evidencetest.Other]string{content: "other content", moved: "another source in this suite, hello"} {
		got, _ := f.Release(o.ID)
		if got.Decision != nil || !strings.Contains(got.Refused, want) || !strings.Contains(got.Refused, "a.deb") {
			t.Errorf("got decision %v, refused because %q, want %q in it", got.Decision, got.Refused, want)
		}
		if fact := facts[o.Index+1]; fact.Kind != translog.KindDecision || fact.Problem == "" {
			t.Errorf("fact %+v", fact)
		}
	}
	if err := f.CheckName(evidencetest.Suite, "anybody", "b.deb", attest.Digest{1}); err != nil {
		t.Errorf("a name that only a refused decision had: %v", err)
	}
	if err := f.CheckName("other suite", "anybody", "a.deb", attest.Digest{1}); err != nil {
		t.Errorf("the name in another suite: %v", err)
	}
	if err := f.CheckName(evidencetest.Suite, "hello", "a.deb", attest.Digest{1}); !errors.Is(err, translog.ErrNameContent) {
		t.Errorf("other content: %v", err)
	}
	if err := f.CheckName(evidencetest.Suite, "other", "a.deb", first.SHA256); !errors.Is(err, translog.ErrNameSource) {
		t.Errorf("other source: %v", err)
	}
	if d, ok := f.FirstDecision(first.SHA512, w.Certificate.Fingerprint()); !ok || d.Index != 1 {
		t.Errorf("first decision about the bytes: %+v", d)
	}
}

func TestADecisionOfAReleaseThatWasOpenedAgainCountsOnlyIfItWasSigned(t *testing.T) {
	for _, signed := range []bool{false, true} {
		w := evidencetest.New(t, evidencetest.Options{})
		file := evidencetest.File(t, "a.deb", "x")
		first := w.Open(t, evidencetest.Suite, "hello", 1)
		decision, at := first.Decide(t, w, file)
		if signed {
			made, err := attest.SignaturesMade{
				Signer: w.Signer.Name(), Release: first.ID, Decision: decision.Digest(), LogIndex: at, Certificate: w.Certificate.Fingerprint(),
				Kind: attest.DetachedBinary, Signatures: []attest.ArtifactSignature{{Artifact: "a.deb", SHA512: file.SHA512, Signature: attest.Digest{1}}},
			}.Seal(w.Signer)
			if err != nil {
				t.Fatal(err)
			}
			w.Log.Append(t, made, w.Signer.VerifierKey)
		}
		_, later := w.Open(t, evidencetest.Suite, "hello", 2).Decide(t, w, file)
		want := later
		if signed {
			want = at
		}
		f, _ := follow(t, w)
		if d, ok := f.FirstDecision(file.SHA512, w.Certificate.Fingerprint()); !ok || d.Index != want {
			t.Errorf("signed %t: first decision at entry %d, %t; want entry %d", signed, d.Index, ok, want)
		}
		if r, _ := f.Release(first.ID); !r.Reopened {
			t.Errorf("signed %t: the first attempt does not count as opened again", signed)
		}
	}
}

func TestFollowerTakesPoliciesFromTheLog(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	pinned := w.Envelope
	coordinator := evidencetest.P256Key(t, "coordinator", "newcomer")
	second := w.Seal(t, next(w, pinned, func(p *policy.Policy) {
		p.Coordinators = []policy.Party{{Key: coordinator.VerifierKey, NATS: evidencetest.NATSUser("newcomer")}}
	}))
	rival := w.Seal(t, next(w, pinned, func(p *policy.Policy) { p.Publishers[0].Quota = 7 }))
	f := newFollower(t, pinned)
	w.Log.Record(t, attest.RecordPolicy, w.Coordinator, pinned)
	w.Log.Record(t, attest.RecordPolicy, coordinator, second) // who comes with it logs it
	facts, err := f.Append(w.Log.Entries)
	if err != nil || facts[1].Problem != "" || f.Chain().Newest().Serial != 2 {
		t.Fatalf("policy %d in force, %v, %s", f.Chain().Newest().Serial, err, facts[1].Problem)
	}
	at := w.Log.Record(t, attest.RecordPolicy, w.Coordinator, rival)
	facts, err = f.Append(w.Log.Entries[at:])
	if err != nil || facts[0].Problem == "" || !strings.Contains(f.Contradiction(), "two policies with one serial") {
		t.Errorf("a second policy 2: %v, %+v, %q", err, facts, f.Contradiction())
	}
	w.Use(t, second)
	at = w.Log.Record(t, attest.RecordPolicy, coordinator, w.Seal(t, next(w, second, nil)))
	if _, err := f.Append(w.Log.Entries[at:]); err != nil || f.Contradiction() != "" || f.Chain().Newest().Serial != 3 {
		t.Errorf("after the admins decided: %v, %q, policy %d", err, f.Contradiction(), f.Chain().Newest().Serial)
	}
}

// A follower that pins a later policy reads the entries before it with the keys
// of the older ones, which the pinned one names by digest.
func TestEntriesUnderPoliciesBeforeThePinnedOneAreReadOrHalt(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	first := w.Envelope
	w.Log.Record(t, attest.RecordPolicy, w.Coordinator, first)
	old := w.Open(t, evidencetest.Suite, "hello", 1)
	old.Decide(t, w, evidencetest.File(t, "a.deb", "first"))
	second := w.Seal(t, next(w, first, nil))
	w.Log.Record(t, attest.RecordPolicy, w.Coordinator, second)

	blind := newFollower(t, second)
	if facts, err := blind.Append(w.Log.Entries); !errors.Is(err, translog.ErrOldPolicy) || len(facts) != 1 {
		t.Errorf("without the older policy: read %d entries, %v", len(facts), err)
	}
	chain, err := policy.Pin(second)
	if err != nil {
		t.Fatal(err)
	}
	if err := chain.Precede(first); err != nil {
		t.Fatal(err)
	}
	f := translog.NewFollower(chain)
	if _, err := f.Append(w.Log.Entries); err != nil {
		t.Fatal(err)
	}
	straight, _ := follow(t, w)
	if got, _ := f.Release(old.ID); got.Decision == nil {
		t.Errorf("release under the older policy: %+v", got)
	}
	if diff := translog.Differ(straight, f); diff != "" {
		t.Errorf("what followers of either pin know (-first +second):\n%s", diff)
	}
}

func TestForeignEntriesAreNamedAndChangeNothing(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	first := w.Envelope
	stranger := evidencetest.P256Key(t, "stranger", "coordinator")
	r := w.Release(t, 1)
	o := w.Open(t, evidencetest.Suite, "hello", 2)
	type sealer interface {
		Seal(key attest.SigningKey) (*attest.Envelope, error)
	}
	sealed := func(key attest.SigningKey, s sealer) *attest.Envelope {
		e, err := s.Seal(key)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	withdrawal := func(key attest.SigningKey, role attest.Role, release attest.Digest) *attest.Envelope {
		return sealed(key, attest.Withdrawal{Role: role, By: key.Name(), Release: release, Reason: "so", At: evidencetest.Opened})
	}
	complaint := func(key attest.SigningKey, release attest.Digest) *attest.Envelope {
		return sealed(key, attest.Complaint{
			Rebuilder: key.Name(), Release: release, Decision: attest.Digest{1}, Statement: attest.Digest{2}, Receipt: attest.Digest{3}, Issued: evidencetest.Opened,
		})
	}
	record := func(kind attest.RecordKind, bodies ...*attest.Envelope) func() {
		return func() { w.Log.Record(t, kind, w.Coordinator, bodies...) }
	}
	// A device that signed in secret could hide behind such statements.
	signatures := func(at int64, n int) func() {
		return func() {
			m := attest.SignaturesMade{
				Signer: w.Signer.Name(), Release: r.ID, Decision: r.Decision.Digest(), LogIndex: at, Certificate: w.Certificate.Fingerprint(), Kind: attest.DetachedBinary,
			}
			for i := range n {
				m.Signatures = append(m.Signatures, attest.ArtifactSignature{Artifact: fmt.Sprintf("%d.deb", i), SHA512: attest.Digest512{byte(i + 1)}, Signature: attest.Digest{1}})
			}
			w.Log.Append(t, sealed(w.Signer, m), w.Signer.VerifierKey)
		}
	}
	x, y := propose(t, w, o, 0, "x"), propose(t, w, o, 0, "y")
	before, _ := follow(t, w)
	for name, test := range map[string]struct {
		log    func()
		reason string
	}{
		"a leaf that is none of ours": {func() { w.Log.Add(t, translog.Entry{Leaf: []byte("hello")}) }, "no entry of an ECDSA P-256 signature"},
		"an opening by a stranger": {func() {
			opening, err := attest.ParseOpening(o.Opening.Payload)
			if err != nil {
				t.Fatal(err)
			}
			w.Log.Append(t, sealed(stranger, opening), stranger.VerifierKey, o.Request)
		}, "another key than the leaf's"},
		"an opening under an unknown policy": {func() {
			opening, err := attest.ParseOpening(o.Opening.Payload)
			if err != nil {
				t.Fatal(err)
			}
			opening.Policy = attest.Digest{1}
			w.Log.Append(t, sealed(w.Coordinator, opening), w.Coordinator.VerifierKey, o.Request)
		}, "does not stand before it"},
		"an opening twice": {func() { w.Log.Append(t, o.Opening, w.Coordinator.VerifierKey, o.Request) }, "in the log already, at entry 2"},
		"a receipt as entry": {func() {
			e := sealed(w.Coordinator, attest.Receipt{Coordinator: w.Coordinator.Name(), Rebuilder: "rebuilder-1", Issued: 1, Counted: []attest.Digest{{1}}})
			w.Log.Append(t, e, w.Coordinator.VerifierKey)
		}, "does not belong into the log"},
		"a second decision": {func() {
			d := r.Decided()
			d.Decided++
			w.Log.Append(t, sealed(w.Signer, d), w.Signer.VerifierKey)
		}, "decided already, at entry 1"},
		"a decision by the coordinator's key": {func() {
			forger := evidencetest.P256Key(t, "coordinator", w.Signer.Name())
			w.Log.Append(t, sealed(forger, o.Decided(t, w, evidencetest.File(t, "n.deb", "n"))), forger.VerifierKey)
		}, "another key than the leaf's"},
		"a decision about nothing": {func() {
			d := o.Decided(t, w, evidencetest.File(t, "n.deb", "n"))
			d.Release = attest.Digest{9}
			w.Log.Append(t, sealed(w.Signer, d), w.Signer.VerifierKey)
		}, "does not stand before it"},
		"a decision of another request": {func() {
			d := o.Decided(t, w, evidencetest.File(t, "n.deb", "n"))
			d.Request = attest.Digest{9}
			w.Log.Append(t, sealed(w.Signer, d), w.Signer.VerifierKey)
		}, "another request or policy"},
		"signatures on a decision elsewhere":     {signatures(7, 1), "does not stand at entry 7"},
		"more signatures than decided artifacts": {signatures(1, len(r.Artifacts)+1), "artifacts were decided"},
		"signatures that the log has already": {func() {
			signatures(1, 1)()
			signatures(1, 1)()
		}, "in the log already, at entry 3"},
		"a policy that too few signed": {func() {
			p := next(w, first, nil)
			e, err := p.Seal(w.Admins[0])
			if err != nil {
				t.Fatal(err)
			}
			record(attest.RecordPolicy, e)()
		}, "too few admins"},
		"a withdrawal by nobody":           {record(attest.RecordWithdrawal, withdrawal(evidencetest.Ed25519Key(t, "thief", "admin-1"), attest.RoleAdmin, o.ID)), "signature does not verify"},
		"a withdrawal of nothing":          {record(attest.RecordWithdrawal, withdrawal(w.Admins[0], attest.RoleAdmin, attest.Digest{9})), "does not stand before it"},
		"two withdrawals in one":           {record(attest.RecordWithdrawal, withdrawal(w.Admins[0], attest.RoleAdmin, o.ID), withdrawal(w.Admins[1], attest.RoleAdmin, o.ID)), "2 withdrawals"},
		"a vote as withdrawal":             {record(attest.RecordWithdrawal, x), "parsing withdrawal"},
		"an equivocation of two operators": {record(attest.RecordEquivocation, x, propose(t, w, o, 1, "y")), "not two votes of one operator"},
		"an equivocation in two releases": {func() {
			other := w.Open(t, evidencetest.Suite, "hello-3", 1)
			w.Log.Record(t, attest.RecordEquivocation, w.Coordinator, x, propose(t, w, other, 0, "y"))
		}, "not two votes"},
		"an equivocation by a stranger": {record(attest.RecordEquivocation, x,
			o.Vote(t, evidencetest.Ed25519Key(t, "thief", "rebuilder-1"), evidencetest.File(t, "a.deb", "y"))), "signature does not verify"},
		"a complaint by nobody":                {record(attest.RecordComplaint, complaint(evidencetest.Ed25519Key(t, "thief", "rebuilder-1"), o.ID), x, y), "signature does not verify"},
		"a complaint about nothing":            {record(attest.RecordComplaint, complaint(w.Rebuilders[0], attest.Digest{9}), x, y), "does not stand before it"},
		"an equivocation logged by a stranger": {func() { w.Log.Record(t, attest.RecordEquivocation, stranger, x, y) }, "another key than the leaf's"},
	} {
		t.Run(name, func(t *testing.T) {
			log := *w.Log
			defer func() { *w.Log = log }()
			f, _ := follow(t, w)
			test.log()
			facts, err := f.Append(w.Log.Entries[f.Size():])
			if err != nil || len(facts) == 0 {
				t.Fatalf("%d facts, %v", len(facts), err)
			}
			if got := facts[len(facts)-1].Problem; !strings.Contains(got, test.reason) {
				t.Errorf("got %q, want %q in it", got, test.reason)
			}
			for _, id := range []attest.Digest{r.ID, o.ID} {
				want, _ := before.Release(id)
				got, _ := f.Release(id)
				got.Refused = ""
				if diff := cmp.Diff(want, got, samePolicy); diff != "" {
					t.Errorf("release changed (-before +after):\n%s", diff)
				}
			}
			if f.Chain().Newest().Digest != first.Digest() || f.CheckName(evidencetest.Suite, "x", "n.deb", attest.Digest{1}) != nil {
				t.Error("policy or names changed")
			}
		})
	}
}

func TestAMissingBodyHalts(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	w.Log.Record(t, attest.RecordPolicy, w.Coordinator, w.Envelope)
	r := w.Release(t, 1)
	o := w.Open(t, evidencetest.Suite, "hello", 2)
	w.Log.Record(t, attest.RecordEquivocation, w.Coordinator, propose(t, w, o, 1, "x"), propose(t, w, o, 1, "y"))
	w.Withdraw(t, o.ID)
	resigned := func(e *attest.Envelope) *attest.Envelope { // as good as missing: what it says is not what was logged
		c := *e
		c.Signatures = []attest.Signature{{Sig: slices.Clone(e.Signatures[0].Sig)}}
		c.Signatures[0].Sig[9] ^= 1
		return &c
	}
	for name, spoil := range map[string]func(e *translog.Entry){
		"no statement":                       func(e *translog.Entry) { e.Envelope = nil },
		"another statement":                  func(e *translog.Entry) { e.Envelope = r.Votes[0] },
		"the statement with other signature": func(e *translog.Entry) { e.Envelope = resigned(e.Envelope) },
		"the statement signed twice": func(e *translog.Entry) {
			c := *e.Envelope
			c.Signatures = append(slices.Clone(c.Signatures), c.Signatures[0])
			e.Envelope = &c
		},
		"no bodies":        func(e *translog.Entry) { e.Bodies = nil },
		"an empty body":    func(e *translog.Entry) { e.Bodies = []*attest.Envelope{nil} },
		"another body":     func(e *translog.Entry) { e.Bodies = []*attest.Envelope{r.Votes[0]} },
		"a body too few":   func(e *translog.Entry) { e.Bodies = e.Bodies[:len(e.Bodies)-1] },
		"bodies re-signed": func(e *translog.Entry) { e.Bodies = []*attest.Envelope{resigned(e.Bodies[0])} },
	} {
		t.Run(name, func(t *testing.T) {
			for i := range w.Log.Entries {
				entry := w.Log.Entries[i]
				named := strings.Contains(name, "bod")
				if named && len(entry.Bodies) == 0 || name == "bodies re-signed" && attest.PredicateType(entry.Envelope.Payload) == attest.OpeningType {
					continue // no body there, or only what it says counts
				}
				spoil(&entry)
				f := newFollower(t, w.Envelope)
				if _, err := f.Append(w.Log.Entries[:i]); err != nil {
					t.Fatal(err)
				}
				if facts, err := f.Append([]translog.Entry{entry}); !errors.Is(err, translog.ErrMissingBody) || len(facts) != 0 {
					t.Errorf("entry %d: %+v, %v", i, facts, err)
				}
				if _, err := f.Append(w.Log.Entries[i:]); err != nil { // it was shown in the end
					t.Errorf("entry %d: %v", i, err)
				}
			}
		})
	}
}

// A coordinator that a new policy drops could otherwise keep that policy from
// one signer for ever, by keeping it back once.
func TestAPolicyThatBringsItsOwnCoordinatorHaltsUntilItIsServed(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	coordinator := evidencetest.P256Key(t, "coordinator", "newcomer")
	second := w.Seal(t, next(w, w.Envelope, func(p *policy.Policy) {
		p.Coordinators = []policy.Party{{Key: coordinator.VerifierKey, NATS: evidencetest.NATSUser("newcomer")}}
	}))
	at := w.Log.Record(t, attest.RecordPolicy, coordinator, second)
	kept := w.Log.Entries[at]
	f := newFollower(t, w.Envelope)
	for name, bodies := range map[string][]*attest.Envelope{"none": nil, "another": {w.Envelope}} {
		kept.Bodies = bodies
		if facts, err := f.Append([]translog.Entry{kept}); !errors.Is(err, translog.ErrMissingBody) {
			t.Fatalf("body %s: %+v, %v", name, facts, err)
		}
	}
	if _, err := f.Append(w.Log.Entries[at:]); err != nil || f.Chain().Newest().Serial != 2 {
		t.Errorf("policy %d in force, %v", f.Chain().Newest().Serial, err)
	}
}

func TestEntriesAreTakenInOrderAndComparedWithTheCheckpoint(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	w.Release(t, 1)
	f := newFollower(t, w.Envelope)
	if _, err := f.Append(w.Log.Entries[1:]); err == nil {
		t.Error("entry 1 was taken as the first one")
	}
	c, err := translog.OpenCheckpoint(w.Log.Checkpoint(t), w.Log.Key.VerifierKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Advance(c); err == nil || errors.Is(err, translog.ErrForked) {
		t.Errorf("checkpoint of another size: %v", err)
	}
	if _, err := f.Append(w.Log.Entries); err != nil {
		t.Fatal(err)
	}
	forged := c
	forged.Root[0] ^= 1
	if err := f.Advance(forged); !errors.Is(err, translog.ErrForked) {
		t.Errorf("checkpoint of another tree: %v", err)
	}
	if err := f.Advance(c); err != nil || f.Confirmed() != c {
		t.Errorf("the true checkpoint: %v, %v", err, f.Confirmed())
	}
}

func TestFollowerVerifiesNoSignatureOfItsOwner(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	o := w.Open(t, evidencetest.Suite, "hello", 1)
	e, _ := o.Decide(t, w, evidencetest.File(t, "a.deb", "x"))
	good := base64.StdEncoding.EncodeToString(e.Signatures[0].Sig)
	e.Signatures[0].Sig[20] ^= 1
	leaf := bytes.Replace(w.Log.Entries[1].Leaf, []byte(good), []byte(base64.StdEncoding.EncodeToString(e.Signatures[0].Sig)), 1)
	log := []translog.Entry{w.Log.Entries[0], {Index: 1, Leaf: leaf, Envelope: e}}
	f := newFollower(t, w.Envelope)
	facts, err := f.Append(log)
	if err != nil || !strings.Contains(facts[1].Problem, "signature does not verify") {
		t.Fatalf("%v, %+v", err, facts)
	}
	f = newFollower(t, w.Envelope)
	f.Trust(func(d attest.Digest) bool { return d == attest.Digest(translog.LeafHash(leaf)) })
	if facts, err := f.Append(log); err != nil || facts[1].Problem != "" {
		t.Errorf("trusted: %v, %+v", err, facts)
	}
}

// history is a log of all kinds of entries, lawful and not, in random order.
func history(tb testing.TB, random *rand.Rand, n int) *evidencetest.World {
	tb.Helper()
	w := evidencetest.New(tb, evidencetest.Options{})
	w.Log.Record(tb, attest.RecordPolicy, w.Coordinator, w.Envelope)
	var open []*evidencetest.Other
	some := func() *evidencetest.Other { return open[random.IntN(len(open))] }
	open = append(open, w.Open(tb, evidencetest.Suite, "hello", 1))
	for range n {
		switch random.IntN(8) {
		case 0, 1, 2:
			open = append(open, w.Open(tb, evidencetest.Suite, fmt.Sprintf("source-%d", random.IntN(4)), 1+random.IntN(4)))
		case 3, 4:
			some().Decide(tb, w, evidencetest.File(tb, fmt.Sprintf("file-%d.deb", random.IntN(6)), fmt.Sprint(random.IntN(2))))
		case 5:
			w.Withdraw(tb, some().ID)
		case 6:
			o, who := some(), random.IntN(3)
			w.Log.Record(tb, attest.RecordEquivocation, w.Coordinator,
				propose(tb, w, o, who, fmt.Sprint("x", random.IntN(2))), propose(tb, w, o, who, fmt.Sprint("y", random.IntN(2))))
		case 7:
			w.Log.Add(tb, translog.Entry{Leaf: fmt.Appendf(nil, "foreign %d", random.IntN(9))})
		}
	}
	return w
}

// Two logs here; TestLongFollowersOfOneLogKnowTheSameWhateverTheBatches has sixteen.
func TestFollowersOfOneLogKnowTheSameWhateverTheBatches(t *testing.T) {
	t.Parallel()
	followInBatches(t, 2)
}

// followInBatches follows logs, as many as said, in batches and by heart.
func followInBatches(t *testing.T, logs uint64) {
	t.Helper()
	for seed := range logs {
		random := rand.New(rand.NewPCG(seed, 3))
		w := history(t, random, 120)
		whole, facts := follow(t, w)
		for range 4 {
			f := newFollower(t, w.Envelope)
			for f.Size() < int64(len(w.Log.Entries)) {
				end := min(f.Size()+1+random.Int64N(40), int64(len(w.Log.Entries)))
				got, err := f.Append(w.Log.Entries[f.Size():end])
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(facts[f.Size()-int64(len(got)):f.Size()], got); diff != "" {
					t.Fatalf("facts (-whole +batch):\n%s", diff)
				}
			}
			if diff := translog.Differ(whole, f); diff != "" {
				t.Fatalf("seed %d (-whole +batches):\n%s", seed, diff)
			}
		}
		// From its own memory alone.
		again := newFollower(t, w.Envelope)
		for i := range facts {
			data, err := facts[i].Encode()
			if err != nil {
				t.Fatal(err)
			}
			fact, err := translog.ParseFact(data)
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Learn(fact); err != nil {
				t.Fatal(err)
			}
		}
		confirm(t, again, w.Log)
		if diff := translog.Differ(whole, again); diff != "" {
			t.Errorf("seed %d (-read +learnt):\n%s", seed, diff)
		}
	}
}
