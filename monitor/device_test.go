package monitor_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/monitor"
)

// metered is a signer's metrics listener.
type metered struct {
	certificate  string
	made, retry  atomic.Int64
	away, absent atomic.Bool
}

func (m *metered) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m.away.Load() || r.URL.Path != "/metrics" {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(w, "# HELP reprosign_hsm_retries_total Requests repeated.\n# TYPE reprosign_hsm_retries_total counter\n")
	fmt.Fprintf(w, "reprosign_hsm_retries_total{device=\"hsm\"} %d\n", m.retry.Load())
	if !m.absent.Load() {
		fmt.Fprintf(w, "# TYPE reprosign_hsm_signatures gauge\nreprosign_hsm_signatures{certificate=%q} %d\n", m.certificate, m.made.Load())
	}
}

// counted returns a scene of a log with two signatures, made by a device that
// has certified its key and lost one answer.
func counted(t *testing.T) (*scene, *metered) {
	t.Helper()
	l := lawful(t, evidencetest.Options{})
	m := &metered{certificate: l.Certificate.Fingerprint()}
	m.made.Store(4)
	source, err := monitor.Open(serve(t, m))
	if err != nil {
		t.Fatal(err)
	}
	monitor.Hasten(source)
	return newScene(t, l, func(c *monitor.Config) { c.Logs[0].Device = source }), m
}

func TestWhatTheLogExplainsOfADevicesCountIsNoAlarm(t *testing.T) {
	t.Parallel()
	s, m := counted(t)
	s.quiet(t)
	m.made.Add(2) // the device is ahead of the log
	s.quiet(t)
	s.Release(t, 3)
	s.Publish(t)
	s.now += 3600
	s.quiet(t)
	m.made.Add(1) // an answer was lost, and the request repeated
	m.retry.Add(1)
	s.quiet(t)
	s.now += 3600
	s.quiet(t)
	s.restart(t)
	s.quiet(t)
}

func TestASignatureThatTheLogDoesNotExplainIsAnAlarmAfterATime(t *testing.T) {
	t.Parallel()
	s, m := counted(t)
	s.quiet(t)
	m.made.Add(1)
	s.quiet(t)
	s.restart(t)
	s.now += 15 * 60
	s.wants(t, "the device counts 5 signatures for certificate "+m.certificate+", of which the log and recorded attempts explain 4: 1 are unexplained", monitor.DeviceCount)
	s.quiet(t)
	s.now += 15 * 60
	s.quiet(t)
	m.made.Add(3) // of which the log explains two
	s.quiet(t)
	s.Release(t, 3)
	s.Publish(t)
	s.now += 15 * 60
	s.wants(t, "1 are unexplained", monitor.DeviceCount)
}

func TestACountThatGoesBackOrAwayIsAnAlarm(t *testing.T) {
	t.Parallel()
	s, m := counted(t)
	s.quiet(t)
	m.made.Store(3)
	s.wants(t, "went back from 4 to 3", monitor.DeviceCount)
	s.quiet(t)
	m.away.Store(true)
	s.wants(t, "is not to be had", monitor.DeviceUnreachable)
	s.quiet(t, monitor.DeviceUnreachable)
	m.away.Store(false)
	s.quiet(t)
	m.absent.Store(true)
	s.wants(t, "the signer's metrics have no reprosign_hsm_signatures", monitor.DeviceUnreachable)
}

func TestMetricsThatCountNothingAreRefused(t *testing.T) {
	t.Parallel()
	fingerprint := strings.Repeat("A", 40)
	for text, lawful := range map[string]bool{
		"reprosign_hsm_signatures{certificate=\"" + fingerprint + "\"} 3\n":    true,
		"reprosign_hsm_signatures{certificate=\"" + fingerprint + "\"} 3.5\n":  false,
		"reprosign_hsm_signatures{certificate=\"" + fingerprint + "\"} -3\n":   false,
		"reprosign_hsm_signatures{certificate=\"" + fingerprint + "\"} NaN\n":  false,
		"reprosign_hsm_signatures{certificate=\"" + fingerprint + "\"} +Inf\n": false,
		"reprosign_hsm_signatures{certificate=\"x\"} 3\n":                      false,
		"reprosign_hsm_signatures 3\n":                                         false,
		"":                                                                     false,
		"<html>":                                                               false,
	} {
		if err := monitor.ParseCounts([]byte(text)); (err == nil) != lawful {
			t.Errorf("%q: %v", text, err)
		}
	}
}
