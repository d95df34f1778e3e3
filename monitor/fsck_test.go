//go:build long

package monitor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/monitor"
	"github.com/reprosign/reprosign/monitor/monitortest"
)

// Another reader of C2SP tlog-tiles, with code of its own, must come to the same
// verdict on the tree. What entries mean it does not know.
func TestLongTesserasFsckAgreesOnIntactAndDamagedLogs(t *testing.T) {
	path, err := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../go.fsck.mod", "-n", "fsck").Output()
	if err != nil {
		t.Fatalf("building Tessera's fsck: %v; .ci/setup fetches what it needs", err)
	}
	program := strings.TrimSpace(string(path))
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	r := l.Release(t, 1)
	const size = 70_001 // three levels of tiles, and a partial one on each
	fill(t, l, r, size)
	l.Publish(t)
	url := l.Serve(t)
	key := filepath.Join(t.TempDir(), "log.pub")
	if err := os.WriteFile(key, []byte(l.World.Log.Key.VerifierKey.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	// It ends with status 0 also where the log is bad, and with one worker never.
	fsck := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		said, _ := exec.CommandContext(ctx, program, "--storage_url="+url+"/", "--public_key="+key,
			"--origin="+evidencetest.Origin, "--ui=false", "--N=4").CombinedOutput()
		t.Logf("fsck: %.300s", said[max(0, len(said)-300):])
		return strings.Contains(string(said), fmt.Sprintf("Successfully fsck'd log with size %d", size))
	}
	// It reads the tree before the bodies, of which only the intact log needs all.
	verify := func() bool {
		report, err := monitor.Verify(t.Context(), open(t, url), pinned(l), monitor.VerifyOptions{WithoutEvidence: true})
		if err != nil && (!errors.Is(err, monitor.ErrNotVerified) || !errors.Is(err, monitor.ErrDamaged)) {
			t.Errorf("not a verdict on the tree: %v", err)
		}
		return err == nil && report.Checkpoint.Size == size
	}
	both := func(what string, want bool) {
		t.Helper()
		if got := fsck(); got != want {
			t.Errorf("%s: fsck says %v", what, got)
		}
		if got := verify(); got != want {
			t.Errorf("%s: log verify says %v", what, got)
		}
	}
	both("intact", true)
	for _, spoiled := range []struct {
		what, path string
		at         int
	}{
		{"a byte of a leaf", translog.EntriesPath(3, 256), 5000},
		{"a byte of the last leaf", translog.EntriesPath(273, 113), 200},
		{"a hash of a full tile", "tile/0/200", 4000},
		{"a hash of a partial tile", "tile/1/001.p/17", 100},
		{"the hash on top", "tile/2/000.p/1", 31},
	} {
		whole := l.File(spoiled.path)
		broken := slices.Clone(whole)
		broken[spoiled.at] ^= 1
		l.Set(spoiled.path, broken)
		both(spoiled.what, false)
		l.Set(spoiled.path, whole)
	}
}
