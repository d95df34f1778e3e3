package openpgp_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest/openpgp"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(want)); diff != "" {
		t.Errorf("%s (-got +want):\n%s", path, diff)
	}
}

// Signatures are reused and compared for years. A change of these bytes is a
// change of the format, whatever the reason.
func TestBytesStayTheSame(t *testing.T) {
	for _, kind := range keyKinds {
		key := kind.key(t)
		c := certify(t, key)
		golden(t, kind.name+".cert.asc", c.Armor())
		state, size, digest := stateOf(t, stream(1000))
		for range 2 {
			signature, err := openpgp.SignState(c, key, state, size, digest, fixedOptions)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, kind.name+".sig.asc", openpgp.Armor(signature))
		}
	}
}

// Go promises no state encoding in writing. If this fails after an upgrade of
// Go, states need a converter before anything else happens.
func TestStateEncodingStaysTheSame(t *testing.T) {
	state, _, _ := stateOf(t, stream(1000))
	golden(t, "state.hex", []byte(hex.EncodeToString(state)+"\n"))
}

func TestCertificatesOfTheGoldenFilesParse(t *testing.T) {
	for _, kind := range keyKinds {
		armored, err := os.ReadFile("testdata/" + kind.name + ".cert.asc")
		if err != nil {
			t.Fatal(err)
		}
		c, err := openpgp.ParseCertificate(armored)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(c.Armor(), armored) {
			t.Errorf("%s: certificate is armored in another way", kind.name)
		}
	}
}
