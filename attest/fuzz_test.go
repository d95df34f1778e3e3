package attest_test

import (
	"bytes"
	"testing"

	"github.com/reprosign/reprosign/attest"
)

func FuzzEnvelopeParseEncodeIsIdentityOrRefused(f *testing.F) {
	for _, k := range kinds(f) {
		e, err := k.seal(k.key)
		if err != nil {
			f.Fatal(err)
		}
		data, err := e.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := attest.ParseEnvelope(data)
		if err != nil {
			return
		}
		again, err := e.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%q reads back as %q, %v", data, again, err)
		}
	})
}

// Every payload is given to the parsers of all kinds: at most one may take it.
func FuzzStatementsParseEncodeIsIdentityOrRefused(f *testing.F) {
	all := kinds(f)
	for _, k := range all {
		e, err := k.seal(k.key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(e.Payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var took []string
		for _, k := range all {
			if k.name == "report" { // same parser as rebuild
				continue
			}
			v, err := k.parse(payload)
			if err != nil {
				continue
			}
			took = append(took, k.name)
			again, err := k.encode(v)
			if err != nil || !bytes.Equal(again, payload) {
				t.Errorf("%s %q reads back as %q, %v", k.name, payload, again, err)
			}
		}
		if len(took) > 1 {
			t.Errorf("%q is a statement of kinds %q", payload, took)
		}
	})
}

func FuzzArtifactsParseEncodeIsIdentityOrRefused(f *testing.F) {
	data, err := artifacts(3).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := attest.ParseArtifacts(data)
		if err != nil {
			return
		}
		again, err := set.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%q reads back as %q, %v", data, again, err)
		}
	})
}

func FuzzVerifierKeyParseEncodeIsIdentityOrRefused(f *testing.F) {
	f.Add(edKey(f, "alpha", 1).String())
	f.Add(p256Key(f, "signer", 2).String())
	f.Add(witnessKey(f, "witness.example.net", 7).String())
	f.Fuzz(func(t *testing.T, s string) {
		k, err := attest.ParseVerifierKey(s)
		if err != nil {
			return
		}
		if k.String() != s {
			t.Errorf("%q reads back as %q", s, k)
		}
		if k.Verify([]byte("m"), []byte("s")) == nil {
			t.Errorf("%q verifies anything", s)
		}
	})
}

// The state that passes for a file is the one that hashing the file gives.
func FuzzStateOfAFileIsTheOnlyOneThatPasses(f *testing.F) {
	f.Add([]byte("file"), []byte{}, uint16(0))
	f.Add(bytes.Repeat([]byte("x"), 200), []byte{1}, uint16(195))
	f.Fuzz(func(t *testing.T, file, patch []byte, at uint16) {
		a, state, err := attest.HashArtifact(bytes.NewReader(file), "file", "deb")
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(state)
		copy(changed[min(int(at), len(changed)):], patch)
		if passes, same := attest.State(changed).Check(a) == nil, bytes.Equal(changed, state); passes != same {
			t.Errorf("state passes: %v, is the file's own: %v", passes, same)
		}
	})
}

func FuzzTimeParseEncodeIsIdentityOrRefused(f *testing.F) {
	f.Add("2027-01-15T08:00:00Z")
	f.Fuzz(func(t *testing.T, s string) {
		var at attest.Time
		if at.UnmarshalText([]byte(s)) != nil {
			return
		}
		if again, err := at.MarshalText(); err != nil || string(again) != s {
			t.Errorf("%q reads back as %q, %v", s, again, err)
		}
	})
}
