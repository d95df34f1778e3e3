package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/rebuilder/backend"
)

// A claim is worth nothing unless it is what rebuilders vote on.
func TestClaimIsTheSetThatRebuildersFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for name, data := range map[string][]byte{
		"b-program": program, "a.txt": []byte("text\n"), "c.deb": []byte("!<arch>\nnot a package"), "empty": nil,
	} {
		files = append(files, filepath.Join(dir, name))
		if err := os.WriteFile(files[len(files)-1], data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	claimed, err := claimedSet(files)
	if err != nil {
		t.Fatal(err)
	}
	built, _, err := backend.Collect(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(built, claimed); diff != "" {
		t.Errorf("rebuilders' set and claim (-built +claimed):\n%s", diff)
	}
	if !slices.ContainsFunc(claimed, func(a attest.Artifact) bool { return a.Kind == backend.KindExecutable }) {
		t.Error("no kind was told from the bytes")
	}
}

func TestFilesOfOneNameAreNoClaim(t *testing.T) {
	t.Parallel()
	var files []string
	for range 2 {
		files = append(files, filepath.Join(t.TempDir(), "hello.deb"))
		if err := os.WriteFile(files[len(files)-1], []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := claimedSet(files); err == nil {
		t.Error("two files of one name were accepted")
	}
}

func TestSaltHidesEveryClaimOnItsOwn(t *testing.T) {
	t.Parallel()
	key := evidencetest.Ed25519Key(t, "publisher", "press")
	request := attest.Request{Publisher: "press", Suite: "stable", Source: "hello", Version: "1", Architecture: "amd64"}
	set := attest.SHA256([]byte("set"))
	salt := func(key attest.SigningKey, change func(*attest.Request), set attest.Digest) attest.Digest {
		r := request
		change(&r)
		s, err := saltOf(key, r, set)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	same := func(*attest.Request) {}
	seen := map[attest.Digest]string{}
	for name, s := range map[string]attest.Digest{
		"the request itself":   salt(key, same, set),
		"another set":          salt(key, same, attest.SHA256([]byte("other"))),
		"another key":          salt(evidencetest.Ed25519Key(t, "publisher", "other"), same, set),
		"another suite":        salt(key, func(r *attest.Request) { r.Suite = "testing" }, set),
		"another source":       salt(key, func(r *attest.Request) { r.Source = "goodbye" }, set),
		"another version":      salt(key, func(r *attest.Request) { r.Version = "2" }, set),
		"another architecture": salt(key, func(r *attest.Request) { r.Architecture = "arm64" }, set),
		"words moved":          salt(key, func(r *attest.Request) { r.Source, r.Version = "hello1", "" }, set),
	} {
		if other, twice := seen[s]; twice {
			t.Errorf("%s and %s have one salt", name, other)
		}
		seen[s] = name
	}
	if again := salt(key, same, set); seen[again] != "the request itself" {
		t.Error("the same claim has two salts")
	}
	if _, err := saltOf(evidencetest.P256Key(t, "signer", "press"), request, set); err == nil {
		t.Error("a key whose signatures may differ each time made a salt")
	}
}
