package signer_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/signer/promise"
)

// sign asks for the signatures of the bench's release.
func (b *bench) sign(t *testing.T) [][]byte {
	t.Helper()
	reply := b.signer.Sign(t.Context(), b.signRequest(t))
	if reply.Error != nil {
		t.Fatal(reply.Error)
	}
	return reply.Signatures
}

// reopen lets the release expire, and has the next attempt agreed on, decided and
// logged: the same bytes, at another time.
func (b *bench) reopen(t *testing.T) {
	t.Helper()
	b.attempt++
	b.release = b.Release(t, b.attempt)
	b.clock = b.release.Decided().Decided
}

func wantSameBytes(t *testing.T, when string, first, again [][]byte) {
	t.Helper()
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("%s: the same bytes have two signatures (-first +again):\n%s", when, diff)
	}
}

// The coordinator has an attempt signed, keeps the statement about that from the
// log, opens the release again, and the rebuilders agree again.
func TestACoordinatorThatWithholdsWhatWasSignedGetsNoOtherSignature(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	one := b.release
	first := b.sign(t)
	b.reopen(t)
	wantSameBytes(t, "opened again", first, b.sign(t))
	b.reopen(t)
	b.restart(t)
	wantSameBytes(t, "opened a third time, after a restart", first, b.sign(t))
	if cmp.Equal(first, b.release.Signatures) {
		t.Error("the later decision makes the same signatures; nothing was tested")
	}
	// The evidence of the later attempt names the first one's decision, and verifies.
	b.release.Signatures = first
	parts := b.release.Parts()
	parts.Earlier = []evidence.Logged{{Envelope: one.Decision, Proof: b.Log.Prove(t, one.DecisionIndex)}}
	bundle, err := evidence.Build(parts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Verify(bundle, evidence.Trust{Policy: b.Envelope}); err != nil {
		t.Error(err)
	}
}

// What a signer cannot promise: it knows of another one's signatures by the log alone.
func TestASignerWithoutPromisesKnowsOfSignaturesByTheLogAlone(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	reply := b.signer.Sign(t.Context(), b.signRequest(t))
	if reply.Error != nil {
		t.Fatal(reply.Error)
	}
	logged := newBench(t, evidencetest.Options{})
	logged.Log.Append(t, reply.Made, b.Signer.VerifierKey)
	for name, test := range map[string]struct {
		*bench

		same bool
	}{"withheld": {b, false}, "logged": {logged, true}} {
		test.reopen(t)
		test.signer = test.newSigner(t, test.Envelope)
		if again := test.sign(t); cmp.Equal(reply.Signatures, again) != test.same {
			t.Errorf("%s: the same signatures again: %v, want %v", name, !test.same, test.same)
		}
	}
}

// Whether it is before the device signs or before the answer is known, the
// promise is on disk.
func TestACrashWhileTheDeviceIsAskedBreaksNoPromise(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	const file = "promises.jsonl"
	crashed := t.TempDir()
	b.device.before = sync.OnceFunc(func() {
		data, err := os.ReadFile(filepath.Join(b.state, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(crashed, file), data, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
	})
	first := b.sign(t)
	b.state = crashed
	b.reopen(t)
	b.restart(t)
	wantSameBytes(t, "after the crash", first, b.sign(t))
}

// A decision that was promised and is gone, with the log that had it: its
// signature would name what nobody can find, and another is never made.
func TestAPromiseWhoseDecisionIsNotInTheLogIsNotBroken(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	b.sign(t)
	lost := newBenchAt(t, evidencetest.Options{}, 2) // a log without the first attempt
	lost.state = b.state
	if err := b.book.Close(); err != nil {
		t.Fatal(err)
	}
	lost.signer = lost.startSigner(t, lost.Envelope)
	req := lost.signRequest(t)
	e := lost.signer.Sign(t.Context(), req).Error
	wantRefusal(t, e, bus.KindDenied, "is not in this log")
	wantRefusal(t, e, bus.KindDenied, b.release.Decision.Digest().String())
	wantRefusal(t, e, bus.KindDenied, req.Artifacts[0].Name)
	if lost.device.asked.Load() != 0 {
		t.Error("the device was asked")
	}
	// The same signer goes on with what was never promised.
	lost.state = t.TempDir()
	lost.restart(t)
	lost.sign(t)
}

func TestAPromiseOfAnotherDecisionAboutTheReleaseIsNotBrokenEither(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	req := b.signRequest(t)
	other := promise.Decision{Release: b.release.ID, Statement: b.release.Opening.Digest()}
	if err := b.book.Give(req.Certificate, []promise.Promise{{SHA512: req.Artifacts[1].SHA512, Decision: other}}); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, b.signer.Sign(t.Context(), req).Error, bus.KindDenied, req.Artifacts[1].Name)
	if b.device.asked.Load() != 0 {
		t.Error("the device was asked")
	}
	req.Only = []string{req.Artifacts[0].Name} // about which nothing was promised
	if e := b.signer.Sign(t.Context(), req).Error; e != nil {
		t.Error(e)
	}
}

// Two attempts at the same bytes are asked for at one time, and the other is first
// between this one's look at the log and its promise.
func TestWhoPromisesSecondKeepsTheFirstsPromise(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	one := b.release
	b.reopen(t)
	req := b.signRequest(t)
	b.looked = sync.OnceFunc(func() {
		other := promise.Decision{Release: one.ID, Statement: one.Decision.Digest()}
		if err := b.book.Give(req.Certificate, []promise.Promise{{SHA512: req.Artifacts[1].SHA512, Decision: other}}); err != nil {
			t.Error(err)
		}
	})
	wantRefusal(t, b.signer.Sign(t.Context(), req).Error, bus.KindNotReady, "being signed for another release")
	if b.device.asked.Load() != 0 {
		t.Error("the device was asked")
	}
	wantSameBytes(t, "asked again", [][]byte{b.release.Signatures[0], one.Signatures[1]}, b.sign(t))
}

func TestWithoutADurablePromiseTheDeviceIsNotAsked(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	req := b.signRequest(t)
	if err := b.book.Close(); err != nil { // its disk is away
		t.Fatal(err)
	}
	for range 2 {
		wantRefusal(t, b.signer.Sign(t.Context(), req).Error, bus.KindUnavailable, "cannot be written")
	}
	if b.device.asked.Load() != 0 {
		t.Error("the device was asked")
	}
}

func TestNothingIsPromisedForWhatIsRefused(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	req := b.signRequest(t)
	req.Votes = req.Votes[:1]
	wantRefusal(t, b.signer.Sign(t.Context(), req).Error, bus.KindNotReady, "does not follow")
	req = b.signRequest(t)
	req.Only = []string{req.Artifacts[0].Name}
	if e := b.signer.Sign(t.Context(), req).Error; e != nil {
		t.Fatal(e)
	}
	for i, want := range []bool{true, false} {
		if _, given := b.book.Given(req.Certificate, req.Artifacts[i].SHA512); given != want {
			t.Errorf("artifact %d: promised %v, want %v", i, given, want)
		}
	}
}
