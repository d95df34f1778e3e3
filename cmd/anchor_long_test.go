//go:build long

package cmd_test

import (
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/anchor"
)

// careful has the server know its entries again after a restart.
var careful = rekorOptions{"--checkpoint-interval", "1s", "--persistent-antispam=true"}

// anchorIn starts a coordinator's loop that anchors in a server behind a URL.
func (h *house) anchorIn(t *testing.T, r *rekor, at string) {
	t.Helper()
	a, err := anchor.New(anchor.Config{Store: h.writer, URL: at, Tiles: r.tiles, Key: r.key, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	background(t, a.Run)
}

// signedVersion takes a release to its signature.
func (h *house) signedVersion(t *testing.T, version string) attest.Digest {
	t.Helper()
	b := build(t, version, "")
	release := h.submit(t, h.request(t, version, b.artifacts))
	h.voteAll(t, release, b)
	h.awaitState(t, release, coordinator.Signed)
	return release
}

// awaitAnchor waits for a release's anchor and verifies it.
func (h *house) awaitAnchor(t *testing.T, r *rekor, release attest.Digest) *coordinator.Anchor {
	t.Helper()
	var a *coordinator.Anchor
	h.eventually(t, "anchored", func() bool {
		var err error
		a, err = h.reader.Anchor(t.Context(), release)
		if err != nil && !errors.Is(err, coordinator.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	})
	var s evidence.Sigstore
	if err := attest.UnmarshalStrict(a.Bundle, 1<<20, &s); err != nil {
		t.Fatal(err)
	}
	d, proof, err := s.Open(h.Version.SignerKey, r.key)
	if err != nil {
		t.Fatalf("anchor does not verify: %v", err)
	}
	if d.Release != release || proof.Index != a.Index || a.Log != rekorOrigin {
		t.Errorf("anchor %+v is of release %s", a, d.Release)
	}
	return a
}

func TestLongAnAnchoredDecisionIsInARealRekorAndItsOutagesOnlyDelay(t *testing.T) {
	h := newHouse(t, houseOptions{})
	before := h.signedVersion(t, "1.0") // before anybody thought of anchoring
	r := newRekor(t, careful)
	h.anchorIn(t, r, r.url)
	if a := h.awaitAnchor(t, r, before); a.Index != 0 {
		t.Errorf("index %d in an empty log", a.Index)
	}

	r.kill(t)
	during := h.signedVersion(t, "1.1") // nothing that signs waits for the server
	if _, err := h.reader.Anchor(t.Context(), during); !errors.Is(err, coordinator.ErrNotFound) {
		t.Errorf("anchored while the server is away: %v", err)
	}
	r.start(t, strings.TrimPrefix(r.url, "http://"), careful)
	if a := h.awaitAnchor(t, r, during); a.Index != 1 {
		t.Errorf("index %d, want 1: the log lives on", a.Index)
	}
	h.awaitAnchor(t, r, h.signedVersion(t, "1.2"))
}

func TestLongStockCosignAcceptsAnAnchorByTheOtherLogsKey(t *testing.T) {
	program, err := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../go.cosign.mod", "-n", "cosign").Output()
	if err != nil {
		t.Fatalf("building cosign: %v; .ci/setup long fetches what it needs", err)
	}
	h := newHouse(t, houseOptions{})
	r := newRekor(t, careful)
	h.anchorIn(t, r, r.url)
	anchored := h.awaitAnchor(t, r, h.signedVersion(t, "1.0"))
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	verify := func(file []byte, log attest.VerifierKey) ([]byte, error) {
		root, err := evidence.TrustedRoot(log, attest.At(time.Now())-3600)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), strings.TrimSpace(string(program)), "verify-blob-attestation",
			"--key", write("statement.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: h.Signer.SPKI()})),
			"--bundle", write("anchor.sigstore.json", anchored.Bundle), "--trusted-root", write("trusted_root.json", root),
			"--type", "https://slsa.dev/verification_summary/v1", write("file", file))
		cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
		return cmd.CombinedOutput()
	}
	file := build(t, "1.0", "").files[0]
	if out, err := verify(file, r.key); err != nil {
		t.Errorf("cosign refuses the anchor: %v: %s", err, out)
	}
	if out, err := verify(append(file, 'x'), r.key); err == nil {
		t.Errorf("cosign takes another file: %s", out)
	}
	if out, err := verify(file, h.Log.Key.VerifierKey); err == nil {
		t.Errorf("cosign takes our log's key for the other's: %s", out)
	}
}

func TestLongAnAnchorWhoseAnswerWasLostIsFoundInARealRekor(t *testing.T) {
	h := newHouse(t, houseOptions{})
	r := newRekor(t, careful)
	to, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	// The entry reaches the log, its answer does not reach us.
	var statuses [2]atomic.Int64 // of lost answers, of those that came
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = slog.NewLogLogger(logger(t).Handler(), slog.LevelDebug)
	proxy.ModifyResponse = func(a *http.Response) error {
		if statuses[0].CompareAndSwap(0, int64(a.StatusCode)) {
			return errors.New("answer lost")
		}
		statuses[1].Store(int64(a.StatusCode))
		return nil
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	h.anchorIn(t, r, front.URL)
	h.awaitAnchor(t, r, h.signedVersion(t, "1.0"))
	if first, second := statuses[0].Load(), statuses[1].Load(); first != http.StatusCreated || second != http.StatusConflict {
		t.Errorf("the server answered %d, then %d: the entry was not found again", first, second)
	}
}
