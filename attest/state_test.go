package attest_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
)

func hashed(tb testing.TB, data string) (attest.Artifact, attest.State) {
	tb.Helper()
	a, s, err := attest.HashArtifact(strings.NewReader(data), "file", "deb")
	if err != nil {
		tb.Fatal(err)
	}
	return a, s
}

// Nothing promises that Go keeps the encoding of its hashes; this file does.
func TestStateIsPinnedToTheByte(t *testing.T) {
	pinned, err := os.ReadFile("testdata/sha512-state.hex")
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(pinned)), ""))
	if err != nil {
		t.Fatal(err)
	}
	// One full block and five bytes: every part of the state is in use.
	a, s := hashed(t, strings.Repeat("abcdefgh", 16)+"12345")
	if !bytes.Equal(s, want) {
		t.Errorf("state drifted:\n%x, pinned\n%x", s, want)
	}
	if err := attest.State(want).Check(a); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheStateOfTheFileItselfPasses(t *testing.T) {
	const data = "some file of less than a block"
	a, good := hashed(t, data)
	if err := good.Check(a); err != nil {
		t.Fatal(err)
	}
	_, other := hashed(t, "other file of less than block.")
	_, longer := hashed(t, data+strings.Repeat("x", sha512.BlockSize))
	resized := a
	resized.Size++
	at := func(offset int, change byte) attest.State {
		s := bytes.Clone(good)
		s[offset] ^= change
		return s
	}
	for _, c := range []struct {
		name  string
		state attest.State
		a     attest.Artifact
	}{
		{"empty", nil, a},
		{"cut off", good[:attest.StateSize-1], a},
		{"too long", append(bytes.Clone(good), 0), a},
		{"SHA-384 magic", at(3, 0x07^0x04), a},
		{"chaining word", at(4, 1), a},
		{"buffered byte", at(68, 1), a},
		{"first unused byte", at(68+len(data), 1), a},
		{"last unused byte", at(195, 1), a},
		{"counter", at(203, 1), a},
		{"counter beyond 2^63", at(196, 0x80), a},
		{"counter a block on", at(203, 0x80), a},
		{"other file of the size", other, a},
		{"longer file", longer, a},
		{"size in the list", good, resized},
		{"negative size", good, attest.Artifact{Name: "file", Size: -1, SHA512: a.SHA512}},
	} {
		if err := c.state.Check(c.a); !errors.Is(err, attest.ErrBadState) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestStatesStandInTheOrderOfTheSet(t *testing.T) {
	a, sa := hashed(t, "one")
	b, sb := hashed(t, "two")
	b.Name = "file2"
	set := attest.Artifacts{a, b}
	if err := attest.CheckStates(set, []attest.State{sa, sb}); err != nil {
		t.Error(err)
	}
	for what, states := range map[string][]attest.State{"swapped": {sb, sa}, "one missing": {sa}, "one more": {sa, sb, sb}, "none": nil} {
		if err := attest.CheckStates(set, states); !errors.Is(err, attest.ErrBadState) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
