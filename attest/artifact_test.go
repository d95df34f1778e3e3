package attest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
)

func TestArtifactSetsUpToTheLimitPass(t *testing.T) {
	for _, n := range []int{1, 521, attest.MaxArtifacts} {
		data, err := artifacts(n).Encode()
		if err != nil {
			t.Fatalf("%d artifacts: %v", n, err)
		}
		got, err := attest.ParseArtifacts(data)
		if err != nil {
			t.Fatalf("%d artifacts: %v", n, err)
		}
		if diff := cmp.Diff(artifacts(n), got); diff != "" {
			t.Errorf("%d artifacts (-put +got):\n%s", n, diff)
		}
	}
	for _, n := range []int{0, attest.MaxArtifacts + 1} {
		if _, err := artifacts(n).Encode(); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%d artifacts: %v", n, err)
		}
		data, err := attest.MarshalCanonical(artifacts(n))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := attest.ParseArtifacts(data); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%d artifacts parsed: %v", n, err)
		}
	}
}

// The largest that every limit allows must fit the sizes of what carries it.
func TestLargestSetAndDecisionFit(t *testing.T) {
	set := artifacts(attest.MaxArtifacts)
	for i := range set {
		set[i].Name += strings.Repeat("x", attest.MaxArtifactName-len(set[i].Name))
		set[i].Kind = strings.Repeat("k", 32)
		set[i].Size = attest.MaxArtifactSize
	}
	data, err := set.Encode()
	if err != nil || len(data) > attest.MaxArtifactList {
		t.Errorf("artifact list of %d bytes, %v", len(data), err)
	}
	d := decision(t, 1)
	d.Artifacts = attest.AgreedOf(set)
	d.Operators = attest.MaxVotes
	d.Votes = nil
	for i := range attest.MaxVotes {
		d.Votes = append(d.Votes, attest.Digest{1, byte(i >> 8), byte(i)})
	}
	e, err := d.Seal(p256Key(t, "signer", 2))
	if err != nil {
		t.Fatalf("largest decision: %v", err)
	}
	if _, err := attest.OpenDecision(e, keyring(p256Key(t, "signer", 2))); err != nil {
		t.Errorf("largest decision: %v", err)
	}
	encoded, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attest.ParseEnvelope(encoded); err != nil {
		t.Errorf("largest decision's envelope: %v", err)
	}
}

func TestArtifactSetIsPinnedToTheByte(t *testing.T) {
	want, err := os.ReadFile("testdata/artifacts.json")
	if err != nil {
		t.Fatal(err)
	}
	want = bytes.TrimSuffix(want, []byte("\n"))
	got, err := artifacts(3).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("artifact set drifted (-pinned +made):\n%s", diff)
	}
	digest, err := artifacts(3).SetDigest()
	if err != nil || digest != sha256.Sum256(want) {
		t.Errorf("set digest %v, %v", digest, err)
	}
	for what, bad := range misspellings(t, want) {
		if _, err := attest.ParseArtifacts(bad); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestArtifactNamesArePlainFileNames(t *testing.T) {
	for _, name := range []string{
		"a", "0", "hello_2.10-3+b1_amd64.deb", "libfoo~rc1:1.tar.zst", "x..y", strings.Repeat("a", attest.MaxArtifactName),
	} {
		if err := attest.CheckArtifactName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", ".", "..", ".hidden", "-rf", "_x", "a/b", "/etc/passwd", "../x", `a\b`, "a b", "a\x00b", "a\nb", "a\x1b[2J", "a\x7f",
		"naïve", "a\u202egpj.exe", "a\xff", strings.Repeat("a", attest.MaxArtifactName+1),
	} {
		if err := attest.CheckArtifactName(name); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestImpossibleArtifactsAreRefused(t *testing.T) {
	for what, spoil := range map[string]func(s attest.Artifacts) attest.Artifacts{
		"unsorted":         func(s attest.Artifacts) attest.Artifacts { s[0], s[1] = s[1], s[0]; return s },
		"name twice":       func(s attest.Artifacts) attest.Artifacts { s[1].Name = s[0].Name; return s },
		"bad name":         func(s attest.Artifacts) attest.Artifacts { s[0].Name = "../x"; return s },
		"no kind":          func(s attest.Artifacts) attest.Artifacts { s[0].Kind = ""; return s },
		"upper-case kind":  func(s attest.Artifacts) attest.Artifacts { s[0].Kind = "Deb"; return s },
		"long kind":        func(s attest.Artifacts) attest.Artifacts { s[0].Kind = strings.Repeat("k", 33); return s },
		"negative size":    func(s attest.Artifacts) attest.Artifacts { s[0].Size = -1; return s },
		"size beyond JSON": func(s attest.Artifacts) attest.Artifacts { s[0].Size = attest.MaxArtifactSize + 1; return s },
		"no SHA-256":       func(s attest.Artifacts) attest.Artifacts { s[0].SHA256 = attest.Digest{}; return s },
		"no SHA-512":       func(s attest.Artifacts) attest.Artifacts { s[0].SHA512 = attest.Digest512{}; return s },
	} {
		if _, err := spoil(artifacts(2)).SetDigest(); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSetDigestCoversEveryMember(t *testing.T) {
	base, err := artifacts(2).SetDigest()
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(a *attest.Artifact){
		"name": func(a *attest.Artifact) { a.Name = "zzz" }, "kind": func(a *attest.Artifact) { a.Kind = "rpm" },
		"size": func(a *attest.Artifact) { a.Size++ }, "SHA-256": func(a *attest.Artifact) { a.SHA256[31] ^= 1 },
		"SHA-512": func(a *attest.Artifact) { a.SHA512[63] ^= 1 },
	} {
		s := artifacts(2)
		change(&s[1])
		if d, err := s.SetDigest(); err != nil || d == base {
			t.Errorf("%s: digest %v, %v", what, d, err)
		}
	}
}

func TestHashingInOnePassGivesTheStandardDigests(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 111, 112, 127, 128, 129, 4096, 1<<20 + 77} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		for what, r := range map[string]io.Reader{
			"at once": bytes.NewReader(data), "half reads": iotest.HalfReader(bytes.NewReader(data)),
			"data with the end": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			a, state, err := attest.HashArtifact(r, "file", "executable")
			if err != nil {
				t.Fatal(err)
			}
			want := attest.Artifact{
				Kind: "executable", Name: "file", Size: int64(size), SHA256: sha256.Sum256(data), SHA512: sha512.Sum512(data),
			}
			if a != want {
				t.Errorf("%d bytes, %s: %v, want %v", size, what, a, want)
			}
			if err := state.Check(a); err != nil {
				t.Errorf("%d bytes, %s: %v", size, what, err)
			}
		}
	}
}

func TestHashingReportsWhatStopsIt(t *testing.T) {
	broken := errors.New("disk on fire")
	if _, _, err := attest.HashArtifact(iotest.ErrReader(broken), "file", "deb"); !errors.Is(err, broken) {
		t.Errorf("broken reader: %v", err)
	}
	for _, c := range []struct{ name, kind string }{{"../file", "deb"}, {"file", "Deb"}} {
		if _, _, err := attest.HashArtifact(iotest.ErrReader(broken), c.name, c.kind); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestDecisionIsAboutExactlyItsSet(t *testing.T) {
	d := decision(t, 3)
	if err := d.Decides(artifacts(3)); err != nil {
		t.Error(err)
	}
	other := artifacts(3)
	other[1].Size++
	for what, set := range map[string]attest.Artifacts{"fewer": artifacts(2), "other size": other, "none": nil} {
		if err := d.Decides(set); err == nil {
			t.Errorf("%s: decided", what)
		}
	}
	d.Artifacts[0].SHA512[0] ^= 1
	if err := d.Decides(artifacts(3)); err == nil {
		t.Error("decided with another subject than in the set")
	}
}
