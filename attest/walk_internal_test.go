package attest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// walked is a statement with whatever has more than one spelling in JSON.
func walked() Rebuild {
	return Rebuild{
		Release: Digest{1}, Rebuilder: "alpha", Outcome: Built, Set: Digest{0xab}, Isolation: IsolationBwrap,
		Environment: map[string]string{`a"\`: `"\ <>&/~`, "b": "", "c": "x"}, Log: Digest{2}, Started: 1, Finished: 2,
	}
}

func TestWalkWritesWhatRFC8785Wants(t *testing.T) {
	payload, err := walked().Encode()
	if err != nil {
		t.Fatal(err)
	}
	canonical := jsontext.Value(payload).Clone()
	if err := canonical.Canonicalize(); err != nil {
		t.Fatal(err)
	}
	if string(payload) != string(canonical) {
		t.Errorf("wrote     %s\ncanonical %s", payload, canonical)
	}
}

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
		err := readWalk([]byte(spelling), MaxPayload, func(w *walk) { w.words("", &m) })
		if (err == nil) != good || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", spelling, err)
		}
	}
}

func TestWalkReadsOneSpellingOfANumber(t *testing.T) {
	for spelling, want := range map[string]uint64{
		"0": 0, "1": 1, "9007199254740991": 1<<53 - 1,
	} {
		var n uint64
		if err := readWalk([]byte(spelling), MaxPayload, func(w *walk) { number(w, "", &n) }); err != nil || n != want {
			t.Errorf("%s: %d, %v", spelling, n, err)
		}
	}
	for _, spelling := range []string{"", "-1", "+1", "01", "00", "1.0", "1e0", `"1"`, "9007199254740992", "18446744073709551617", "null", "٣"} {
		var n uint64
		if err := readWalk([]byte(spelling), MaxPayload, func(w *walk) { number(w, "", &n) }); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %d, %v", spelling, n, err)
		}
	}
}

// A zero digest is written as no reference, so no reference to one is read.
func TestWalkReadsOneSpellingOfNoReference(t *testing.T) {
	zero := `[{"digest":{"sha256":"` + Digest{}.String() + `"},"name":"build-log"}]`
	for spelling, good := range map[string]bool{`[]`: true, `[null]`: false, `null`: false, zero: false} {
		d := Digest{1}
		err := readWalk([]byte(spelling), MaxPayload, func(w *walk) { w.optional("", &d, "build-log") })
		if (err == nil) != good || err == nil && !d.IsZero() {
			t.Errorf("%s: %v, %v", spelling, d, err)
		}
	}
}

func TestWalkSaysBrieflyWhatBelongsWhere(t *testing.T) {
	payload, err := walked().Encode()
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(payload, []byte(`"release"`))
	for _, c := range []struct {
		what, from, to string
		at             int
	}{
		{"another member", `"release"`, `"Release"`, at + 1},
		{"long and hostile", `"release"`, strings.Repeat("\u202e", 100_000), at},
		{"something secret", `{"_type"`, "-----BEGIN PRIVATE KEY-----", 0},
	} {
		_, err := ParseRebuild(bytes.Replace(payload, []byte(c.from), []byte(c.to), 1))
		if err == nil || len(err.Error()) > 500 || !strings.Contains(err.Error(), fmt.Sprintf("at byte %d of ", c.at)) {
			t.Errorf("%s: %v", c.what, err)
		}
		if strings.Contains(fmt.Sprint(err), "PRIVATE") {
			t.Errorf("%s is shown: %v", c.what, err)
		}
	}
	// The spelling that belongs there is as long as the other one.
	long := bytes.Replace(payload, []byte(`"alpha"`), []byte(`"`+strings.Repeat(`\u0041`, 50_000)+`"`), 1)
	if _, err := ParseRebuild(long); err == nil || len(err.Error()) > 500 {
		t.Errorf("error of %d bytes", len(fmt.Sprint(err)))
	}
}

// A long text would be decoded and spelled again by each of them.
func TestWalkGuessesNothingAfterAStepThatFails(t *testing.T) {
	var s string
	var n, m uint64
	var b []byte
	d := Digest{1}
	last := true
	err := readWalk([]byte(`"text"`), MaxPayload, func(w *walk) {
		number(w, "", &n)
		word(w, "", &s)
		number(w, `"`, &m)
		w.base64("", &b)
		w.mark(`"text"`, &last)
		w.unlessZero(`"text"`, &d)
	})
	if !errors.Is(err, ErrMalformed) || s != "" || n != 0 || m != 0 || b != nil || last || !d.IsZero() {
		t.Errorf("read %q, %d, %d, %q, %v, %v: %v", s, n, m, b, last, d, err)
	}
	for _, text := range []string{`"AB=="`, `"AA`, `"`} { // a decoding that fails midway
		err := readWalk([]byte(text), MaxPayload, func(w *walk) { w.base64("", &b); word(w, "", &s) })
		if !errors.Is(err, ErrMalformed) || s != "" {
			t.Errorf("%s: read %q, %v", text, s, err)
		}
	}
}
