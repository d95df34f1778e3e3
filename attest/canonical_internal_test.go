package attest

import (
	"bytes"
	"math"
	"reflect"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The shortcut of MarshalCanonical must never be seen in the bytes.
func TestCanonicalFormIsTheSameWithAndWithoutTheShortcut(t *testing.T) {
	type inOrder struct {
		A map[string]string `json:"a"`
		B []byte            `json:"b,omitzero"`
		C *Envelope         `json:"c,omitzero"`
	}
	type outOfOrder struct {
		B string `json:"b"`
		A string `json:"a"`
	}
	for name, v := range map[string]any{
		"in order":                       inOrder{A: map[string]string{"z": "1", "a": "2"}},
		"escapes":                        inOrder{A: map[string]string{"\"\\\b\f\n\r\t\x01/<>&": "\u2028\u007f"}},
		"names beyond ASCII":             inOrder{A: map[string]string{"\uFFFD": "", "\U0001F600": "", "é": ""}},
		"out of order":                   outOfOrder{"1", "2"},
		"out of order, deep":             []map[string]*outOfOrder{{"x": {"1", "2"}}},
		"large number":                   struct{ N uint64 }{math.MaxUint64},
		"numbers":                        []int64{0, -1, 1<<53 - 1, 1 << 53, 1<<53 + 1, math.MinInt64, 999_999_999_999_999, 1_000_000_000_000_001},
		"fraction":                       []float64{1e-7, 1.5, 1e21, 123456789012345},
		"quote before a large number":    map[string]int64{`"`: 1<<53 + 1},
		"digits in a text":               map[string]int{`12345678901234567890`: 1},
		"anything":                       []any{map[string]any{"b": 1e21, "a": true}},
		"nothing":                        nil,
		"embedded":                       struct{ outOfOrder }{},
		"member named as its field":      struct{ B, A string }{},
		"number that is written as text": struct{ N Time }{1_800_000_000},
	} {
		got, err := MarshalCanonical(v)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want, err := json.Marshal(v, json.Deterministic(true))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := (*jsontext.Value)(&want).Canonicalize(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if string(got) != string(want) {
			t.Errorf("%s: %s, canonical is %s", name, got, want)
		}
	}
}

func TestWhatThereIsMuchOfTakesTheShortcut(t *testing.T) {
	for _, v := range []any{
		&Envelope{},
		Artifacts{},
		&Artifacts{},
	} {
		if !encodesCanonically(reflect.TypeOf(v)) {
			t.Errorf("%T: its members are not declared in canonical order", v)
		}
	}
}

// Strict reading compares without writing down what it compares with, and spares
// a pass where it can. Whatever it spares, it takes what it would take otherwise.
func FuzzStrictReadingTakesExactlyTheCanonicalForm(f *testing.F) {
	type inner struct {
		Data   []byte            `json:"data,omitzero"`
		Digest Digest            `json:"digest"`
		Names  map[string]string `json:"names"`
		Number int64             `json:"number,omitzero"`
	}
	type outer struct {
		Inner []*inner `json:"inner"`
		Text  string   `json:"text"`
		Time  Time     `json:"time,omitzero"`
		Truth bool     `json:"truth"`
	}
	const digest = `"digest":"0000000000000000000000000000000000000000000000000000000000000000"`
	for _, text := range []string{
		`{"inner":[{"data":"AAEC",` + digest + `,"names":{"a":"1","b":"2"},"number":999999999999999}],"text":"x","time":"2027-01-15T08:00:00Z","truth":true}`,
		`{"inner":[{` + digest + `,"names":{},"number":9007199254740993}],"text":"","truth":false}`,
		`{"inner":[{` + digest + `,"names":{"\"":"\\","\\\"":"1234567890123456"},"number":-1}],"text":"\\\\","truth":false}`,
		`{"inner":[{` + digest + `,"names":{"\ufffd":"","😀":""}}],"text":"é","truth":false}`,
		`{"inner":[{` + digest + `,"names":null}],"text":"\u00e9","truth":false}`,
		`{"inner":[],"text":"` + "\u007f" + `","truth":false}`,
		`{"inner":[],"text":"x","truth":false} `,
		`{"text":"x","inner":[],"truth":false}`,
		`{"inner":null,"text":"\/","truth":false}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want outer
		err := UnmarshalStrict(data, MaxPayload, &got)
		canonical := false
		if json.Unmarshal(data, &want, json.RejectUnknownMembers(true)) == nil {
			again, err := json.Marshal(&want, json.Deterministic(true))
			if err == nil && (*jsontext.Value)(&again).Canonicalize() == nil {
				canonical = bytes.Equal(again, data)
			}
		}
		if (err == nil) != canonical {
			t.Errorf("%q: %v, canonical: %v", data, err, canonical)
		}
	})
}
