//go:build long

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// TestLongDemoOnceVerifiesEverything builds the programs as `make demo` does,
// runs the demo, and then checks what it left with nothing but gpg, the
// published files and `reprosign verify`.
func TestLongDemoOnceVerifiesEverything(t *testing.T) {
	bin := t.TempDir()
	command(t, "", "go", "build", "-trimpath", "-o", bin+"/", "../...")
	dir := filepath.Join(t.TempDir(), "results")
	command(t, "", filepath.Join(bin, "reprosign-demo"), "--once", "--dir", dir)

	data, err := os.ReadFile(filepath.Join(dir, summaryFile))
	if err != nil {
		t.Fatal(err)
	}
	var s summary
	if err := json.Unmarshal(data, &s, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	if !s.Verified || len(s.Failures) > 0 {
		t.Errorf("exit status 0, but verified is %v, failures %v", s.Verified, s.Failures)
	}
	checkReleases(t, dir, filepath.Join(bin, cliName), s)
	checkRefusals(t, s.Refusals)
	signed := uint64(0)
	for _, r := range s.Releases {
		signed += uint64(len(r.Artifacts))
	}
	if a := s.Signatures; !a.balanced() || a.Log != signed || a.Ceremony != uint64(len(s.Releases)) {
		t.Errorf("accounts %+v do not explain %d files and %d certificates", a, signed, len(s.Releases))
	}
	for _, party := range append([]string{coordinatorName, signerName, dashboardName, hsmName}, rebuilderNames...) {
		if _, err := os.Stat(filepath.Join(dir, logsDir, party+".log")); err != nil {
			t.Error(err)
		}
	}
}

func checkReleases(t *testing.T, dir, reprosign string, s summary) {
	t.Helper()
	states := map[string]string{debianName: "signed", goProgram: "signed", stampedName: "conflict"}
	home := t.TempDir()
	command(t, dir, "gpg", "--homedir", home, "--batch", "--import", certificateFile)
	for _, r := range s.Releases {
		// Elsewhere than on bookworm the toolchain may differ from the archive's.
		if want := states[r.Name]; r.State != want && (r.Name != debianName || r.Suite == "debian-bookworm") {
			t.Errorf("%s is %s, want %s", r.Name, r.State, want)
		}
		if len(r.Votes) != len(rebuilderNames) {
			t.Errorf("%s has votes %v", r.Name, r.Votes)
		}
		if (r.State == "signed") != (len(r.Artifacts) > 0) {
			t.Errorf("%s is %s with %d artifacts", r.Name, r.State, len(r.Artifacts))
		}
		for _, a := range r.Artifacts {
			data, err := os.ReadFile(filepath.Join(dir, a.File))
			if err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != a.SHA256 {
				t.Errorf("%s has another digest than the summary says", a.File)
			}
			command(t, dir, "gpg", "--homedir", home, "--batch", "--verify", a.Signature, a.File)
			command(t, dir, reprosign, "verify", a.File, r.Evidence, "--trust", filepath.Join(trustDir, policyFile))
		}
	}
	if s.Releases[len(s.Releases)-2].Votes[misconfigured] != "differs" {
		t.Errorf("the misconfigured rebuilder does not differ: %v", s.Releases[len(s.Releases)-2].Votes)
	}
}

func checkRefusals(t *testing.T, refusals []refusal) {
	t.Helper()
	by := map[string]int{}
	for _, r := range refusals {
		by[r.By]++
		if r.Tried == "" || r.Reason == "" {
			t.Errorf("refusal without attempt or reason: %+v", r)
		}
	}
	for who, want := range map[string]int{signerName: 3, coordinatorName: 1, "gpg --verify": 1, "reprosign verify": 1} {
		if by[who] != want {
			t.Errorf("%s refused %d times, want %d", who, by[who], want)
		}
	}
}

// command runs a program that must succeed.
func command(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	const patience = 10 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
}
