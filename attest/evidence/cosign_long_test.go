//go:build long

package evidence_test

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
)

// cosign is the stock program that go.cosign.mod pins, and what one run of it is given.
type cosign struct {
	program string
	key     attest.VerifierKey // statement key
	log     attest.VerifierKey
	bundle  *evidence.Sigstore
	file    []byte
}

func newCosign(t *testing.T, r *evidencetest.Release) cosign {
	t.Helper()
	path, err := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../../go.cosign.mod", "-n", "cosign").Output()
	if err != nil {
		t.Fatalf("building cosign: %v; .ci/setup long fetches what it needs", err)
	}
	return cosign{
		program: strings.TrimSpace(string(path)), key: r.World.Signer.VerifierKey, log: r.World.Log.Key.VerifierKey,
		bundle: r.Bundle(t).Decision, file: r.Files[0],
	}
}

// verify runs cosign, which finds no network, and returns what it said.
func (c cosign) verify(t *testing.T) (string, error) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte, err error) string {
		path := filepath.Join(dir, name)
		if err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	root, err := evidence.TrustedRoot(c.log, evidencetest.Issued)
	rootFile := write("trusted_root.json", root, err)
	bundle, err := c.bundle.Encode()
	bundleFile := write("decision.sigstore.json", bundle, err)
	keyFile := write("statement.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: c.key.SPKI()}), nil)
	cmd := exec.CommandContext(t.Context(), c.program, "verify-blob-attestation", "--key", keyFile, "--bundle", bundleFile,
		"--trusted-root", rootFile, "--type", "https://slsa.dev/verification_summary/v1", write("file", c.file, nil))
	const nowhere = "http://127.0.0.1:9"
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "HTTP_PROXY=" + nowhere, "HTTPS_PROXY=" + nowhere}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestLongStockCosignAcceptsTheDecision(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]evidencetest.Options{"unwitnessed": {}, "witnessed": {Witnesses: 3}} {
		r := evidencetest.New(t, o).Release(t, 1)
		for i, file := range r.Files {
			c := newCosign(t, r)
			c.file = file
			if out, err := c.verify(t); err != nil || !strings.Contains(out, "Verified OK") {
				t.Errorf("%s, %s: %v: %s", name, r.Artifacts[i].Name, err, out)
			}
		}
	}
}

func TestLongStockCosignRefusesSpoiledDecisions(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(c *cosign){
		"another file":         func(c *cosign) { c.file = []byte("other") },
		"foreign key":          func(c *cosign) { c.key = evidencetest.P256Key(t, "mallory", "signer").VerifierKey },
		"another log's key":    func(c *cosign) { c.log = evidencetest.Ed25519Key(t, "mallory", evidencetest.Origin).VerifierKey },
		"another log":          func(c *cosign) { c.log = evidencetest.Ed25519Key(t, "log", "log.example.com").VerifierKey },
		"spoiled proof":        func(c *cosign) { c.bundle.Material.Entries[0].InclusionProof.Hashes[0][0] ^= 1 },
		"proof too short":      func(c *cosign) { c.bundle.Material.Entries[0].InclusionProof.Hashes = nil },
		"another index":        func(c *cosign) { c.bundle.Material.Entries[0].LogIndex-- },
		"no entry of the log":  func(c *cosign) { c.bundle.Material.Entries = nil },
		"altered statement":    func(c *cosign) { c.bundle.Envelope.Payload = append(c.bundle.Envelope.Payload, ' ') },
		"signature of another": func(c *cosign) { c.bundle.Envelope.Signatures[0].Sig[9] ^= 1 },
		"altered checkpoint": func(c *cosign) {
			note := &c.bundle.Material.Entries[0].InclusionProof.Checkpoint.Envelope
			*note = strings.Replace(*note, "\n2\n", "\n3\n", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCosign(t, evidencetest.New(t, evidencetest.Options{}).Release(t, 1))
			spoil(&c)
			if out, err := c.verify(t); err == nil || strings.Contains(out, "Verified OK") || !strings.Contains(out, "rror") {
				t.Errorf("accepted: %v: %s", err, out)
			}
		})
	}
}

// What docs/spec/evidence-bundle.md says of the limits of cosign's check: each
// of these is refused by [evidence.Verify].
func TestLongStockCosignIgnoresWhatOnlyReprosignChecks(t *testing.T) {
	t.Parallel()
	r := evidencetest.New(t, evidencetest.Options{Witnesses: 3}).Release(t, 1)
	decided := r.Decided()
	for name, spoil := range map[string]func(c *cosign){
		"no cosignatures": func(c *cosign) {
			note := &c.bundle.Material.Entries[0].InclusionProof.Checkpoint.Envelope
			lines := strings.SplitAfter(*note, "\n")
			*note = strings.Join(lines[:5], "")
		},
		"bad cosignatures": func(c *cosign) {
			note := &c.bundle.Material.Entries[0].InclusionProof.Checkpoint.Envelope
			*note = string(evidencetest.Backdate(t, []byte(*note), 5, evidencetest.Opened))
		},
		"no votes listed but one": func(c *cosign) {
			d := decided
			d.Votes, d.Threshold = d.Votes[:1], 1
			again := evidencetest.New(t, evidencetest.Options{Witnesses: 3}).Release(t, 1)
			again.Log(t, again.World.Signer, d)
			var err error
			if c.bundle, err = evidence.NewSigstore(again.Decision, again.World.Signer.VerifierKey, again.World.Log.Key.VerifierKey, again.DecisionProof); err != nil {
				t.Fatal(err)
			}
		},
	} {
		c := newCosign(t, r)
		before, err := c.bundle.Encode()
		if err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if after, err := c.bundle.Encode(); err != nil || bytes.Equal(before, after) {
			t.Fatalf("%s changes nothing, %v", name, err)
		}
		if out, err := c.verify(t); err != nil {
			t.Errorf("%s: cosign refuses, which the documentation should say: %v: %s", name, err, out)
		}
		b := *r.Bundle(t)
		b.Decision = c.bundle
		if _, err := evidence.Verify(&b, evidence.Trust{Policy: r.World.Envelope}); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
}
