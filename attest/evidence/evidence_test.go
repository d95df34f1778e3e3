package evidence_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
)

func verify(tb testing.TB, r *evidencetest.Release) *evidence.Report {
	tb.Helper()
	report, err := evidence.Verify(r.Bundle(tb), evidence.Trust{Policy: r.World.Envelope})
	if err != nil {
		tb.Fatal(err)
	}
	return report
}

func TestBundleReadsBackAndVerifies(t *testing.T) {
	r := evidencetest.New(t, evidencetest.Options{}).Release(t, 1)
	data, err := r.Bundle(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Bundle(t).Encode()
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("the same evidence has two encodings, %v", err)
	}
	b, err := evidence.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := r.World.Envelope.Encode()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := evidence.ParseTrust(append(trust, '\n'))
	if err != nil {
		t.Fatal(err)
	}
	report, err := evidence.Verify(b, parsed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Decided(), report.Decision); diff != "" {
		t.Errorf("decision (-made +reported):\n%s", diff)
	}
	if report.Release != r.ID || report.LogIndex != r.DecisionIndex || report.Origin != evidencetest.Origin ||
		len(report.Verdict.Agree) != 3 || report.Insecure {
		t.Errorf("report %+v", report)
	}
	for _, step := range report.Steps {
		if step.What == "" || step.Detail == "" {
			t.Errorf("step %+v says nothing", step)
		}
	}
	for i, file := range r.Files {
		name := r.Artifacts[i].Name
		for _, called := range []string{name, ""} {
			f, err := report.CheckFile(called, bytes.NewReader(file))
			if err != nil {
				t.Fatalf("%s as %q: %v", name, called, err)
			}
			if f.Artifact != r.Artifacts[i] || len(f.Signatures) != 1 || f.Signatures[0].Certificate != r.World.Certificate.Fingerprint() {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if err := report.Covers(r.Artifacts[i]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The files were written once, by the releases that introduced the formats.
// Whoever changes a format must go on reading them.
func TestEvidenceFoundYearsLaterVerifies(t *testing.T) {
	for _, c := range []struct {
		bundle, trust string
		world         evidencetest.Options
	}{
		{"testdata/bundle.json", "testdata/trust.json", evidencetest.Options{}},
		{"testdata/witnessed.json", "testdata/witnessed-trust.json", evidencetest.Options{Witnesses: 3}},
	} {
		r := evidencetest.New(t, c.world).Release(t, 1)
		made, err := r.Bundle(t).Encode()
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(c.bundle)
		if err != nil {
			t.Fatal(err)
		}
		pinned, err := os.ReadFile(c.trust)
		if err != nil {
			t.Fatal(err)
		}
		b, err := evidence.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		trust, err := evidence.ParseTrust(pinned)
		if err != nil {
			t.Fatal(err)
		}
		report, err := evidence.Verify(b, trust)
		if err != nil {
			t.Fatalf("%s: %v", c.bundle, err)
		}
		for i, file := range r.Files {
			if _, err := report.CheckFile(r.Artifacts[i].Name, bytes.NewReader(file)); err != nil {
				t.Errorf("%s: %v", c.bundle, err)
			}
		}
		if diff := cmp.Diff(string(data), string(made)); diff != "" {
			t.Errorf("%s drifted (-pinned +made):\n%s", c.bundle, diff)
		}
	}
}

func TestPartsInAnyOrderMakeTheSameBundle(t *testing.T) {
	r := evidencetest.New(t, evidencetest.Options{Rebuilders: 7, Artifacts: 5}).Release(t, 1)
	want, err := r.Bundle(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	parts := r.Parts()
	parts.Votes, parts.Signatures = slices.Clone(parts.Votes), slices.Clone(parts.Signatures)
	slices.Reverse(parts.Votes)
	slices.Reverse(parts.Signatures)
	b, err := evidence.Build(parts)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Encode(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("another bundle, %v", err)
	}
}

func TestEveryReportSaysWhatItCannotVouchFor(t *testing.T) {
	report := verify(t, evidencetest.New(t, evidencetest.Options{}).Release(t, 1))
	if c := report.Caveats(); !report.Unwitnessed || len(c) != 1 || !strings.Contains(c[0], "unwitnessed") {
		t.Errorf("caveats %q", c)
	}
	report = verify(t, evidencetest.New(t, evidencetest.Options{Change: func(p *policy.Policy) { p.Insecure = true }}).Release(t, 1))
	if c := report.Caveats(); !report.Insecure || len(c) != 2 || !strings.Contains(c[1], "insecure policy") {
		t.Errorf("caveats under an insecure policy %q", c)
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	r := evidencetest.New(t, evidencetest.Options{}).Release(t, 1)
	report := verify(t, r)
	name, file := r.Artifacts[0].Name, r.Files[0]
	changed := bytes.Clone(file)
	changed[len(changed)/2] ^= 1
	for what, c := range map[string]struct {
		name string
		data []byte
		want string
	}{
		"changed byte":         {name, changed, "decided were"},
		"changed, no name":     {"", changed, "none of the artifacts"},
		"cut off":              {name, file[:len(file)-1], "decided were"},
		"one byte more":        {name, append(bytes.Clone(file), 0), "decided were"},
		"empty":                {name, nil, "decided were"},
		"under another's name": {r.Artifacts[1].Name, file, "decided under the name"},
		"under a new name":     {"other.deb", file, "decided under the name"},
		"unknown":              {"other.deb", changed, "none of the artifacts"},
	} {
		f, err := report.CheckFile(c.name, bytes.NewReader(c.data))
		if !errors.Is(err, evidence.ErrNotVerified) || !strings.Contains(err.Error(), c.want) || f != nil {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

func TestFileWithoutSignatureIsNotVerified(t *testing.T) {
	r := evidencetest.New(t, evidencetest.Options{}).Release(t, 1)
	parts := r.Parts()
	parts.Signatures = parts.Signatures[:1]
	b, err := evidence.Build(parts)
	if err != nil {
		t.Fatal(err)
	}
	report, err := evidence.Verify(b, evidence.Trust{Policy: r.World.Envelope})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := report.CheckFile(r.Artifacts[0].Name, bytes.NewReader(r.Files[0])); err != nil {
		t.Error(err)
	}
	if _, err := report.CheckFile(r.Artifacts[1].Name, bytes.NewReader(r.Files[1])); !errors.Is(err, evidence.ErrNotVerified) {
		t.Errorf("file without a signature: %v", err)
	}
}

func TestSignatureOverOtherBytesIsRefused(t *testing.T) {
	r := evidencetest.New(t, evidencetest.Options{}).Release(t, 1)
	// A signature that says all the right things, over the wrong file.
	forged, err := openpgp.SignBytes(r.World.Certificate, evidencetest.Ed25519("openpgp "+evidencetest.Suite), []byte("other bytes"), openpgp.Options{
		Created:   r.Decided().Decided.Time(),
		Notations: evidence.Notations(evidencetest.Origin, r.Decision.Digest(), attest.GroundQuorum, r.Artifacts[0].SHA512),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Signatures[0] = forged
	report := verify(t, r)
	if _, err := report.CheckFile("", bytes.NewReader(r.Files[0])); !errors.Is(err, openpgp.ErrBadSignature) {
		t.Errorf("signature over other bytes: %v", err)
	}
}

func TestReusedSignatureNamesTheEarlierDecision(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	first, second := w.Release(t, 1), w.Release(t, 2)
	second.Signatures = first.Signatures
	parts := second.Parts()
	if _, err := evidence.Build(parts); !errors.Is(err, evidence.ErrNotVerified) {
		t.Errorf("without the earlier decision: %v", err)
	}
	parts.Earlier = []evidence.Logged{{Envelope: first.Decision, Proof: first.DecisionProof}}
	b, err := evidence.Build(parts)
	if err != nil {
		t.Fatal(err)
	}
	report, err := evidence.Verify(b, evidence.Trust{Policy: w.Envelope})
	if err != nil {
		t.Fatal(err)
	}
	f, err := report.CheckFile("", bytes.NewReader(second.Files[0]))
	if err != nil || !f.Signatures[0].Reused {
		t.Errorf("%+v, %v", f, err)
	}
	// The later decision explains nothing that was signed before it.
	first.Signatures = second.Sign(t, evidencetest.Suite, w.Certificate)
	back := first.Parts()
	back.Earlier = []evidence.Logged{{Envelope: second.Decision, Proof: second.DecisionProof}}
	if _, err := evidence.Build(back); !errors.Is(err, evidence.ErrNotVerified) || !strings.Contains(err.Error(), "not earlier") {
		t.Errorf("signature that names a later decision: %v", err)
	}
}

func TestChainLeadsFromThePinnedPolicy(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	first := w.Envelope
	next := w.Policy
	next.Serial, next.Previous = 2, first.Digest()
	secondPolicy := w.Seal(t, next)
	w.Use(t, secondPolicy)
	r := w.Release(t, 1)
	parts := r.Parts()
	parts.Policies = []*attest.Envelope{first, secondPolicy}
	b, err := evidence.Build(parts)
	if err != nil {
		t.Fatal(err)
	}
	for what, pinned := range map[string]*attest.Envelope{"first": first, "the release's own": secondPolicy} {
		if _, err := evidence.Verify(b, evidence.Trust{Policy: pinned}); err != nil {
			t.Errorf("%s policy pinned: %v", what, err)
		}
	}
	later := next
	later.Serial, later.Previous = 3, secondPolicy.Digest()
	if _, err := evidence.Verify(b, evidence.Trust{Policy: w.Seal(t, later)}); !errors.Is(err, evidence.ErrNotVerified) || !errors.Is(err, policy.ErrStale) {
		t.Errorf("later policy pinned: %v", err)
	}
}

func TestTrustFileMustConvinceByItself(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	half, err := w.Policy.Seal(w.Admins[0])
	if err != nil {
		t.Fatal(err)
	}
	for what, e := range map[string]*attest.Envelope{"half the admins": half, "a vote": w.Release(t, 1).Votes[0]} {
		data, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := evidence.ParseTrust(data); err == nil {
			t.Errorf("%s: trusted", what)
		}
	}
	if _, err := evidence.Verify(w.Release(t, 2).Bundle(t), evidence.Trust{}); !errors.Is(err, evidence.ErrNotVerified) {
		t.Errorf("no trust at all: %v", err)
	}
}

// The members that the specification of the Sigstore bundle names, read with
// another JSON library.
func TestSigstoreBundleIsSelfContained(t *testing.T) {
	r := evidencetest.New(t, evidencetest.Options{}).Release(t, 1)
	data, err := r.Bundle(t).SigstoreBundle()
	if err != nil {
		t.Fatal(err)
	}
	root, err := evidence.TrustedRoot(r.World.Log.Key.VerifierKey, evidencetest.Issued)
	if err != nil {
		t.Fatal(err)
	}
	var b, tr map[string]any
	if err := errors.Join(json.Unmarshal(data, &b), json.Unmarshal(root, &tr)); err != nil {
		t.Fatal(err)
	}
	at := func(v any, path ...any) any {
		for _, p := range path {
			switch p := p.(type) {
			case string:
				v = v.(map[string]any)[p]
			case int:
				v = v.([]any)[p]
			}
		}
		return v
	}
	entry := at(b, "verificationMaterial", "tlogEntries", 0)
	for _, c := range []struct{ got, want any }{
		{at(b, "mediaType"), "application/vnd.dev.sigstore.bundle.v0.3+json"},
		{at(b, "dsseEnvelope", "payloadType"), attest.StatementType},
		{len(at(b, "dsseEnvelope", "signatures").([]any)), 1},
		{at(entry, "logIndex"), fmt.Sprint(r.DecisionIndex)},
		{at(entry, "integratedTime"), "0"},
		{at(entry, "kindVersion", "kind"), "hashedrekord"},
		{at(entry, "kindVersion", "version"), "0.0.2"},
		{at(entry, "inclusionProof", "logIndex"), fmt.Sprint(r.DecisionIndex)},
		{at(entry, "inclusionProof", "checkpoint", "envelope"), string(r.DecisionProof.Checkpoint)},
		{at(tr, "tlogs", 0, "baseUrl"), "https://" + evidencetest.Origin},
		{at(tr, "tlogs", 0, "logId", "keyId"), at(entry, "logId", "keyId")},
		{at(tr, "tlogs", 0, "publicKey", "keyDetails"), "PKIX_ED25519"},
		{at(tr, "tlogs", 0, "publicKey", "validFor", "start"), evidencetest.Issued.String()},
	} {
		if c.got != c.want {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
}

func TestBundleIsRefusedInAnyOtherSpelling(t *testing.T) {
	data, err := evidencetest.New(t, evidencetest.Options{}).Release(t, 1).Bundle(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	s := string(data)
	for what, bad := range map[string]string{
		"trailing newline":   s + "\n",
		"unknown member":     strings.Replace(s, `{"artifacts"`, `{"aaa":1,"artifacts"`, 1),
		"duplicate member":   strings.Replace(s, `"earlier":[]`, `"earlier":[],"earlier":[]`, 1),
		"null list":          strings.Replace(s, `"earlier":[]`, `"earlier":null`, 1),
		"null in a list":     strings.Replace(s, `"earlier":[]`, `"earlier":[null]`, 1),
		"null claim":         strings.Replace(s, `"claim":{`, `"claim":null,"x":{`, 1),
		"wrong case":         strings.Replace(s, `"mediaType"`, `"MediaType"`, 1),
		"other media type":   strings.Replace(s, `evidence.v1`, `evidence.v2`, 1),
		"number for string":  strings.Replace(s, `"logIndex":"1"`, `"logIndex":1`, 1),
		"leading zero":       strings.Replace(s, `"logIndex":"1"`, `"logIndex":"01"`, 1),
		"no votes":           s[:strings.Index(s, `"votes":[`)] + `"votes":[]}`,
		"other signing kind": strings.Replace(s, `detached-binary`, `detached-text`, 1),
		"empty":              "",
	} {
		if bad == s {
			t.Errorf("%s changes nothing", what)
		}
		if _, err := evidence.Parse([]byte(bad)); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := evidence.Parse(make([]byte, evidence.MaxBundle+1)); !errors.Is(err, attest.ErrMalformed) {
		t.Errorf("too long: %v", err)
	}
}

func FuzzBundleParseEncodeIsIdentityOrRefused(f *testing.F) {
	r := evidencetest.New(f, evidencetest.Options{Artifacts: 1}).Release(f, 1)
	data, err := r.Bundle(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	w := evidencetest.New(f, evidencetest.Options{Artifacts: 1, Witnesses: 2})
	witnessed, err := w.Release(f, 1).Bundle(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(witnessed)
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := evidence.Parse(data)
		if err != nil {
			return
		}
		again, err := b.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%q reads back as %q, %v", data, again, err)
		}
		// What parses may be verified, whatever it holds.
		_, _ = evidence.Verify(b, evidence.Trust{Policy: r.World.Envelope})
		_, _ = evidence.Verify(b, evidence.Trust{Policy: w.Envelope})
	})
}

func BenchmarkVerifyBundle7Rebuilders(b *testing.B) {
	r := evidencetest.New(b, evidencetest.Options{Rebuilders: 7, Threshold: 4, Witnesses: 3}).Release(b, 1)
	data, err := r.Bundle(b).Encode()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		bundle, err := evidence.Parse(data)
		if err != nil {
			b.Fatal(err)
		}
		report, err := evidence.Verify(bundle, evidence.Trust{Policy: r.World.Envelope})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := report.CheckFile("", bytes.NewReader(r.Files[0])); err != nil {
			b.Fatal(err)
		}
	}
}
