package signer_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

func wantRefusal(t *testing.T, e *bus.Error, kind bus.Kind, reason string) {
	t.Helper()
	if e == nil || e.Kind != kind || !strings.Contains(e.Message, reason) {
		t.Errorf("got %v, want %s: …%s…", e, kind, reason)
	}
}

// tolerant lets one operator differ.
func tolerant(p *policy.Policy) { p.Suites[0].MaxDissent, p.Suites[0].Settle = 1, 60 }

func TestAWithdrawnReleaseIsNeitherDecidedNorSigned(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	o := b.Open(t, evidencetest.Suite, "other", 1)
	c := b.caseOf(t, o, evidencetest.File(t, "other.deb", "other"))
	b.Withdraw(t, o.ID)
	b.publish(t)
	wantRefusal(t, b.decide(t, c).Error, bus.KindDenied, "withdrawn")

	if reply := b.signer.Sign(t.Context(), b.signRequest(t)); reply.Error != nil {
		t.Fatalf("a release that nobody withdrew: %v", reply.Error)
	}
	asked := b.device.asked.Load()
	b.Withdraw(t, b.release.ID) // between decision and signature
	wantRefusal(t, b.signer.Sign(t.Context(), b.signRequest(t)).Error, bus.KindDenied, "withdrawn")
	if n := b.device.asked.Load(); n != asked {
		t.Errorf("the device was asked %d times for a withdrawn release", n-asked)
	}
	// A further attempt at the same request was not there to be withdrawn; it is none the less.
	again := b.Open(t, evidencetest.Suite, "other", 2)
	c = b.caseOf(t, again, evidencetest.File(t, "other.deb", "other"))
	b.publish(t)
	wantRefusal(t, b.decide(t, c).Error, bus.KindDenied, "withdrawn")
}

func TestAnEquivocationInTheLogVoidsTheVote(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*policy.Policy)
		reason string // of the refusal
	}{
		"where nobody may differ": {nil, "held"},
		"where one may":           {tolerant, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, evidencetest.Options{Change: test.change})
			b.clock += 100
			another := b.release.Vote(t, b.Rebuilders[0], []attest.Artifact{evidencetest.File(t, "x.deb", "x")})
			b.Log.Record(t, attest.RecordEquivocation, b.Coordinator, b.release.Votes[0], another)
			reply := b.signer.Sign(t.Context(), b.signRequest(t))
			if test.reason == "" {
				if reply.Error != nil {
					t.Errorf("two of three still agree: %v", reply.Error)
				}
				return
			}
			wantRefusal(t, reply.Error, bus.KindDenied, test.reason)
			if b.device.asked.Load() != 0 {
				t.Error("the device was asked")
			}
		})
	}
}

func TestANameKeepsItsContentAndItsSource(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	name := b.release.Artifacts[0].Name
	for source, reason := range map[string]string{
		evidencetest.Source: "other content", // the same source, rebuilt to other bytes
		"usurper":           "another source",
	} {
		o := b.Open(t, evidencetest.Suite, source, 1)
		b.publish(t)
		e := b.decide(t, b.caseOf(t, o, evidencetest.File(t, name, "other"))).Error
		wantRefusal(t, e, bus.KindDenied, reason)
		wantRefusal(t, e, bus.KindDenied, name)
	}
	o := b.Open(t, evidencetest.Suite, "usurper", 1)
	b.publish(t)
	wantRefusal(t, b.decide(t, b.caseOf(t, o, b.release.Artifacts...)).Error, bus.KindDenied, "another source")
}

func TestTwoContentsOfOneNameAreNotDecidedBeforeTheLogKnows(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	var cases []bus.DecideCase
	for _, content := range []string{"this", "this", "that"} {
		o := b.Open(t, evidencetest.Suite, "other", 1)
		cases = append(cases, b.caseOf(t, o, evidencetest.File(t, "other.deb", content)))
	}
	b.publish(t)
	reply := b.signer.Decide(t.Context(), bus.DecideRequest{Cases: cases})
	for i := range 2 {
		if e := reply.Results[i].Error; e != nil {
			t.Errorf("case %d: %v", i+1, e)
		}
	}
	wantRefusal(t, reply.Results[2].Error, bus.KindNotReady, "a moment ago")
	b.clock += 11 * 60 // the others got lost on their way
	if e := b.decide(t, cases[2]).Error; e != nil {
		t.Error(e)
	}
}

// Of two decisions that a coordinator smuggled past two signers the log's
// first counts, and the other is never signed.
func TestADecisionThatTheLogRefusesIsNotSigned(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	o := b.Open(t, evidencetest.Suite, "other", 1)
	file := evidencetest.File(t, b.release.Artifacts[0].Name, "other")
	req := b.signRequest(t)
	req.Decision, req.Proof.Index = o.Decide(t, b.World, file)
	c := b.caseOf(t, o, file)
	req.Opening, req.Request, req.Claim, req.Artifacts, req.Votes = o.Opening, o.Request, nil, c.Artifacts, c.Votes
	b.publish(t)
	wantRefusal(t, b.signer.Sign(t.Context(), req).Error, bus.KindDenied, "belongs to another source")
}

func TestASignatureNamesTheFirstDecisionAboutItsBytes(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	first := b.signer.Sign(t.Context(), b.signRequest(t))
	if first.Error != nil {
		t.Fatal(first.Error)
	}
	b.Withdraw(t, b.release.ID)
	one := b.release
	// Another request for the same source, with the same result.
	o := b.Open(t, evidencetest.Suite, evidencetest.Source, 1)
	req := b.signRequest(t)
	c := b.caseOf(t, o, one.Artifacts...)
	d := o.Decided(t, b.World, one.Artifacts...)
	d.Decided, d.Votes = evidencetest.Opened+150, nil
	for _, v := range c.Votes {
		d.Votes = append(d.Votes, v.Digest())
	}
	attest.SortDigests(d.Votes)
	sealed, err := d.Seal(b.Signer)
	if err != nil {
		t.Fatal(err)
	}
	req.Decision, req.Opening, req.Request, req.Claim, req.Votes = sealed, o.Opening, o.Request, nil, c.Votes
	req.Proof.Index = b.Log.Append(t, sealed, b.Signer.VerifierKey)
	b.publish(t)
	second := b.signer.Sign(t.Context(), req)
	if second.Error != nil {
		t.Fatal(second.Error)
	}
	if diff := cmp.Diff(first.Signatures, second.Signatures); diff != "" {
		t.Errorf("the same bytes have two signatures (-first +later):\n%s", diff)
	}
	made, err := attest.OpenSignaturesMade(second.Made, b.Version.SignerKey)
	if err != nil || made.Decision != sealed.Digest() {
		t.Errorf("statement about %s, %v; want the decision that was asked for", made.Decision.Short(), err)
	}
}

func TestADecisionWhoseReleaseWasOpenedAgainIsNotSignedAndNamedByNoSignature(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	early := b.signRequest(t)
	b.reopen(t) // the same bytes, as the witnesses saw the first decision too late
	b.publish(t)
	wantRefusal(t, b.signer.Sign(t.Context(), early).Error, bus.KindDenied, "a later attempt")
	if diff := cmp.Diff(b.release.Signatures, b.sign(t)); diff != "" {
		t.Errorf("signatures do not name the decision of the later attempt (-want +got):\n%s", diff)
	}
}

func TestTwoSignersAndAFreshOneAnswerTheSame(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	early := b.signer
	wantSame := func(what string, answer func() any) {
		t.Helper()
		want := answer()
		for _, s := range []string{"a second", "a second"} {
			b.signer = b.newSigner(t, b.Envelope)
			if diff := cmp.Diff(want, answer()); diff != "" {
				t.Errorf("%s: %s signer answers otherwise (-first +other):\n%s", what, s, diff)
			}
		}
		b.signer = early
	}
	c := b.decideCase()
	wantSame("decide", func() any { return b.decide(t, c) })
	wantSame("sign", func() any { return b.signer.Sign(t.Context(), b.signRequest(t)) })
	o := b.Open(t, evidencetest.Suite, "usurper", 1)
	moved := b.caseOf(t, o, b.release.Artifacts...)
	b.publish(t)
	wantSame("a name that moved", func() any { return b.decide(t, moved) })
	b.Withdraw(t, b.release.ID)
	wantSame("withdrawn", func() any { return b.signer.Sign(t.Context(), b.signRequest(t)) })
	b.next(t, nil)
	wantSame("superseded", func() any { return b.decide(t, moved) })
}

func TestASignerThatDoesNotKnowTheLogDoesNothing(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	c, req := b.decideCase(), b.signRequest(t)
	for name, spoil := range map[string]func(){
		"away":          func() { b.shelf.fault = errors.New("coordinator away") },
		"body missing":  func() { b.shelf.entries[1].Envelope = nil },
		"no checkpoint": func() { b.shelf.note = []byte("hello") },
	} {
		b.publish(t)
		b.shelf.fault = nil
		b.signer = b.newSigner(t, b.Envelope)
		spoil()
		wantRefusal(t, b.decide(t, c).Error, bus.KindUnavailable, "does not know the log")
		wantRefusal(t, b.signer.Sign(t.Context(), req).Error, bus.KindUnavailable, "does not know the log")
		if b.device.asked.Load() != 0 {
			t.Errorf("%s: the device was asked", name)
		}
	}
}

func TestASignerWithWitnessesTrustsNoOldCheckpoint(t *testing.T) {
	b := newBench(t, evidencetest.Options{Witnesses: 3})
	c := b.decideCase()
	if e := b.decide(t, c).Error; e != nil {
		t.Fatal(e)
	}
	b.clock += 3600 + 60
	wantRefusal(t, b.decide(t, c).Error, bus.KindNotReady, "seen by its witnesses")
	wantRefusal(t, b.signer.Sign(t.Context(), b.signRequest(t)).Error, bus.KindNotReady, "more than 1h0m0s ago")
	b.Log.Now = b.clock - 10
	if reply := b.signer.Sign(t.Context(), b.signRequest(t)); reply.Error != nil {
		t.Errorf("with a fresh checkpoint: %v", reply.Error)
	}
	b.Log.Now = b.clock + 3600
	wantRefusal(t, b.signer.Sign(t.Context(), b.signRequest(t)).Error, bus.KindNotReady, "clock")
}

func TestASignatureNeedsProofsThatTheWitnessesSawItInTime(t *testing.T) {
	for name, test := range map[string]struct {
		change func(t *testing.T, b *bench, req *bus.SignRequest)
		reason string
	}{
		"under another log's checkpoint": {func(t *testing.T, b *bench, req *bus.SignRequest) {
			forged := *b.Log
			forged.Key = evidencetest.Ed25519Key(t, "thief", evidencetest.Origin)
			req.Proof.Checkpoint = forged.Checkpoint(t)
		}, "decision in the log"},
		"cosigned by one witness": {func(t *testing.T, b *bench, req *bus.SignRequest) {
			few := *b.Log
			few.Witnesses = few.Witnesses[:1]
			req.Proof = shown(few.Prove(t, b.release.DecisionIndex))
		}, "not cosigned by enough witnesses"},
		"no proof of the opening": {func(_ *testing.T, _ *bench, req *bus.SignRequest) {
			req.OpeningProof = bus.LogProof{}
		}, "opening in the log"},
		"a proof of another entry": {func(_ *testing.T, _ *bench, req *bus.SignRequest) {
			req.OpeningProof.Index = 1
		}, "opening stands at entry 0"},
		"a proof that leads elsewhere": {func(_ *testing.T, _ *bench, req *bus.SignRequest) {
			req.Proof.Hashes = slices.Clone(req.Proof.Hashes)
			req.Proof.Hashes[0][0] ^= 1
		}, "decision in the log"},
		"seen long after the deadline": {func(t *testing.T, b *bench, req *bus.SignRequest) {
			late := *b.Log
			late.Now = evidencetest.Opened + 2*3600
			req.Proof = shown(late.Prove(t, b.release.DecisionIndex))
		}, "witnesses' time"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, evidencetest.Options{Witnesses: 3})
			req := b.signRequest(t)
			if reply := b.signer.Sign(t.Context(), req); reply.Error != nil {
				t.Fatal(reply.Error)
			}
			asked := b.device.asked.Load()
			test.change(t, b, &req)
			wantRefusal(t, b.signer.Sign(t.Context(), req).Error, bus.KindDenied, test.reason)
			if b.device.asked.Load() != asked {
				t.Error("the device was asked")
			}
		})
	}
}
