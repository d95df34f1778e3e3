package nethsmtest

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestNormaliseQuotesNamesAndDropsComments(t *testing.T) {
	for in, want := range map[string]string{
		`{a:1}`:                       `{"a":1}`,
		`{ a_1 : true, b: null }`:     `{ "a_1" : true, "b": null }`,
		`{a/* x */:1}// end`:          `{"a" :1} `,
		"{a//\n:1}":                   "{\"a\" \n:1}",
		`{"a//":"/*\"*/"}`:            `{"a//":"/*\"*/"}`,
		`{true:true}`:                 `{"true":true}`,
		`[1e5,-2.5E-3]`:               `[1e5,-2.5E-3]`,
		`1/**/2`:                      `1 2`,
		`{1a:1}`:                      `{1a:1}`, // no name: the parser refuses it
		`{"k": {type: "RSA", x:[y]}}`: `{"k": {"type": "RSA", "x":[y]}}`,
	} {
		got, err := normalise([]byte(in))
		if err != nil || string(got) != want {
			t.Errorf("normalise(%s) = %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{`"a`, `"a\"`, `/`, `/*`, `/*/`, `a / b`} {
		if got, err := normalise([]byte(in)); err == nil {
			t.Errorf("normalise(%s) = %s, want an error", in, got)
		}
	}
}

func FuzzNormaliseKeepsJSONAndIsIdempotent(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5e3,true,null,"\"/*"]}`, `{a:1,/**/b:"x"}//`, `{a b:c}`, `"`, "/*", `{"a"/`, "\xff:"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := normalise(in)
		if jsontext.Value(in).IsValid() && (err != nil || !bytes.Equal(in, out)) {
			t.Fatalf("JSON %q became %q, %v", in, out, err)
		}
		if err != nil {
			return
		}
		again, err := normalise(out)
		if err != nil || !bytes.Equal(out, again) {
			t.Fatalf("%q became %q, then %q, %v", in, out, again, err)
		}
	})
}

func FuzzDecodeBase64AcceptsWhatStrictDecodersAccept(f *testing.F) {
	for _, seed := range []string{"", "eA==", "eB==", "e\nA==", "eA=", "eA", "e A="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, strictErr := base64.StdEncoding.Strict().DecodeString(text)
		got, err := decodeBase64(text)
		clean := !bytes.ContainsAny([]byte(text), "\r\n")
		if strictErr == nil && clean && (err != nil || !bytes.Equal(got, want)) {
			t.Fatalf("%q: got %x, %v, want %x", text, got, err, want)
		}
		if err == nil && !clean {
			t.Fatalf("%q: line break accepted", text)
		}
	})
}
