package cmd_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/dashboard"
	"github.com/reprosign/reprosign/monitor"
)

// watched returns a monitor of the house from outside: over its dashboard and
// the metrics of its signer, which here is the device's count alone.
func (h *house) watched(t *testing.T) (*monitor.Log, *monitor.Monitor, evidence.Trust) {
	t.Helper()
	board, err := dashboard.New(dashboard.Config{Reader: h.reader})
	if err != nil {
		t.Fatal(err)
	}
	count := func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "reprosign_hsm_signatures{certificate=%q} %d\n", h.Certificate.Fingerprint(), h.device.made.Load())
	}
	var sources []monitor.Source
	for _, handler := range []http.Handler{board.Handler(), http.HandlerFunc(count)} {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		source, err := monitor.Open(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, source)
	}
	trust := evidence.Trust{Policy: h.pinned}
	m, err := monitor.New(monitor.Config{
		Dir: t.TempDir(), Logs: []monitor.Watched{{Source: sources[0], Trust: trust, Device: sources[1]}},
		// Certificates and policies of tests are short-lived.
		Patience: monitor.Patience{Device: time.Nanosecond, Expiry: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return monitor.NewLog(sources[0]), m, trust
}

func TestAMonitorFindsNothingWrongWithTheHouseButWhatIsDoneInSecret(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{witnesses: 3})
	log, m, trust := h.watched(t)
	look := func() monitor.Pass {
		t.Helper()
		pass, err := m.Once(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return pass
	}
	verified := func(want int64) {
		t.Helper()
		h.eventually(t, "all signatures are in the published log", func() bool {
			report, err := monitor.Verify(t.Context(), log, trust, monitor.VerifyOptions{})
			if err != nil {
				t.Fatalf("log verify: %v, findings %v", err, report.Findings)
			}
			return report.Signatures == want && report.Evaluated == report.Decisions && !report.Unwitnessed
		})
	}
	if pass := look(); pass.Alarming() {
		t.Errorf("before the first release: %+v", pass)
	}
	releases, builds := h.several(t, 2)
	for i, release := range releases {
		h.voteAll(t, release, builds[i])
	}
	h.wantAllSigned(t, releases, builds)
	verified(h.device.made.Load())
	if pass := look(); pass.Alarming() {
		t.Errorf("after two releases: %+v", pass)
	}

	// An operator says something else afterwards; somebody uses the device in secret.
	h.publish(t, "rebuilder-1", h.statement(t, releases[0], h.Rebuilders[0], build(t, "1.0", "another")))
	if _, err := h.device.Sign(t.Context(), make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	raised := map[monitor.Kind]int{}
	h.eventually(t, "both are alarms", func() bool {
		for _, a := range look().Raised {
			raised[a.Kind]++
		}
		return raised[monitor.Equivocation] > 0 && raised[monitor.DeviceCount] > 0
	})
	if len(raised) != 2 || raised[monitor.Equivocation] != 1 || raised[monitor.DeviceCount] != 1 {
		t.Errorf("raised %v, want one of each", raised)
	}
	h.awaitState(t, releases[1], coordinator.Signed)
	if pass := look(); pass.Alarming() {
		t.Errorf("told already: %+v", pass)
	}
}
