package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/internal/bus"
)

// What comes out of the real processes convinces somebody else's program too.
func TestTheIndependentVerifierAcceptsTheEvidenceOfAWitnessedRelease(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{witnesses: 3})
	b := build(t, "1.0", "")
	release := h.submit(t, h.request(t, "1.0", b.artifacts))
	h.voteAll(t, release, b)
	reply, err := h.publisher.Status(t.Context(), bus.StatusRequest{
		Release: release, WaitFor: string(coordinator.Signed), WaitSeconds: bus.MaxWait, Evidence: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := h.Envelope.Encode()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"trust.json": trust, "bundle.json": reply.Evidence, b.artifacts[0].Name: b.files[0]} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	python := "/usr/bin/python3" // .ci/setup puts the package cryptography there
	if exec.CommandContext(t.Context(), python, "-c", "import cryptography").Run() != nil {
		python = "python3"
	}
	out, err := exec.CommandContext(t.Context(), python, "-B", "../examples/python/verify.py",
		"--trust", filepath.Join(dir, "trust.json"), filepath.Join(dir, "bundle.json"), filepath.Join(dir, b.artifacts[0].Name)).CombinedOutput()
	if err != nil || !bytes.HasSuffix(out, []byte("\nverified\n")) {
		t.Errorf("%v\n%s", err, out)
	}
}
