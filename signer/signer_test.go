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
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/signer"
	"github.com/reprosign/reprosign/signer/key"
)

// device is an Ed25519 key that counts what it is asked and fails on request.
type device struct {
	private ed25519.PrivateKey
	asked   atomic.Int64
	fault   error
}

func (d *device) Public() crypto.PublicKey { return d.private.Public() }

func (d *device) Sign(_ context.Context, digest []byte) ([]byte, error) {
	d.asked.Add(1)
	if d.fault != nil {
		return nil, d.fault
	}
	return ed25519.Sign(d.private, digest), nil
}

// bench is a signer beside a world and one of its releases.
type bench struct {
	*evidencetest.World

	release *evidencetest.Release
	device  *device
	clock   attest.Time
	signer  *signer.Signer
}

func newBench(t *testing.T, o evidencetest.Options) *bench {
	t.Helper()
	b := &bench{World: evidencetest.New(t, o), device: &device{private: evidencetest.Ed25519("openpgp " + evidencetest.Suite)}}
	b.release = b.Release(t, 1)
	b.clock = b.release.Decided().Decided
	trust, err := policy.Pin(b.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	b.signer, err = signer.New(signer.Config{
		Trust: trust, Key: b.Signer, Now: func() time.Time { return b.clock.Time() }, Log: slog.New(slog.DiscardHandler),
		Certificates: []signer.Certificate{{Certificate: b.Certificate, Key: b.device}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) decideCase() bus.DecideCase {
	r := b.release
	return bus.DecideCase{Opening: r.Opening, Request: r.Request, Claim: r.Claim, Votes: slices.Clone(r.Votes), Artifacts: r.Artifacts}
}

func (b *bench) decide(t *testing.T, c bus.DecideCase) bus.DecideResult {
	t.Helper()
	reply := b.signer.Decide(t.Context(), bus.DecideRequest{Cases: []bus.DecideCase{c}})
	if len(reply.Results) != 1 {
		t.Fatalf("got %d results to one case", len(reply.Results))
	}
	return reply.Results[0]
}

func (b *bench) signRequest() bus.SignRequest {
	r := b.release
	req := bus.SignRequest{
		Decision: r.Decision, Opening: r.Opening, Request: r.Request, Claim: r.Claim, Votes: r.Votes,
		Artifacts: r.Artifacts, States: r.States,
		Certificate: b.Certificate.Fingerprint(),
		Proof:       bus.LogProof{Index: r.DecisionProof.Index, Checkpoint: r.DecisionProof.Checkpoint},
	}
	for _, h := range r.DecisionProof.Hashes {
		req.Proof.Hashes = append(req.Proof.Hashes, attest.Digest(h))
	}
	return req
}

func TestSignerDecidesWhatTheOperatorsAgreeOn(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	result := b.decide(t, b.decideCase())
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
	if n := b.device.asked.Load(); n != 0 {
		t.Errorf("deciding asked the device %d times", n)
	}
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
		}, bus.KindDenied, "not in the policy"},
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

func TestOneRefusedCaseLeavesTheOthersAlone(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	good, bad := b.decideCase(), b.decideCase()
	bad.Votes = nil
	reply := b.signer.Decide(t.Context(), bus.DecideRequest{Cases: []bus.DecideCase{bad, good, {}}})
	if reply.Results[0].Error == nil || reply.Results[1].Error != nil || reply.Results[2].Error == nil {
		t.Errorf("got %+v, want only the second decided", reply.Results)
	}
}

func TestSignerFollowsThePolicyChainAndDecidesOnlyUnderTheNewest(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	next := b.Policy
	next.Serial, next.Previous, next.Issued = 2, b.Version.Digest, next.Issued+1
	envelope := b.Seal(t, next)

	forged := *envelope
	forged.Signatures = envelope.Signatures[:1]
	reply := b.signer.Decide(t.Context(), bus.DecideRequest{Chain: []*attest.Envelope{&forged}, Cases: []bus.DecideCase{b.decideCase()}})
	if e := reply.Results[0].Error; e == nil || !strings.Contains(e.Message, "too few admins") {
		t.Errorf("got %v to a policy with one signature, want a refusal", e)
	}
	if result := b.decide(t, b.decideCase()); result.Error != nil {
		t.Fatalf("a forged policy changed what is decided: %v", result.Error)
	}
	reply = b.signer.Decide(t.Context(), bus.DecideRequest{Chain: []*attest.Envelope{envelope}, Cases: []bus.DecideCase{b.decideCase()}})
	if e := reply.Results[0].Error; e == nil || !strings.Contains(e.Message, "superseded") {
		t.Errorf("got %v under a superseded policy, want a refusal", e)
	}
	if reply := b.signer.Sign(t.Context(), b.signRequest()); reply.Error != nil {
		t.Errorf("a decision of the policy before could not be signed any more: %v", reply.Error)
	}
}

func TestSignerAsksForTheChainToAPolicyItDoesNotKnow(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	next := b.Policy
	next.Serial, next.Previous, next.Issued = 2, b.Version.Digest, next.Issued+1
	envelope := b.Seal(t, next)
	b.Use(t, envelope)
	b.release = b.Release(t, 1)
	if e := b.decide(t, b.decideCase()).Error; e == nil || e.Kind != bus.KindUnknownPolicy {
		t.Fatalf("got %v, want %s", e, bus.KindUnknownPolicy)
	}
	reply := b.signer.Decide(t.Context(), bus.DecideRequest{Chain: []*attest.Envelope{envelope}, Cases: []bus.DecideCase{b.decideCase()}})
	if e := reply.Results[0].Error; e != nil {
		t.Errorf("with the chain: %v", e)
	}
}

func TestSignerSkipsPoliciesBeforeItsPinnedOne(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	first := b.Envelope
	next := b.Policy
	next.Serial, next.Previous, next.Issued = 2, b.Version.Digest, next.Issued+1
	second := b.Seal(t, next)
	b.Use(t, second)
	b.release = b.Release(t, 1)
	trust, err := policy.Pin(second)
	if err != nil {
		t.Fatal(err)
	}
	b.signer, err = signer.New(signer.Config{
		Trust: trust, Key: b.Signer, Now: func() time.Time { return b.clock.Time() }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	reply := b.signer.Decide(t.Context(), bus.DecideRequest{Chain: []*attest.Envelope{first, second}, Cases: []bus.DecideCase{b.decideCase()}})
	if e := reply.Results[0].Error; e != nil {
		t.Errorf("chain from the first policy on: %v", e)
	}
}

func TestSignerSignsALoggedDecision(t *testing.T) {
	b := newBench(t, evidencetest.Options{Artifacts: 5})
	reply := b.signer.Sign(t.Context(), b.signRequest())
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
	if again := b.signer.Sign(t.Context(), b.signRequest()); !bytes.Equal(again.Made.Payload, reply.Made.Payload) {
		t.Error("signing again gave another statement")
	}
}

func TestSignerSignsOnlyTheArtifactsAskedFor(t *testing.T) {
	b := newBench(t, evidencetest.Options{Artifacts: 3})
	req := b.signRequest()
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
			*req = b.signRequest()
		}, bus.KindDenied, "not in the policy"},
		"a decision forged in the signer's name": {func(t *testing.T, b *bench, req *bus.SignRequest) {
			stranger := evidencetest.P256Key(t, "thief", b.Signer.Name())
			b.release.Log(t, stranger, b.release.Decided())
			*req = b.signRequest()
		}, bus.KindDenied, "signature does not verify"},
		"a decision that is not in the log": {func(t *testing.T, b *bench, req *bus.SignRequest) {
			d := b.release.Decided()
			d.Decided++
			e, err := d.Seal(b.Signer)
			if err != nil {
				t.Fatal(err)
			}
			req.Decision = e
		}, bus.KindDenied, "decision in the log"},
		"a proof under another log's checkpoint": {func(t *testing.T, b *bench, req *bus.SignRequest) {
			forged := *b.Log
			forged.Key = evidencetest.Ed25519Key(t, "thief", evidencetest.Origin)
			req.Proof.Checkpoint = forged.Checkpoint(t)
		}, bus.KindDenied, "decision in the log"},
		"a decision by a stolen statement key, without the votes": {func(_ *testing.T, _ *bench, req *bus.SignRequest) {
			req.Votes = req.Votes[:1]
		}, bus.KindNotReady, "does not follow from the votes"},
		"a decision by a stolen statement key, over artifacts nobody voted for": {func(t *testing.T, b *bench, req *bus.SignRequest) {
			forged := b.Release(t, 1)
			forged.Artifacts = slices.Clone(forged.Artifacts)
			forged.Artifacts[0].SHA256[0] ^= 1
			set, err := forged.Artifacts.SetDigest()
			if err != nil {
				t.Fatal(err)
			}
			d := forged.Decided()
			d.Set, d.Artifacts = set, attest.AgreedOf(forged.Artifacts)
			forged.Log(t, b.Signer, d)
			b.release = forged
			*req = b.signRequest()
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
		}, bus.KindDenied, "decision is about release"},
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
			req := b.signRequest()
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
			next := b.Policy
			next.Serial, next.Previous, next.Issued = 2, b.Version.Digest, next.Issued+1
			test.change(t, &next)
			req := b.signRequest()
			req.Chain = []*attest.Envelope{b.Seal(t, next)}
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
		reply := b.signer.Sign(t.Context(), b.signRequest())
		if reply.Error == nil || reply.Error.Kind != bus.KindUnavailable || reply.Signatures != nil || reply.Made != nil {
			t.Errorf("%v: got %+v, want unavailable and nothing else", fault, reply)
		}
		b.device.fault = nil
		if reply := b.signer.Sign(t.Context(), b.signRequest()); reply.Error != nil {
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
