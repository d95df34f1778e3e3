package bus_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

func FuzzVoteParseEncodeIsIdentityOrRefused(f *testing.F) {
	fuzzMessage(f, func(v bus.Vote) bool { return v.Envelope != nil && wholeSizes(v.Artifacts) },
		`{"artifacts":[`+fuzzArtifact+`],"envelope":`+fuzzEnvelope+`,"states":["AAEC",""]}`,
		`{"envelope":`+fuzzEnvelope+`}`,
		`{"envelope":`+fuzzEnvelope+`,"states":[]}`,
		`{"artifacts":[],"envelope":`+fuzzEnvelope+`}`,
		`{"artifacts":null,"envelope":`+fuzzEnvelope+`}`,
		`{"envelope":`+fuzzEnvelope+`,"artifacts":[`+fuzzArtifact+`]}`,
		`{"envelope":null}`,
		`{}`,
	)
}

func FuzzDecideRequestParseEncodeIsIdentityOrRefused(f *testing.F) {
	fuzzMessage(f, func(q bus.DecideRequest) bool {
		return q.Cases != nil && !slices.ContainsFunc(q.Cases, func(c bus.DecideCase) bool {
			return c.Opening == nil || c.Request == nil || c.Votes == nil || slices.Contains(c.Votes, nil) || c.Artifacts == nil || !wholeSizes(c.Artifacts)
		})
	},
		`{"cases":[{"artifacts":[`+fuzzArtifact+`],"claim":{"salt":"`+fuzzZeros+`","set":"`+fuzzZeros+`"},"opening":`+fuzzEnvelope+`,"request":`+fuzzEnvelope+`,"votes":[`+fuzzEnvelope+`,`+fuzzEnvelope+`]}]}`,
		`{"cases":[{"artifacts":[],"opening":`+fuzzEnvelope+`,"request":`+fuzzEnvelope+`,"votes":[]}]}`,
		`{"cases":[{"artifacts":[],"claim":null,"opening":`+fuzzEnvelope+`,"request":`+fuzzEnvelope+`,"votes":[null]}]}`,
		`{"cases":[]}`,
		`{"cases":null}`,
	)
}

func FuzzDecideReplyParseEncodeIsIdentityOrRefused(f *testing.F) {
	fuzzMessage(f, func(r bus.DecideReply) bool {
		return r.Results != nil && !slices.ContainsFunc(r.Results, func(r bus.DecideResult) bool { return (r.Decision == nil) == (r.Error == nil) })
	},
		`{"results":[{"decision":`+fuzzEnvelope+`},{"error":{"kind":"denied","message":"two \"words\" – \u0001"}}]}`,
		`{"results":[{"decision":`+fuzzEnvelope+`,"error":{"kind":"","message":""}}]}`,
		`{"results":[{}]}`,
		`{"results":[]}`,
	)
}

func FuzzLogReplyParseEncodeIsIdentityOrRefused(f *testing.F) {
	fuzzMessage(f, func(r bus.LogReply) bool {
		return r.Entries != nil && !slices.ContainsFunc(r.Entries, func(e translog.Entry) bool {
			return e.Index < 0 || e.Index > 1<<53-1 || slices.Contains(e.Bodies, nil)
		})
	},
		`{"checkpoint":"AAEC","edge":["`+fuzzZeros+`"],"entries":[{"bodies":[`+fuzzEnvelope+`],"envelope":`+fuzzEnvelope+`,"index":7,"leaf":"AAEC"},{"index":8,"leaf":""}]}`,
		`{"checkpoint":"","entries":[{"bodies":[],"index":7,"leaf":""}]}`,
		`{"checkpoint":"","entries":[],"error":{"kind":"unavailable","message":"stopping"}}`,
		`{"checkpoint":"","edge":[],"entries":[],"error":null}`,
		`{}`,
	)
}

const (
	fuzzZeros    = "0000000000000000000000000000000000000000000000000000000000000000"
	fuzzEnvelope = `{"payload":"AAEC","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"a","sig":"AA=="},{"sig":"AAE="}]}`
	fuzzArtifact = `{"kind":"deb","name":"a","sha256":"abababababababababababababababababababababababababababababababab",` +
		`"sha512":"01010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101","size":9007199254740991}`
)

// fuzzMessage shows that a message in canonical form is walked as it would be read by
// reflection, as long as it is whole: nothing is missing and no number is too large.
// In any other spelling it is read by reflection.
func fuzzMessage[M any](f *testing.F, whole func(M) bool, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want M
		var either, plain M
		read, reflected := bus.Decode(data, &either), json.Unmarshal(data, &plain, json.RejectUnknownMembers(true))
		if diff := cmp.Diff(plain, either, cmpopts.EquateEmpty()); (read == nil) != (reflected == nil) || read == nil && diff != "" {
			t.Fatalf("%q: %v, by reflection %v (-by reflection +read):\n%s", data, read, reflected, diff)
		}
		walked, strict := bus.Walk(data, &got), attest.UnmarshalStrict(data, bus.MaxMessage, &want)
		if (walked == nil) != (strict == nil && whole(want)) {
			t.Fatalf("%q: %v, read strictly %v", data, walked, strict)
		}
		if walked != nil {
			return
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q (-read strictly +read):\n%s", data, diff)
		}
		again, err := bus.Encode(&got)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%q: written again as %q, %v", data, again, err)
		}
		if value := jsontext.Value(again); value.Canonicalize() != nil || !bytes.Equal(value, data) {
			t.Errorf("%q is not canonical: %q", data, value)
		}
	})
}

func wholeSizes(set attest.Artifacts) bool {
	return !slices.ContainsFunc(set, func(a attest.Artifact) bool { return a.Size < 0 || a.Size > attest.MaxArtifactSize })
}
