package attest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
)

// misspellings returns data, which is canonical JSON, in other spellings, each
// of which a lenient parser takes for the same message or for a harmless one.
func misspellings(tb testing.TB, data []byte) map[string][]byte {
	tb.Helper()
	out := map[string][]byte{
		"trailing space":   append(bytes.Clone(data), ' '),
		"trailing newline": append(bytes.Clone(data), '\n'),
		"second value":     append(bytes.Clone(data), "{}"...),
		"leading space":    append([]byte(" "), data...),
		"byte order mark":  append([]byte("\xef\xbb\xbf"), data...),
		"empty":            nil,
		"null":             []byte("null"),
		"in an array":      fmt.Appendf(nil, "[%s]", data),
		"cut off":          data[:len(data)-1],
		"invalid UTF-8":    bytes.Replace(data, []byte(`":`), []byte("\xff\":"), 1),
	}
	replace := func(what, pattern, to string) {
		re := regexp.MustCompile(pattern)
		for i, at := range re.FindAllSubmatchIndex(data, -1) {
			b := append(bytes.Clone(data[:at[0]]), re.Expand(nil, []byte(to), data, at)...)
			out[fmt.Sprintf("%s, place %d", what, i)] = append(b, data[at[1]:]...)
		}
	}
	replace("unknown first member", `\{("[a-zA-Z_])`, `{"Unknown":1,$1`)
	replace("unknown last member", `(["\]0-9a-z}])\}`, `$1,"zzz":1}`)
	replace("duplicate member", `("[a-zA-Z_0-9]+":(?:"[^"]*"|[0-9]+|true|false))`, `$1,$1`)
	replace("member set to null", `("[a-zA-Z_0-9]+":)(?:"[^"]*"|[0-9]+|true|false|\[\]|\{\})`, `${1}null`)
	replace("space before the value", `("[a-zA-Z_0-9]+":)`, `$1 `)
	replace("fraction", `(:[0-9]+)([,}])`, `$1.0$2`)
	replace("exponent", `(:[0-9]+)([,}])`, `${1}e0$2`)
	replace("leading zero", `:([0-9]+[,}])`, `:0$1`)
	replace("number as string", `:([0-9]+)([,}])`, `:"$1"$2`)
	replace("escaped slash", `/`, `\/`)
	replace("upper-case digest", `"([0-9a-f]*)([a-f])([0-9a-f]{40,})"`, `"${1}`+"\x00"+`$2$3"`)
	replace("short digest", `"[0-9a-f]([0-9a-f]{63})"`, `"$1"`)
	replace("time with fraction", `T([0-9:]+)Z`, `T$1.0Z`)
	replace("time with offset", `T([0-9:]+)Z`, `T$1+00:00`)
	replace("lower-case zone", `T([0-9:]+)Z`, `T${1}z`)
	for name, b := range out { // regexp has no upper-casing
		if i := bytes.IndexByte(b, 0); i >= 0 {
			out[name] = slicesUpperAt(b, i)
		}
	}
	for _, at := range regexp.MustCompile(`"([a-z_])([a-zA-Z_0-9]*)":`).FindAllSubmatchIndex(data, -1) {
		b := bytes.Clone(data)
		copy(b[at[0]:at[1]], bytes.ToUpper(b[at[0]:at[1]]))
		out["upper-case member "+string(data[at[0]:at[1]])] = b
	}
	for _, at := range regexp.MustCompile(`"[A-Za-z][^"\\]*"`).FindAllIndex(data, -1) {
		b := append(bytes.Clone(data[:at[0]+1]), fmt.Sprintf(`\u%04x`, data[at[0]+1])...)
		out[fmt.Sprintf("escaped letter, place %d", at[0])] = append(b, data[at[0]+2:]...)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, data, "", " "); err != nil {
		tb.Fatal(err)
	}
	out["indented"] = indented.Bytes()
	return out
}

// slicesUpperAt drops the mark at i and puts the letter behind it in upper case.
func slicesUpperAt(b []byte, i int) []byte {
	return append(append(bytes.Clone(b[:i]), bytes.ToUpper(b[i+1:i+2])...), b[i+2:]...)
}

func TestStatementsAreRefusedInAnyOtherSpelling(t *testing.T) {
	for _, k := range kinds(t) {
		e, err := k.seal(k.key)
		if err != nil {
			t.Fatal(err)
		}
		tried := misspellings(t, e.Payload)
		if len(tried) < 40 {
			t.Errorf("%s: only %d spellings tried", k.name, len(tried))
		}
		for what, payload := range tried {
			if bytes.Equal(payload, e.Payload) {
				t.Errorf("%s: %s changes nothing", k.name, what)
			}
			if _, err := k.parse(payload); !errors.Is(err, attest.ErrMalformed) {
				t.Errorf("%s: %s: %v\n%s", k.name, what, err, payload)
			}
		}
	}
}

func TestEnvelopesAreRefusedInAnyOtherSpelling(t *testing.T) {
	for _, k := range kinds(t) {
		e, err := k.seal(k.key)
		if err != nil {
			t.Fatal(err)
		}
		e.Signatures[0].KeyID = "a-hint"
		data, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for what, bad := range misspellings(t, data) {
			if _, err := attest.ParseEnvelope(bad); !errors.Is(err, attest.ErrMalformed) {
				t.Errorf("%s: %s: %v", k.name, what, err)
			}
		}
	}
}

func TestBase64HasOneSpelling(t *testing.T) {
	const form = `{"payload":"%s","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"%s"}]}`
	for _, c := range []struct {
		payload, sig string
		good         bool
	}{
		{"Pz8/Pz8=", "AA==", true},
		{"Pz8/Pz8", "AA==", false},         // no padding
		{"Pz8_Pz8=", "AA==", false},        // URL alphabet
		{"Pz8/Pz9=", "AA==", false},        // bits behind the end
		{`Pz8/\nPz8=`, "AA==", false},      // line break
		{"Pz8/Pz8==", "AA==", false},       // too much padding
		{"Pz8/Pz8=", "AB==", false},        // bits behind the end
		{"Pz8/Pz8=", "", false},            // empty signature
		{"", "AA==", false},                // empty payload
		{`Pz8\/Pz8=`, "AA==", false},       // escaped slash
		{"Pz8/Pz8=", `AA==","x":"`, false}, // unknown member
	} {
		_, err := attest.ParseEnvelope(fmt.Appendf(nil, form, c.payload, c.sig))
		if (err == nil) != c.good {
			t.Errorf("payload %q, signature %q: %v", c.payload, c.sig, err)
		}
	}
}

func TestMembersInAnotherOrderAreRefused(t *testing.T) {
	const swapped = `{"payloadType":"application/vnd.in-toto+json","payload":"AA==","signatures":[{"sig":"AA=="}]}`
	if _, err := attest.ParseEnvelope([]byte(swapped)); !errors.Is(err, attest.ErrMalformed) {
		t.Errorf("members out of order: %v", err)
	}
}

func TestEnvelopeLimits(t *testing.T) {
	good := func() *attest.Envelope {
		return &attest.Envelope{Payload: []byte("x"), PayloadType: attest.StatementType, Signatures: []attest.Signature{{Sig: []byte("x")}}}
	}
	for what, spoil := range map[string]func(e *attest.Envelope){
		"payload too long":     func(e *attest.Envelope) { e.Payload = make([]byte, attest.MaxPayload+1) },
		"no signature":         func(e *attest.Envelope) { e.Signatures = nil },
		"too many signatures":  func(e *attest.Envelope) { e.Signatures = make([]attest.Signature, attest.MaxSignatures+1) },
		"long signature":       func(e *attest.Envelope) { e.Signatures[0].Sig = make([]byte, 257) },
		"long keyid":           func(e *attest.Envelope) { e.Signatures[0].KeyID = strings.Repeat("k", 321) },
		"keyid for a terminal": func(e *attest.Envelope) { e.Signatures[0].KeyID = "\x1b[2J" },
		"unknown payload type": func(e *attest.Envelope) { e.PayloadType = "text/plain" },
	} {
		e := good()
		spoil(e)
		if _, err := e.Encode(); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: encoded, %v", what, err)
		}
		data, err := attest.MarshalCanonical(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := attest.ParseEnvelope(data); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: parsed, %v", what, err)
		}
	}
	if _, err := attest.ParseEnvelope(make([]byte, attest.MaxEnvelope+1)); !errors.Is(err, attest.ErrMalformed) {
		t.Errorf("too long: %v", err)
	}
}

func TestErrorsDoNotCarryHostileInput(t *testing.T) {
	long := strings.Repeat("A", 100_000)
	for _, data := range []string{
		`{"` + long + `":1}`, `{"payloadType":"` + long + `"}`, `{"payload":"","` + long + `\u001b":1}`,
	} {
		_, err := attest.ParseEnvelope([]byte(data))
		if err == nil || len(err.Error()) > 1000 {
			t.Errorf("error of %d bytes", len(fmt.Sprint(err)))
		}
	}
	if _, err := attest.ParseOpening([]byte(`{"predicate":{"opened":"` + long + `"}}`)); err == nil || len(err.Error()) > 1000 {
		t.Errorf("error of %d bytes", len(fmt.Sprint(err)))
	}
}

func TestFailedAdditionLeavesTheEnvelopeAlone(t *testing.T) {
	e := &attest.Envelope{Payload: []byte("{}"), PayloadType: attest.PolicyType}
	for i := range attest.MaxSignatures {
		if err := e.AddSignature(edKey(t, strings.Repeat("n", attest.MaxText), byte(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.AddSignature(edKey(t, "one-more", 100)); err == nil || len(e.Signatures) != attest.MaxSignatures {
		t.Errorf("%d signatures, %v", len(e.Signatures), err)
	}
}

func TestEachKeySignsOnce(t *testing.T) {
	one, two := edKey(t, "one", 1), edKey(t, "two", 2)
	e := &attest.Envelope{Payload: []byte("{}"), PayloadType: attest.PolicyType}
	for _, k := range []attest.SigningKey{one, one, one} {
		if err := e.AddSignature(k); err != nil {
			t.Fatal(err)
		}
	}
	if by := e.SignedBy([]attest.VerifierKey{one.VerifierKey, two.VerifierKey}); len(by) != 1 || by[0].Name() != "one" {
		t.Errorf("signed by %v", by)
	}
}
