package evidence_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// trustFile returns a trust file with witnesses of its own.
func trustFile(tb testing.TB, w *evidencetest.World) []byte {
	tb.Helper()
	own := evidencetest.WitnessesOf(evidencetest.WitnessKey(tb, "mine"), evidencetest.WitnessKey(tb, "theirs"))
	data, err := evidence.Trust{Policy: w.Envelope, Witnesses: own}.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestTrustFileReadsBackInBothForms(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t, evidencetest.Options{Witnesses: 3})
	bare, err := evidence.Trust{Policy: w.Envelope}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if envelope, err := w.Envelope.Encode(); err != nil || !bytes.Equal(bare, envelope) {
		t.Errorf("trust without witnesses is not the bare envelope, %v", err)
	}
	for what, c := range map[string]struct {
		data  []byte
		first string // of the witnesses that count
	}{"bare": {bare, "witness-1"}, "with witnesses": {trustFile(t, w), "mine"}} {
		trust, err := evidence.ParseTrust(append(bytes.Clone(c.data), '\n'))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		pinned, witnesses, err := trust.Pinned()
		if err != nil || pinned.Digest != w.Version.Digest || witnesses.Keys[0].Key.Name() != c.first {
			t.Errorf("%s: pinned %v, witnesses %v, %v", what, pinned, witnesses, err)
		}
		if again, err := trust.Encode(); err != nil || !bytes.Equal(again, c.data) {
			t.Errorf("%s: reads back as another, %v", what, err)
		}
	}
}

func TestTrustFileIsRefusedInAnyOtherSpelling(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t, evidencetest.Options{Witnesses: 3})
	good := string(trustFile(t, w))
	logKey, err := attest.NewCosigningKey("mine", evidencetest.Ed25519("log "+evidencetest.Origin))
	if err != nil {
		t.Fatal(err)
	}
	mine := evidencetest.WitnessKey(t, "mine").VerifierKey.String()
	for what, c := range map[string]struct{ bad, want string }{
		"other media type":         {strings.Replace(good, "trust.v1", "trust.v2", 1), "media type"},
		"no policy":                {`{"mediaType":"` + evidence.TrustMediaType + `"` + good[strings.Index(good, `,"witnesses"`):], ""},
		"no witnesses":             {good[:strings.Index(good, `,"witnesses"`)] + "}", ""},
		"quorum of none":           {strings.Replace(good, `"quorum":2`, `"quorum":0`, 1), "quorum 0"},
		"quorum above the keys":    {strings.Replace(good, `"quorum":2`, `"quorum":3`, 1), "quorum 3 of 2"},
		"unknown member":           {strings.Replace(good, `,"witnesses"`, `,"more":1,"witnesses"`, 1), "more"},
		"space":                    {strings.Replace(good, `,"witnesses"`, ` ,"witnesses"`, 1), "canonical"},
		"two line ends":            {good + "\n\n", "canonical"},
		"the log's key as witness": {strings.Replace(good, mine, logKey.VerifierKey.String(), 1), "same key"},
		"a key of another kind":    {strings.Replace(good, mine, evidencetest.Ed25519Key(t, "witness", "mine").VerifierKey.String(), 1), "want"},
		"empty":                    {"", ""},
	} {
		if _, err := evidence.ParseTrust([]byte(c.bad)); !errors.Is(err, attest.ErrMalformed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want malformed and %q", what, err, c.want)
		}
	}
}

func TestReportSaysWhoWitnessedAndWhen(t *testing.T) {
	t.Parallel()
	report := verify(t, evidencetest.New(t, evidencetest.Options{Witnesses: 3}).Release(t, 1))
	const opened, decided = evidencetest.Opened, evidencetest.Opened + 100
	want := []translog.Cosignature{{Witness: "witness-1", At: decided + 1}, {Witness: "witness-2", At: decided + 2}}
	if diff := cmp.Diff(want, report.Witnesses); diff != "" {
		t.Errorf("witnesses (-want +got):\n%s", diff)
	}
	if want := (policy.Seen{Opening: opened + 2, Decision: decided + 2}); report.Seen != want {
		t.Errorf("seen %v, want %v", report.Seen, want)
	}
	if report.Unwitnessed || len(report.Caveats()) != 0 {
		t.Errorf("caveats %q", report.Caveats())
	}
}

// Witnesses come and go with policies. The maker of a bundle goes by the
// release's own; a verifier who pinned an older policy needs its witnesses still.
func TestBundleIsBuiltWithTheWitnessesOfItsPolicy(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t, evidencetest.Options{Witnesses: 2})
	first := w.Envelope
	next := w.Policy
	next.Serial, next.Previous = 2, first.Digest()
	w.Log.Witnesses = []attest.SigningKey{evidencetest.WitnessKey(t, "new"), evidencetest.WitnessKey(t, "newer")}
	next.Witnesses = evidencetest.WitnessesOf(w.Log.Witnesses...)
	w.Use(t, w.Seal(t, next))
	r := w.Release(t, 1)
	parts := r.Parts()
	parts.Policies = []*attest.Envelope{first, w.Envelope}
	b, err := evidence.Build(parts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Verify(b, evidence.Trust{Policy: first}); !errors.Is(err, translog.ErrNotWitnessed) {
		t.Errorf("witnesses of a later policy count: %v", err)
	}
	if _, err := evidence.Verify(b, evidence.Trust{Policy: first, Witnesses: next.Witnesses}); err != nil {
		t.Error(err)
	}
	w.Log.Witnesses = w.Witnesses
	parts.Decision.Proof = w.Log.Prove(t, r.DecisionIndex)
	if _, err := evidence.Build(parts); !errors.Is(err, translog.ErrNotWitnessed) {
		t.Errorf("built with the witnesses of an older policy: %v", err)
	}
}

// Who pinned a newer policy is told that a signature is from before it, and what
// that older policy says of itself.
func TestReportNamesTheOlderPolicyOfASignature(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t, evidencetest.Options{Change: func(p *policy.Policy) { p.Insecure = true }})
	first, before := w.Release(t, 1), w.Envelope
	next := w.Policy
	next.Serial, next.Previous, next.Insecure = 2, before.Digest(), false
	w.Use(t, w.Seal(t, next))
	second := w.Release(t, 2)
	young := second.Parts()
	young.Policies = []*attest.Envelope{before, w.Envelope}
	second.Signatures = first.Signatures
	reused := second.Parts()
	reused.Policies = young.Policies
	reused.Earlier = []evidence.Logged{{Envelope: first.Decision, Proof: first.DecisionProof}}
	for _, c := range []struct {
		parts    evidence.Parts
		detail   string
		insecure bool
	}{
		{young, "none needed", false},
		{reused, "1 in the log, before this one; entry 1 was decided under policy 1, older than the pinned policy 2", true},
	} {
		b, err := evidence.Build(c.parts)
		if err != nil {
			t.Fatal(err)
		}
		report, err := evidence.Verify(b, evidence.Trust{Policy: w.Envelope})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(report.Steps, evidence.Step{What: "earlier decisions", Detail: c.detail}) || report.Insecure != c.insecure {
			t.Errorf("insecure %t, want %t; steps %q, want %q", report.Insecure, c.insecure, report.Steps, c.detail)
		}
	}
}

func FuzzTrustParseEncodeIsIdentityOrRefused(f *testing.F) {
	w := evidencetest.New(f, evidencetest.Options{Witnesses: 2})
	f.Add(trustFile(f, w))
	bare, err := evidence.Trust{Policy: w.Envelope}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bare)
	f.Fuzz(func(t *testing.T, data []byte) {
		trust, err := evidence.ParseTrust(data)
		if err != nil {
			return
		}
		again, err := trust.Encode()
		if err != nil || !bytes.Equal(again, bytes.TrimSuffix(data, []byte("\n"))) {
			t.Errorf("%q reads back as %q, %v", data, again, err)
		}
	})
}
