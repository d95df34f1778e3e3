package canonical_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/reprosign/reprosign/attest/canonical"
)

// room is for more bytes than these tests read.
const room = 1 << 10

func TestWalkReadsOneSpellingOfAnObject(t *testing.T) {
	for spelling, good := range map[string]bool{
		`{"a":"1","b":"2"}`:         true,
		`{}`:                        true,
		`{"b":"2","a":"1"}`:         false,
		`{"a":"1","a":"1"}`:         false,
		`{"a":"1","a":"2"}`:         false,
		`{"a":"1",}`:                false,
		`{"a":"1" ,"b":"2"}`:        false,
		`{,"a":"1"}`:                false,
		`{"a":null}`:                false,
		`{"a":1}`:                   false,
		`{"a"}`:                     false,
		`{"a":"\u0031"}`:            false,
		`{"a":"1"`:                  false,
		`{"a":"1`:                   false,
		`{"`:                        false,
		`null`:                      false,
		`{"a":"` + "\xff" + `"}`:    false,
		`{"a":"` + "\n" + `"}`:      false,
		`{"\u2028":"","\u2029":""}`: false,
	} {
		var m map[string]string
		err := canonical.Read([]byte(spelling), room, func(w *canonical.Walk) { w.Words("", &m) })
		if (err == nil) != good || err != nil && !errors.Is(err, canonical.ErrMalformed) {
			t.Errorf("%s: %v", spelling, err)
		}
	}
}

func TestWalkReadsOneSpellingOfANumber(t *testing.T) {
	for spelling, want := range map[string]uint64{
		"0": 0, "1": 1, "9007199254740991": 1<<53 - 1,
	} {
		var n uint64
		if err := canonical.Read([]byte(spelling), room, func(w *canonical.Walk) { canonical.Number(w, "", &n) }); err != nil || n != want {
			t.Errorf("%s: %d, %v", spelling, n, err)
		}
	}
	for _, spelling := range []string{"", "-1", "+1", "01", "00", "1.0", "1e0", `"1"`, "9007199254740992", "18446744073709551617", "null", "٣"} {
		var n uint64
		if err := canonical.Read([]byte(spelling), room, func(w *canonical.Walk) { canonical.Number(w, "", &n) }); !errors.Is(err, canonical.ErrMalformed) {
			t.Errorf("%s: %d, %v", spelling, n, err)
		}
	}
}

func TestWalkReadsOneSpellingOfAText(t *testing.T) {
	for spelling, want := range map[string]string{
		`""`: "", `"a b~<&>"`: "a b~<&>", "\"é\u2028\x7f\"": "é\u2028\x7f", `"\"\\/"`: `"\/`, `"\n\u0001"`: "\n\x01",
	} {
		got := "-"
		if err := canonical.Read([]byte(spelling), room, func(w *canonical.Walk) { canonical.Word(w, "", &got) }); err != nil || got != want {
			t.Errorf("%s: read %q, %v", spelling, got, err)
		}
	}
	for _, spelling := range []string{
		``, `"`, `"a`, `"a\`, `"a\"`, `a"`, `1`, `null`, `"\/"`, `"\u0041"`, `"\u000A"`, `"\u000a"`, "\"\n\"", "\"\xff\"", `"\ud800"`, `"\u00e9"`, `"a""`, `'a'`, ` "a"`,
	} {
		var got string
		if err := canonical.Read([]byte(spelling), room, func(w *canonical.Walk) { canonical.Word(w, "", &got) }); !errors.Is(err, canonical.ErrMalformed) {
			t.Errorf("%s: read %q, %v", spelling, got, err)
		}
	}
}

func TestWalkWritesTheSpellingThatItReads(t *testing.T) {
	for _, text := range []string{"", "plain", `"\/`, "\x00\x1f\x7f\u2028é😀\b\t\n\f\r", "<>&"} {
		written, err := canonical.Append(nil, func(w *canonical.Walk) { canonical.Word(w, "", &text) })
		if err != nil {
			t.Fatal(err)
		}
		value := jsontext.Value(written).Clone()
		if err := value.Canonicalize(); err != nil || string(value) != string(written) {
			t.Errorf("%q is written as %s, is %s in canonical form, %v", text, written, value, err)
		}
		var again string
		if err := canonical.Read(written, room, func(w *canonical.Walk) { canonical.Word(w, "", &again) }); err != nil || again != text {
			t.Errorf("%q is read back as %q, %v", text, again, err)
		}
	}
	invalid := "\xff"
	if data, err := canonical.Append(nil, func(w *canonical.Walk) { canonical.Word(w, "", &invalid) }); err == nil {
		t.Errorf("what is no UTF-8 is written as %q", data)
	}
}

// What is left out when it is empty is not there to be empty.
func TestWalkReadsOneSpellingOfWhatIsLeftOut(t *testing.T) {
	for spelling, good := range map[string]bool{`{}`: true, `{"a":["b"]}`: true, `{"a":[]}`: false, `{"a":null}`: false, `{"a":["b"],"a":["b"]}`: false} {
		var all []string
		walk := func(w *canonical.Walk) {
			w.Text(`{`)
			if w.Has(`"a":`, `[]`, len(all) > 0) {
				canonical.List(w, "", &all, func(s *string) { canonical.Word(w, "", s) })
			}
			w.Text(`}`)
		}
		if err := canonical.Read([]byte(spelling), room, walk); (err == nil) != good || err != nil && !errors.Is(err, canonical.ErrMalformed) {
			t.Errorf("%s: %v", spelling, err)
			continue
		}
		if again, err := canonical.Append(nil, walk); good && (err != nil || string(again) != spelling) {
			t.Errorf("%s: written again as %s, %v", spelling, again, err)
		}
	}
}

func TestWalkWritesNothingWithoutWhatMustBeThere(t *testing.T) {
	type named struct{ name string }
	var p *named
	walk := func(w *canonical.Walk) { canonical.Word(w, "", &canonical.Present(w, &p).name) }
	if data, err := canonical.Append(nil, walk); err == nil {
		t.Errorf("wrote %q", data)
	}
	if err := canonical.Read([]byte(`"a"`), room, walk); err != nil || p == nil || p.name != "a" {
		t.Errorf("read %+v, %v", p, err)
	}
}

// A private key may stand where a text belongs.
func TestWalkNeverSaysWhatIsThere(t *testing.T) {
	for _, spelling := range []string{
		`"\u0041 secret"`, "\"\nsecret\"", "\"\xffsecret\"", "secret", `["secret"]`, `"secret`, `"" secret`, `"5EC2E75ec2e7"`, "05ec2e7", "015ec2e7",
	} {
		var s string
		var b []byte
		var n int
		var d [6]byte
		for what, walk := range map[string]func(w *canonical.Walk){
			"word":   func(w *canonical.Walk) { canonical.Word(w, "", &s) },
			"base64": func(w *canonical.Walk) { w.Base64("", &b) },
			"number": func(w *canonical.Walk) { canonical.Number(w, "", &n) },
			"hex":    func(w *canonical.Walk) { w.Hex("", d[:]) },
		} {
			err := canonical.Read([]byte(spelling), room, walk)
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "5ec2e7")) {
				t.Errorf("%s, %s: %v", spelling, what, err)
			}
		}
	}
}

// A long text would be decoded and spelled again by each of them.
func TestWalkGuessesNothingAfterAStepThatFails(t *testing.T) {
	var s string
	var n, m uint64
	var b []byte
	d := [32]byte{1}
	last := true
	err := canonical.Read([]byte(`"text"`), room, func(w *canonical.Walk) {
		canonical.Number(w, "", &n)
		canonical.Word(w, "", &s)
		canonical.Number(w, `"`, &m)
		w.Base64("", &b)
		w.Mark(`"text"`, &last)
		w.HexUnlessZero(`"text"`, d[:])
	})
	if !errors.Is(err, canonical.ErrMalformed) || s != "" || n != 0 || m != 0 || b != nil || last || d != [32]byte{} {
		t.Errorf("read %q, %d, %d, %q, %v, %v: %v", s, n, m, b, last, d, err)
	}
	for _, text := range []string{`"AB=="`, `"AA`, `"`} { // a decoding that fails midway
		err := canonical.Read([]byte(text), room, func(w *canonical.Walk) { w.Base64("", &b); canonical.Word(w, "", &s) })
		if !errors.Is(err, canonical.ErrMalformed) || s != "" {
			t.Errorf("%s: read %q, %v", text, s, err)
		}
	}
}
