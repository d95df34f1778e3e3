package signer_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/signer"
	"github.com/reprosign/reprosign/signer/key"
	"github.com/reprosign/reprosign/signer/ledger"
	"github.com/reprosign/reprosign/signer/promise"
)

// device is an Ed25519 key that counts what it is asked and fails on request.
type device struct {
	private ed25519.PrivateKey
	asked   atomic.Int64
	fault   error
	before  func() // called before each signature, unless nil
}

func (d *device) Public() crypto.PublicKey { return d.private.Public() }

func (d *device) Sign(_ context.Context, digest []byte) ([]byte, error) {
	d.asked.Add(1)
	if d.before != nil {
		d.before()
	}
	if d.fault != nil {
		return nil, d.fault
	}
	return ed25519.Sign(d.private, digest), nil
}

// bench is a signer beside a world and one of its releases.
type bench struct {
	*evidencetest.World

	release *evidencetest.Release
	attempt int // that the release is
	shelf   *shelf
	device  *device
	clock   attest.Time
	signer  *signer.Signer
	book    *promise.Book    // of the signer
	state   string           // the directory of the book
	looked  func()           // called after each look of the signer's at the log, unless nil
	now     func() time.Time // the clock of the signer
}

// watched is a ledger that says when it was looked at.
type watched struct {
	*ledger.Ledger

	b *bench
}

func (w watched) Ask(ctx context.Context, patience time.Duration, ready func(ledger.View) bool, use func(ledger.View) error) error {
	err := w.Ledger.Ask(ctx, patience, ready, use)
	if w.b.looked != nil {
		w.b.looked()
	}
	return err
}

// shelf serves what is published of a log.
type shelf struct {
	note     []byte
	entries  []translog.Entry
	policies []*attest.Envelope
	fault    error
}

// Read never waits: nothing is published meanwhile.
func (s *shelf) Read(_ context.Context, from int64, _ time.Duration) ([]byte, []translog.Entry, error) {
	return s.note, s.entries[min(from, int64(len(s.entries))):], s.fault
}

func (s *shelf) Policies(context.Context) ([]*attest.Envelope, error) { return s.policies, nil }

// publish shows the whole log as it is.
func (b *bench) publish(t testing.TB) {
	t.Helper()
	b.shelf.note, b.shelf.entries = b.Log.Checkpoint(t), slices.Clone(b.Log.Entries)
}

func newBench(t testing.TB, o evidencetest.Options) *bench {
	t.Helper()
	return newBenchAt(t, o, 1)
}

// newBenchAt is a bench whose release is a later attempt, the log having none before it.
func newBenchAt(t testing.TB, o evidencetest.Options, attempt int) *bench {
	t.Helper()
	b := &bench{World: evidencetest.New(t, o), attempt: attempt, device: &device{private: evidencetest.Ed25519("openpgp " + evidencetest.Suite)}}
	b.now = func() time.Time { return b.clock.Time() }
	b.release = b.Release(t, attempt)
	b.clock = b.release.Decided().Decided
	// Published is the log up to the release's opening: the decision is to come.
	b.shelf = &shelf{note: b.release.OpeningProof.Checkpoint, entries: slices.Clone(b.Log.Entries[:b.release.OpeningIndex+1])}
	b.signer = b.newSigner(t, b.Envelope)
	return b
}

// newSigner starts a signer that knows nothing yet but a pinned policy.
func (b *bench) newSigner(t testing.TB, pinned *attest.Envelope) *signer.Signer {
	t.Helper()
	b.state = t.TempDir()
	return b.startSigner(t, pinned)
}

// restart starts the signer again, with its promises and no copy of the log.
func (b *bench) restart(t testing.TB) {
	t.Helper()
	if err := b.book.Close(); err != nil {
		t.Fatal(err)
	}
	b.signer = b.startSigner(t, b.Envelope)
}

func (b *bench) startSigner(t testing.TB, pinned *attest.Envelope) *signer.Signer {
	t.Helper()
	trust, err := policy.Pin(pinned)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	memory, err := ledger.Open(ledger.Config{Directory: t.TempDir(), Trust: trust, Reader: b.shelf, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = memory.Close() })
	if b.book, err = promise.Open(promise.Config{Directory: b.state, Log: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.book.Close() })
	s, err := signer.New(signer.Config{
		Trust: trust, Ledger: watched{memory, b}, Promises: b.book, Key: b.Signer, Now: func() time.Time { return b.now() }, Log: quiet,
		Certificates: []signer.Certificate{{Certificate: b.Certificate, Key: b.device}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b *bench) decideCase() bus.DecideCase {
	r := b.release
	return bus.DecideCase{Opening: r.Opening, Request: r.Request, Claim: r.Claim, Votes: slices.Clone(r.Votes), Artifacts: r.Artifacts}
}

// caseOf is a release for which all rebuilders vote.
func (b *bench) caseOf(t testing.TB, o *evidencetest.Other, files ...attest.Artifact) bus.DecideCase {
	t.Helper()
	c := bus.DecideCase{Opening: o.Opening, Request: o.Request, Artifacts: files}
	for _, key := range b.Rebuilders {
		c.Votes = append(c.Votes, o.Vote(t, key, files...))
	}
	return c
}

func (b *bench) decide(t *testing.T, c bus.DecideCase) bus.DecideResult {
	t.Helper()
	reply := b.signer.Decide(t.Context(), bus.DecideRequest{Cases: []bus.DecideCase{c}})
	if len(reply.Results) != 1 {
		t.Fatalf("got %d results to one case", len(reply.Results))
	}
	return reply.Results[0]
}

// signRequest publishes what is logged and asks for the release's signatures.
func (b *bench) signRequest(t *testing.T) bus.SignRequest {
	t.Helper()
	b.publish(t)
	r := b.release
	return bus.SignRequest{
		Decision: r.Decision, Opening: r.Opening, Request: r.Request, Claim: r.Claim, Votes: r.Votes,
		Artifacts: r.Artifacts, States: r.States,
		Certificate: b.Certificate.Fingerprint(),
		Proof:       shown(r.DecisionProof), OpeningProof: shown(r.OpeningProof),
	}
}

func shown(p translog.Proof) bus.LogProof {
	out := bus.LogProof{Index: p.Index, Checkpoint: p.Checkpoint}
	for _, h := range p.Hashes {
		out.Hashes = append(out.Hashes, attest.Digest(h))
	}
	return out
}

// next logs and publishes the policy that follows, changed.
func (b *bench) next(t *testing.T, change func(p *policy.Policy)) *attest.Envelope {
	t.Helper()
	p := b.Policy
	p.Serial, p.Previous, p.Issued = p.Serial+1, b.Version.Digest, p.Issued+1
	if change != nil {
		change(&p)
	}
	e := b.Seal(t, p)
	b.Log.Record(t, attest.RecordPolicy, b.Coordinator, e)
	b.publish(t)
	return e
}

// wantDecided wants the decision that follows from the release's votes.
func (b *bench) wantDecided(t *testing.T, result bus.DecideResult) {
	t.Helper()
	if result.Error != nil {
		t.Fatal(result.Error)
	}
	got, err := attest.OpenDecision(result.Decision, b.Version.SignerKey)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.release.Decided(), got); diff != "" {
		t.Errorf("decision differs from the one that follows from the votes (-want +got):\n%s", diff)
	}
}

func TestSignerDecidesWhatTheOperatorsAgreeOn(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	b.wantDecided(t, b.decide(t, b.decideCase()))
	if n := b.device.asked.Load(); n != 0 {
		t.Errorf("deciding asked the device %d times", n)
	}
}

func TestAVoteSentManyTimesIsOne(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	c := b.decideCase()
	c.Votes = append(slices.Repeat(c.Votes[:1], 40), c.Votes[1:]...)
	b.wantDecided(t, b.decide(t, c))
}

func TestSignerRefusesToDecide(t *testing.T) {
	for name, test := range map[string]struct {
		change func(t *testing.T, b *bench, c *bus.DecideCase)
		kind   bus.Kind
		reason string
	}{
		"a vote with one byte changed": {func(_ *testing.T, _ *bench, c *bus.DecideCase) {
			e := *c.Votes[0]
			e.Payload = bytes.Replace(e.Payload, []byte("6.1.0"), []byte("6.1.1"), 1)
			c.Votes[0] = &e
		}, bus.KindDenied, "signature does not verify"},
		"fewer votes than the threshold": {func(_ *testing.T, _ *bench, c *bus.DecideCase) {
			c.Votes = c.Votes[:1]
		}, bus.KindNotReady, "1 of 3 operators"},
		"one vote sent three times": {func(_ *testing.T, _ *bench, c *bus.DecideCase) {
			c.Votes = []*attest.Envelope{c.Votes[0], c.Votes[0], c.Votes[0]}
		}, bus.KindNotReady, "1 of 3 operators"},
		"a bad vote behind a hundred": {func(_ *testing.T, _ *bench, c *bus.DecideCase) {
			c.Votes = append(slices.Repeat(c.Votes, 34), nil)
		}, bus.KindInvalid, "no envelope of a statement"},
		"a vote from another attempt": {func(t *testing.T, b *bench, c *bus.DecideCase) {
			c.Votes[1] = b.Release(t, 2).Votes[1]
		}, bus.KindDenied, "is for release"},
		"a vote by somebody who is no rebuilder": {func(t *testing.T, b *bench, c *bus.DecideCase) {
			c.Votes[1] = b.release.Vote(t, evidencetest.Ed25519Key(t, "rebuilder", "stranger"), b.release.Artifacts)
		}, bus.KindDenied, "not in the policy"},
		"another artifact list": {func(_ *testing.T, _ *bench, c *bus.DecideCase) {
			c.Artifacts = slices.Clone(c.Artifacts)
			c.Artifacts[0].SHA256[0] ^= 1
		}, bus.KindDenied, "not the set that the operators agree on"},
		"a claim that is not disclosed": {func(_ *testing.T, _ *bench, c *bus.DecideCase) {
			c.Claim = nil
		}, bus.KindDenied, "claim"},
		"a claim with another salt": {func(_ *testing.T, _ *bench, c *bus.DecideCase) {
			other := *c.Claim
			other.Salt[0] ^= 1
			c.Claim = &other
		}, bus.KindDenied, "claim"},
		"a request of another release": {func(_ *testing.T, _ *bench, c *bus.DecideCase) {
			c.Request = c.Opening
		}, bus.KindInvalid, "malformed"},
		"an opening by somebody who is no coordinator": {func(t *testing.T, b *bench, c *bus.DecideCase) {
			o, err := attest.ParseOpening(c.Opening.Payload)
			if err != nil {
				t.Fatal(err)
			}
			o.Coordinator = "stranger"
			if c.Opening, err = o.Seal(evidencetest.P256Key(t, "coordinator", "stranger")); err != nil {
				t.Fatal(err)
			}
		}, bus.KindNotReady, "not in the published log"},
		"an opening from the future": {func(_ *testing.T, b *bench, _ *bus.DecideCase) {
			b.clock = evidencetest.Opened - 3600
		}, bus.KindNotReady, "future"},
		"a release past its deadline": {func(_ *testing.T, b *bench, _ *bus.DecideCase) {
			b.clock += 10 * 3600
		}, bus.KindDenied, "expired"},
		"an expired policy": {func(_ *testing.T, b *bench, _ *bus.DecideCase) {
			b.clock = evidencetest.Expires + 1
		}, bus.KindDenied, "expired"},
		"nothing at all": {func(_ *testing.T, _ *bench, c *bus.DecideCase) {
			*c = bus.DecideCase{}
		}, bus.KindInvalid, "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, evidencetest.Options{})
			c := b.decideCase()
			test.change(t, b, &c)
			result := b.decide(t, c)
			if result.Decision != nil || result.Error == nil {
				t.Fatalf("decided, want a refusal that says %q", test.reason)
			}
			if result.Error.Kind != test.kind || !strings.Contains(result.Error.Message, test.reason) {
				t.Errorf("got %s: %s\nwant %s: …%s…", result.Error.Kind, result.Error.Message, test.kind, test.reason)
			}
			if set := b.release.Decided().Set; strings.Contains(result.Error.Message, set.Short()) {
				t.Error("refusal tells the set digest, which is under embargo")
			}
		})
	}
}

// Votes are opened by the handful, by tables of keys that are known for long.
func TestABadVoteSpoilsItsCaseWhereverItStands(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	many := b.decideCase()
	many.Votes = slices.Repeat(many.Votes, 200)
	if result := b.decide(t, many); result.Error != nil {
		t.Fatal(result.Error)
	}
	bad := *many.Votes[0]
	bad.Signatures = []attest.Signature{{Sig: bytes.Clone(bad.Signatures[0].Sig)}}
	bad.Signatures[0].Sig[40] ^= 1
	for _, place := range []int{0, 1, 30, 31, 32, 33, 63, 64, 65, 99} {
		c := many
		c.Votes = slices.Clone(many.Votes[:100])
		c.Votes[place] = &bad
		result := b.decide(t, c)
		if result.Error == nil || result.Error.Kind != bus.KindDenied || !strings.Contains(result.Error.Message, "signature does not verify") {
			t.Errorf("vote %d bad: %+v", place, result)
		}
	}
}

func TestOneRefusedCaseLeavesTheOthersAlone(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	good, bad := b.decideCase(), b.decideCase()
	bad.Votes = nil
	reply := b.signer.Decide(t.Context(), bus.DecideRequest{Cases: []bus.DecideCase{bad, good, {}}})
	if reply.Results[0].Error == nil || reply.Results[1].Error != nil || reply.Results[2].Error == nil {
		t.Errorf("got %+v, want only the second decided", reply.Results)
	}
}

func TestSignerTakesPoliciesFromTheLogAndDecidesOnlyUnderTheNewest(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	p := b.Policy
	p.Serial, p.Previous, p.Issued = 2, b.Version.Digest, p.Issued+1
	forged, err := p.Seal(b.Admins[0])
	if err != nil {
		t.Fatal(err)
	}
	fresh := b.Open(t, evidencetest.Suite, "other", 1) // not decided: the bench's own release is by now
	b.Log.Record(t, attest.RecordPolicy, b.Coordinator, forged)
	b.publish(t)
	ask := b.caseOf(t, fresh, evidencetest.File(t, "other.deb", "other"))
	if result := b.decide(t, ask); result.Error != nil {
		t.Fatalf("a policy with one signature changed what is decided: %v", result.Error)
	}
	b.next(t, nil)
	if e := b.decide(t, ask).Error; e == nil || e.Kind != bus.KindDenied || !strings.Contains(e.Message, "superseded") {
		t.Errorf("got %v under a superseded policy, want a refusal", e)
	}
	if reply := b.signer.Sign(t.Context(), b.signRequest(t)); reply.Error != nil {
		t.Errorf("a decision of the policy before could not be signed any more: %v", reply.Error)
	}
}

func TestSignerDecidesNothingWhileTheAdminsContradictThemselves(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	second := b.next(t, nil)
	b.next(t, func(p *policy.Policy) { p.Publishers[0].Quota = 7 })
	if e := b.signer.Sign(t.Context(), b.signRequest(t)).Error; e == nil || !strings.Contains(e.Message, "two policies with one serial") {
		t.Errorf("got %v, want a refusal", e)
	}
	b.Use(t, second)
	b.next(t, nil)
	if e := b.signer.Sign(t.Context(), b.signRequest(t)).Error; e != nil {
		t.Errorf("after a policy that follows: %v", e)
	}
}

func TestSignerDecidesNothingUnderAPolicyThatIsNotInTheLog(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	p := b.Policy
	p.Serial, p.Previous, p.Issued = 2, b.Version.Digest, p.Issued+1
	b.Use(t, b.Seal(t, p))
	b.release = b.Release(t, 1)
	b.publish(t)
	if e := b.decide(t, b.decideCase()).Error; e == nil || e.Kind != bus.KindNotReady {
		t.Errorf("got %v, want %s", e, bus.KindNotReady)
	}
}

func TestSignerPinsALaterPolicyAndKnowsTheLogBeforeIt(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	second := b.next(t, nil)
	b.shelf.policies = []*attest.Envelope{b.Envelope, second}
	s := b.newSigner(t, second)
	if reply := s.Sign(t.Context(), b.signRequest(t)); reply.Error != nil {
		t.Errorf("a decision under the policy before the pinned one: %v", reply.Error)
	}
}

func TestSignerSignsALoggedDecision(t *testing.T) {
	b := newBench(t, evidencetest.Options{Artifacts: 5})
	reply := b.signer.Sign(t.Context(), b.signRequest(t))
	if reply.Error != nil {
		t.Fatal(reply.Error)
	}
	if diff := cmp.Diff(b.release.Signatures, reply.Signatures); diff != "" {
		t.Errorf("signatures are not the function of decision, artifact and certificate (-want +got):\n%s", diff)
	}
	for i, file := range b.release.Files {
		if _, err := openpgp.Verify(b.Certificate, reply.Signatures[i], bytes.NewReader(file)); err != nil {
			t.Errorf("signature %d: %v", i, err)
		}
	}
	made, err := attest.OpenSignaturesMade(reply.Made, b.Version.SignerKey)
	if err != nil {
		t.Fatal(err)
	}
	if made.Decision != b.release.Decision.Digest() || made.LogIndex != b.release.DecisionIndex || len(made.Signatures) != 5 {
		t.Errorf("statement is about another decision or other signatures: %+v", made)
	}
	if again := b.signer.Sign(t.Context(), b.signRequest(t)); !bytes.Equal(again.Made.Payload, reply.Made.Payload) {
		t.Error("signing again gave another statement")
	}
}

func TestSignerSignsOnlyTheArtifactsAskedFor(t *testing.T) {
	b := newBench(t, evidencetest.Options{Artifacts: 3})
	req := b.signRequest(t)
	req.Only = []string{b.release.Artifacts[1].Name}
	reply := b.signer.Sign(t.Context(), req)
	if reply.Error != nil {
		t.Fatal(reply.Error)
	}
	if diff := cmp.Diff(b.release.Signatures[1:2], reply.Signatures); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := b.device.asked.Load(); n != 1 {
		t.Errorf("device was asked %d times", n)
	}
}

func TestSignerRefusesToSign(t *testing.T) {
	for name, test := range map[string]struct {
		change func(t *testing.T, b *bench, req *bus.SignRequest)
		kind   bus.Kind
		reason string
	}{
		"a decision under a foreign statement key": {func(t *testing.T, b *bench, req *bus.SignRequest) {
			d := b.release.Decided()
			b.release.Log(t, evidencetest.P256Key(t, "signer", "signer-x"), withSigner(d, "signer-x"))
			*req = b.signRequest(t)
		}, bus.KindDenied, "is another one"},
		"a decision forged in the signer's name": {func(t *testing.T, b *bench, req *bus.SignRequest) {
			stranger := evidencetest.P256Key(t, "thief", b.Signer.Name())
			b.release.Log(t, stranger, b.release.Decided())
			*req = b.signRequest(t)
		}, bus.KindDenied, "is another one"},
		"a decision that is not in the log": {func(t *testing.T, b *bench, req *bus.SignRequest) {
			d := b.release.Decided()
			d.Decided++
			e, err := d.Seal(b.Signer)
			if err != nil {
				t.Fatal(err)
			}
			req.Decision = e
		}, bus.KindDenied, "is another one"},
		"a decision at another place in the log": {func(_ *testing.T, _ *bench, req *bus.SignRequest) {
			req.Proof.Index--
		}, bus.KindDenied, "is another one, at entry 1"},
		"a decision that no published checkpoint covers": {func(_ *testing.T, b *bench, _ *bus.SignRequest) {
			b.shelf.note, b.shelf.entries = b.release.OpeningProof.Checkpoint, b.shelf.entries[:1]
		}, bus.KindNotReady, "no decision about release"},
		"a decision by a stolen statement key, without the votes": {func(_ *testing.T, _ *bench, req *bus.SignRequest) {
			req.Votes = req.Votes[:1]
		}, bus.KindNotReady, "does not follow from the votes"},
		"a decision by a stolen statement key, over artifacts nobody voted for": {func(t *testing.T, b *bench, req *bus.SignRequest) {
			o := b.Open(t, evidencetest.Suite, "other", 1)
			forged, voted := evidencetest.File(t, "other.deb", "forged"), evidencetest.File(t, "other.deb", "voted")
			req.Decision, req.Proof.Index = o.Decide(t, b.World, forged)
			req.Opening, req.Request, req.Claim, req.Artifacts, req.Votes = o.Opening, o.Request, nil, attest.Artifacts{forged}, nil
			for _, key := range b.Rebuilders {
				req.Votes = append(req.Votes, o.Vote(t, key, voted))
			}
			b.publish(t)
		}, bus.KindDenied, "does not follow from the votes"},
		"another artifact": {func(_ *testing.T, _ *bench, req *bus.SignRequest) {
			req.Artifacts = slices.Clone(req.Artifacts)
			req.Artifacts[0].SHA512[0] ^= 1
		}, bus.KindDenied, "another artifact set"},
		"the state of another file": {func(_ *testing.T, _ *bench, req *bus.SignRequest) {
			req.States = slices.Clone(req.States)
			req.States[0], req.States[1] = req.States[1], req.States[0]
		}, bus.KindDenied, "state does not match"},
		"a certificate of another suite": {func(t *testing.T, _ *bench, req *bus.SignRequest) {
			req.Certificate = evidencetest.Certify(t, "other").Fingerprint()
		}, bus.KindDenied, "not in the policy"},
		"an opening of another release": {func(t *testing.T, b *bench, req *bus.SignRequest) {
			b.clock += 3600 // so that the other one is open, too
			req.Opening = b.Release(t, 2).Opening
			b.publish(t)
		}, bus.KindDenied, "is another one"},
		"a name that is not in the set": {func(_ *testing.T, _ *bench, req *bus.SignRequest) {
			req.Only = []string{"other.deb"}
		}, bus.KindInvalid, "not in the artifact set"},
		"an expired policy": {func(_ *testing.T, b *bench, _ *bus.SignRequest) {
			b.clock = evidencetest.Expires + 1
		}, bus.KindDenied, "expired"},
		"no decision": {func(_ *testing.T, _ *bench, req *bus.SignRequest) {
			req.Decision = nil
		}, bus.KindInvalid, "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, evidencetest.Options{})
			req := b.signRequest(t)
			test.change(t, b, &req)
			reply := b.signer.Sign(t.Context(), req)
			if reply.Error == nil {
				t.Fatalf("signed, want a refusal that says %q", test.reason)
			}
			if reply.Signatures != nil || reply.Made != nil {
				t.Error("refusal carries signatures")
			}
			if reply.Error.Kind != test.kind || !strings.Contains(reply.Error.Message, test.reason) {
				t.Errorf("got %s: %s\nwant %s: …%s…", reply.Error.Kind, reply.Error.Message, test.kind, test.reason)
			}
			if n := b.device.asked.Load(); n != 0 {
				t.Errorf("the device was asked %d times before the refusal", n)
			}
		})
	}
}

func withSigner(d attest.Decision, name string) attest.Decision {
	d.Signer = name
	return d
}

func TestSignerSignsNothingThatTheNewestPolicyForbids(t *testing.T) {
	for name, test := range map[string]struct {
		change func(t *testing.T, p *policy.Policy)
		reason string
	}{
		"a statement key that was dropped": {func(t *testing.T, p *policy.Policy) {
			p.Signers = []policy.Party{{Key: evidencetest.P256Key(t, "signer", "successor").VerifierKey, NATS: p.Signers[0].NATS}}
		}, "not trusted any more"},
		"a certificate that was dropped": {func(t *testing.T, p *policy.Policy) {
			p.Suites = slices.Clone(p.Suites)
			p.Suites[0].Certificates = []policy.Certificate{{Fingerprint: evidencetest.Certify(t, "successor").Fingerprint(), Use: policy.UseArtifacts}}
		}, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, evidencetest.Options{})
			b.next(t, func(p *policy.Policy) { test.change(t, p) })
			req := b.signRequest(t)
			reply := b.signer.Sign(t.Context(), req)
			if reply.Error == nil || reply.Error.Kind != bus.KindDenied || !strings.Contains(reply.Error.Message, test.reason) {
				t.Errorf("got %v, want denied: …%s…", reply.Error, test.reason)
			}
		})
	}
}

func TestAFailingDeviceIsUnavailableAndLeavesNothing(t *testing.T) {
	for _, fault := range []error{key.ErrLocked, key.ErrThrottled, key.ErrUnavailable, key.ErrWrongSignature} {
		b := newBench(t, evidencetest.Options{})
		b.device.fault = fault
		reply := b.signer.Sign(t.Context(), b.signRequest(t))
		if reply.Error == nil || reply.Error.Kind != bus.KindUnavailable || reply.Signatures != nil || reply.Made != nil {
			t.Errorf("%v: got %+v, want unavailable and nothing else", fault, reply)
		}
		b.device.fault = nil
		if reply := b.signer.Sign(t.Context(), b.signRequest(t)); reply.Error != nil {
			t.Errorf("%v: still failing when the device is back: %v", fault, reply.Error)
		}
	}
}

func TestSignerRefusesACertificateWhoseKeyTheDeviceDoesNotHold(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	trust, err := policy.Pin(w.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	_, err = signer.New(signer.Config{
		Trust: trust, Key: w.Signer, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Certificates: []signer.Certificate{{Certificate: w.Certificate, Key: &device{private: evidencetest.Ed25519("another")}}},
	})
	if err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("got %v, want a refusal", err)
	}
}
