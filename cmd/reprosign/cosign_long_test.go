//go:build long

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The files that trust export and evidence extract write, as their help says to
// use them. What cosign refuses and ignores is tested beside package evidence.
func TestLongStockCosignAcceptsTheExtractedBundleWithTheExportedRoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorld(t)
	w.write(t, dir)
	in := func(name string) string { return filepath.Join(dir, name) }
	reprosign(t, "trust", "export", "--trust", in("seen-trust.json"), "--bundle", in("seen.evidence.json"), "--dir", in("trust"))
	reprosign(t, "evidence", "extract", in("seen.evidence.json"), "--dir", in("parts"))
	tool, err := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../../go.cosign.mod", "-n", "cosign").Output()
	if err != nil {
		t.Fatalf("building cosign: %v; .ci/setup long fetches what it needs", err)
	}
	for file, want := range map[string]bool{w.first.Artifacts[0].Name: true, w.first.Artifacts[1].Name: true, "policy.yaml": false} {
		cmd := exec.CommandContext(t.Context(), strings.TrimSpace(string(tool)), "verify-blob-attestation",
			"--key", in("trust/statement-signer.pub"), "--bundle", in("parts/decision.sigstore.json"),
			"--trusted-root", in("trust/trusted_root.json"), "--type", "https://slsa.dev/verification_summary/v1", in(file))
		const nowhere = "http://127.0.0.1:9"
		cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "HTTP_PROXY=" + nowhere, "HTTPS_PROXY=" + nowhere}
		out, err := cmd.CombinedOutput()
		if (err == nil) != want || strings.Contains(string(out), "Verified OK") != want {
			t.Errorf("%s: %v, want accepted %v: %s", file, err, want, out)
		}
	}
}
