package monitor_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/monitor"
	"github.com/reprosign/reprosign/monitor/monitortest"
)

// lawful returns a published log with two releases, the second one decided only.
func lawful(tb testing.TB, o evidencetest.Options) *monitortest.Log {
	tb.Helper()
	l := monitortest.New(tb, evidencetest.New(tb, o))
	l.Release(tb, 1)
	l.Decide(tb, 2)
	l.Publish(tb)
	return l
}

func open(tb testing.TB, where string) *monitor.Log {
	tb.Helper()
	s, err := monitor.Open(where)
	if err != nil {
		tb.Fatal(err)
	}
	return monitor.NewLog(s)
}

func pinned(l *monitortest.Log) evidence.Trust { return evidence.Trust{Policy: l.Envelope} }

func TestALawfulLogVerifiesOverHTTPAndFromADirectory(t *testing.T) {
	t.Parallel()
	l := lawful(t, evidencetest.Options{Witnesses: 3})
	dir := t.TempDir()
	l.Write(t, dir)
	for _, where := range []string{l.Serve(t), l.Serve(t) + "/", dir} {
		var told []string
		report, err := monitor.Verify(t.Context(), open(t, where), pinned(l), monitor.VerifyOptions{
			Step: func(s evidence.Step) { told = append(told, s.What+": "+s.Detail) },
		})
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		want := []string{
			"pinned policy: policy 1 is pinned and signed by its admins; its log is log.example.org",
			fmt.Sprintf("checkpoint: the key of log.example.org signed a tree of 5 entries, root %v", report.Checkpoint.Root),
			"witnesses: 2 of 3 must cosign, and did: witness-1 at 2027-01-16T09:01:41Z and witness-2 at 2027-01-16T09:01:42Z",
			"tree: 5 entries in 1 bundles give the 1 tiles that are served, and the signed root",
			"entries: each has its body and means something under the policies, of which 1 is the newest: 1 signatures-made, 2 decision, 2 opening",
			"decisions: 2, of which 2 were evaluated again from their votes",
			"signatures: 2 by 1 certificates, each made on a decision that stands before it",
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("%s (-want +got):\n%s", where, diff)
		}
		if report.Unwitnessed || report.Decisions != 2 || report.Evaluated != 2 || report.Signatures != 2 || len(report.Findings) != 0 {
			t.Errorf("%s: report %+v", where, report)
		}
	}
}

func TestALogOfManyTilesVerifies(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t, evidencetest.Options{})
	l := monitortest.New(t, w)
	r := l.Release(t, 1)
	// Openings of further attempts, which are cheap, until there are two levels of tiles.
	fill(t, l, r, 600)
	l.Publish(t)
	report, err := monitor.Verify(t.Context(), open(t, l.Serve(t)), pinned(l), monitor.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "600 entries in 3 bundles give the 4 tiles that are served, and the signed root"; report.Steps[3].Detail != want {
		t.Errorf("got %q, want %q", report.Steps[3].Detail, want)
	}
}

// fill logs openings until the log has so many entries.
func fill(tb testing.TB, l *monitortest.Log, r *evidencetest.Release, size int) {
	tb.Helper()
	like, err := attest.ParseOpening(r.Opening.Payload)
	if err != nil {
		tb.Fatal(err)
	}
	for i := len(l.World.Log.Leaves); i < size; i++ {
		o := like
		o.Nonce = attest.SHA256(fmt.Appendf(nil, "filler %d", i))
		e, err := o.Seal(l.Coordinator)
		if err != nil {
			tb.Fatal(err)
		}
		l.Append(tb, l.Coordinator, e)
	}
}

func TestABrokenLogIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	spoil := func(path string, at int) func(*testing.T, *monitortest.Log, *evidencetest.Release) {
		return func(_ *testing.T, l *monitortest.Log, _ *evidencetest.Release) {
			data := bytes.Clone(l.File(path))
			data[at] ^= 1
			l.Set(path, data)
		}
	}
	remove := func(path string) func(*testing.T, *monitortest.Log, *evidencetest.Release) {
		return func(_ *testing.T, l *monitortest.Log, _ *evidencetest.Release) { l.Set(path, nil) }
	}
	for name, test := range map[string]struct {
		spoil func(*testing.T, *monitortest.Log, *evidencetest.Release)
		want  string
	}{
		"a byte of a leaf":      {spoil("tile/entries/000.p/3", 40), "tree: files do not fit the signed checkpoint: log entry 0 is not the one in tile/0/000.p/3"},
		"a length in a bundle":  {spoil("tile/entries/000.p/3", 0), "tree: files do not fit the signed checkpoint: tile/entries/000.p/3 holds 0 whole entries, want 3"},
		"a byte of a tile":      {spoil("tile/0/000.p/3", 33), "log entry 1 is not the one in tile/0/000.p/3"},
		"a tile that is gone":   {remove("tile/0/000.p/3"), "not there"},
		"a bundle that is gone": {remove("tile/entries/000.p/3"), "not there"},
		"a short tile": {func(_ *testing.T, l *monitortest.Log, _ *evidencetest.Release) {
			l.Set("tile/0/000.p/3", l.File("tile/0/000.p/3")[:64])
		}, "tile/0/000.p/3 has 64 bytes, want 96"},
		"other entries under the signed root": {func(t *testing.T, l *monitortest.Log, _ *evidencetest.Release) {
			leaves := append([][]byte{[]byte("another")}, l.World.Log.Leaves[1:]...)
			for path, data := range monitortest.Tiles(t, leaves) {
				l.Set(path, data)
			}
		}, "its 3 entries have the root"},
		"a checkpoint of nobody": {spoil("checkpoint", 30), "not verified: checkpoint: opening checkpoint:"},
		"no checkpoint":          {remove("checkpoint"), "checkpoint: reading "},
		"a body that is gone": {func(_ *testing.T, l *monitortest.Log, r *evidencetest.Release) {
			l.Set("body/"+r.Request.Digest().String(), nil)
		}, "entries: entry 0 of 3: log entry 0: body missing: request"},
		"a body of another": {func(_ *testing.T, l *monitortest.Log, r *evidencetest.Release) {
			l.Set("body/"+translog.BodyDigest(r.Decision).String(), l.File("body/"+translog.BodyDigest(r.Opening).String()))
		}, "entries: entry 1 of 3: log entry 1: body missing: statement"},
		"evidence that is gone": {func(_ *testing.T, l *monitortest.Log, r *evidencetest.Release) {
			l.Set(monitortest.EvidencePath(r.ID), nil)
		}, "1 findings that no lawful log has"},
		"evidence without a vote": {func(t *testing.T, l *monitortest.Log, r *evidencetest.Release) {
			b := *r.Bundle(t)
			b.Votes = b.Votes[1:]
			data, err := b.Encode()
			if err != nil {
				t.Fatal(err)
			}
			l.Set(monitortest.EvidencePath(r.ID), data)
		}, "1 findings that no lawful log has"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
			r := l.Release(t, 1)
			l.Publish(t)
			test.spoil(t, l, r)
			report, err := monitor.Verify(t.Context(), open(t, l.Serve(t)), pinned(l), monitor.VerifyOptions{})
			if !errors.Is(err, monitor.ErrNotVerified) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if strings.Contains(test.want, "findings") && len(report.Findings) != 1 {
				t.Errorf("findings %v, want one", report.Findings)
			}
		})
	}
}

func TestALogIsReadWithOlderPoliciesThanThePinnedOne(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t, evidencetest.Options{})
	l := monitortest.New(t, w)
	l.Record(t, attest.RecordPolicy, w.Envelope)
	l.Release(t, 1)
	first := w.Envelope
	next := w.Policy
	next.Serial, next.Previous = 2, first.Digest()
	w.Use(t, w.Seal(t, next))
	l.Record(t, attest.RecordPolicy, w.Envelope)
	l.Decide(t, 2)
	l.Publish(t)
	for serial, trust := range map[uint64]evidence.Trust{1: {Policy: first}, 2: {Policy: w.Envelope}} {
		report, err := monitor.Verify(t.Context(), open(t, l.Serve(t)), trust, monitor.VerifyOptions{})
		if err != nil {
			t.Errorf("policy %d pinned: %v", serial, err)
			continue
		}
		if report.Policy != 2 || report.Evaluated != 2 {
			t.Errorf("policy %d pinned: %+v", serial, report)
		}
	}
	l.Set("body/"+first.Digest().String(), nil)
	if _, err := monitor.Verify(t.Context(), open(t, l.Serve(t)), evidence.Trust{Policy: w.Envelope}, monitor.VerifyOptions{}); !errors.Is(err, monitor.ErrNotVerified) {
		t.Errorf("the older policy is gone: got %v", err)
	}
}

func TestALogWithoutEnoughWitnessesDoesNotVerify(t *testing.T) {
	t.Parallel()
	l := lawful(t, evidencetest.Options{Witnesses: 3})
	l.World.Log.Witnesses = l.Witnesses[:1]
	l.Set("checkpoint", l.World.Log.Checkpoint(t))
	_, err := monitor.Verify(t.Context(), open(t, l.Serve(t)), pinned(l), monitor.VerifyOptions{})
	if !errors.Is(err, translog.ErrNotWitnessed) || !errors.Is(err, monitor.ErrNotVerified) {
		t.Errorf("got %v", err)
	}
	own := evidence.Trust{Policy: l.Envelope, Witnesses: policy.Witnesses{Quorum: 1, Keys: []policy.Witness{{Key: l.Witnesses[0].VerifierKey, Operator: "somebody"}}}}
	if _, err := monitor.Verify(t.Context(), open(t, l.Serve(t)), own, monitor.VerifyOptions{WithoutEvidence: true}); err != nil {
		t.Errorf("the verifier's own witness: %v", err)
	}
}
