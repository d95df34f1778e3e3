package attest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/reprosign/reprosign/attest/canonical"
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

// A zero digest is written as no reference, so no reference to one is read.
func TestWalkReadsOneSpellingOfNoReference(t *testing.T) {
	zero := `[{"digest":{"sha256":"` + Digest{}.String() + `"},"name":"build-log"}]`
	for spelling, good := range map[string]bool{`[]`: true, `[null]`: false, `null`: false, zero: false} {
		d := Digest{1}
		err := canonical.Read([]byte(spelling), MaxPayload, func(w *canonical.Walk) { reference(w, "", &d, "build-log") })
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
