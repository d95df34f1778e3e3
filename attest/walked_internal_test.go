package attest

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest/canonical"
)

// An envelope is not read by reflection, but exactly as strictly.
func FuzzEnvelopeIsReadAsItWouldBeStrictly(f *testing.F) {
	for _, text := range []string{
		`{"payload":"AAEC","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"a","sig":"AA=="}]}`,
		`{"payload":"AAEC","payloadType":"x","signatures":[{"sig":"AAE="},{"keyid":"\"\\é","sig":""}]}`,
		`{"payload":"","payloadType":"","signatures":[]}`,
		`{"payload":"AAEC","payloadType":"x","signatures":[{"keyid":"","sig":"AA=="}]}`,
		`{"payload":"AAEC","payloadType":"x","signatures":[{"keyid":"a","sig":"AB=="}]}`,
		`{"payload":"AAEC","payloadType":"x","signatures":[{"sig":"AA"}]}`,
		`{"payload":"AA\nEC","payloadType":"x","signatures":[]}`,
		"{\"payload\":\"AA\nEC\",\"payloadType\":\"x\",\"signatures\":[]}",
		`{"payload":"\u0041AEC","payloadType":"x","signatures":[]}`,
		`{"payload":null,"payloadType":"x","signatures":[]}`,
		`{"payload":"AAEC","payloadType":"x","signatures":null}`,
		`{"payload":"AA`,
		`{"payload":"AAEC","payloadType":"x","signatures":[]} `,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want Envelope
		walked, strict := canonical.Read(data, MaxEnvelope, got.Walk), UnmarshalStrict(data, MaxEnvelope, &want)
		if (walked == nil) != (strict == nil) {
			t.Fatalf("%q: %v, read strictly %v", data, walked, strict)
		}
		if walked != nil {
			return
		}
		again, err := canonical.Append(nil, got.Walk)
		if err != nil || !bytes.Equal(again, data) || !bytes.Equal(got.PAE(), want.PAE()) {
			t.Errorf("%q: read as %+v, strictly as %+v, written again as %q, %v", data, got, want, again, err)
		}
	})
}

// So is an artifact set.
func FuzzArtifactsAreReadAsTheyWouldBeStrictly(f *testing.F) {
	for _, text := range []string{
		`[{"kind":"deb","name":"a","sha256":"` + strings.Repeat("ab", 32) + `","sha512":"` + strings.Repeat("01", 64) + `","size":9007199254740991}]`,
		`[{"kind":"","name":"\u0001é","sha256":"` + strings.Repeat("AB", 32) + `","sha512":"` + strings.Repeat("01", 64) + `","size":1}]`,
		`[{"kind":"","name":"","sha256":"` + strings.Repeat("ab", 32) + `","sha512":"` + strings.Repeat("01", 64) + `","size":-1}]`,
		`[]`, `null`, `[{}]`, `[,]`, `[`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want Artifacts
		walked, strict := canonical.Read(data, MaxArtifactList, got.Walk), UnmarshalStrict(data, MaxArtifactList, &want)
		if walked != nil && strict == nil && want.Check() == nil || walked == nil && strict != nil {
			t.Fatalf("%q: %v, read strictly %v", data, walked, strict)
		}
		if walked == nil && !slices.Equal(got, want) {
			t.Errorf("%q: read as %+v, strictly as %+v", data, got, want)
		}
		if strict == nil && want.Check() == nil {
			if again, err := want.Encode(); err != nil || !bytes.Equal(again, data) {
				t.Errorf("%q: written again as %q, %v", data, again, err)
			}
		}
	})
}
