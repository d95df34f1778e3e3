package monitor_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/monitor"
	"github.com/reprosign/reprosign/monitor/monitortest"
)

// grown returns a log of 300 entries that grew to 600, and its checkpoints.
func grown(t *testing.T) (l *monitortest.Log, small, large translog.Checkpoint) {
	t.Helper()
	l = monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	r := l.Release(t, 1)
	publish := func(size int) translog.Checkpoint {
		fill(t, l, r, size)
		l.Publish(t)
		c, err := translog.OpenCheckpoint(l.File("checkpoint"), l.World.Log.Key.VerifierKey)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return l, publish(300), publish(600)
}

func TestATreeShowsItsOlderRoots(t *testing.T) {
	t.Parallel()
	l, small, large := grown(t)
	tree := open(t, l.Serve(t)).Tree(large)
	for size, want := range map[int64]string{0: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", 300: small.Root.String(), 600: large.Root.String()} {
		if got, err := tree.Root(t.Context(), size); err != nil || got.String() != want {
			t.Errorf("size %d: %v, %v, want %v", size, got, err, want)
		}
	}
	if _, err := tree.Root(t.Context(), 601); err == nil {
		t.Error("root of a tree that is not there")
	}
}

func TestAnOlderTreeIsReadWhenItsPartialTilesAreGone(t *testing.T) {
	t.Parallel()
	l, small, _ := grown(t)
	for path := range l.Files() {
		if strings.HasSuffix(path, ".p/44") { // of 300 entries, in a full tile since
			l.Set(path, nil)
		}
	}
	tree := open(t, l.Serve(t)).Tree(small)
	leaves, err := tree.Leaves(t.Context(), 1)
	if err != nil || len(leaves) != 44 {
		t.Errorf("%d leaves, %v", len(leaves), err)
	}
}

func TestHashesThatDoNotFitTheRootAreDamage(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2"} {
		l, _, large := grown(t)
		data := append([]byte(nil), l.File(path)...)
		data[len(data)-1] ^= 1
		l.Set(path, data)
		tree := open(t, l.Serve(t)).Tree(large)
		if _, err := tree.Root(t.Context(), 299); !errors.Is(err, monitor.ErrDamaged) && path != "tile/0/000" {
			t.Errorf("%s: got %v", path, err)
		}
		if _, err := tree.Leaves(t.Context(), 0); !errors.Is(err, monitor.ErrDamaged) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}
