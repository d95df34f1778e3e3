package monitor_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/monitor"
	"github.com/reprosign/reprosign/monitor/monitortest"
)

func TestFactsOfAPassThatDidNotHappenAreReadAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t, lawful(t, evidencetest.Options{}), nil)
	s.quiet(t)
	r := s.Decide(t, 3)
	s.Made(t, attest.SignaturesMade{Release: r.ID, Decision: attest.SHA256(nil), LogIndex: 1}, r)
	s.Publish(t)
	// A crash between the facts and the state leaves the facts.
	before := stateOf(t, s)
	s.wants(t, "", monitor.LoneSignature)
	if err := os.WriteFile(fileOf(t, s, "state.json"), []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	s.restart(t)
	s.wants(t, "", monitor.LoneSignature)
	s.quiet(t)
}

func TestMemoryThatWasChangedIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(state, facts []byte) ([]byte, []byte){
		"a fact": func(state, facts []byte) ([]byte, []byte) {
			return state, []byte(strings.Replace(string(facts), `"kind":"`, `"kind":"x`, 1))
		},
		"facts missing": func(state, facts []byte) ([]byte, []byte) { return state, facts[:len(facts)-10] },
		"no state":      func(_, facts []byte) ([]byte, []byte) { return []byte("{}"), facts },
		"a number": func(state, facts []byte) ([]byte, []byte) {
			return []byte(strings.Replace(string(state), `"entries":5`, `"entries":4`, 1)), facts
		},
		"a schema": func(state, facts []byte) ([]byte, []byte) {
			return []byte(strings.Replace(string(state), `state/v1`, `state/v2`, 1)), facts
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, lawful(t, evidencetest.Options{}), nil)
			s.quiet(t)
			paths := []string{fileOf(t, s, "state.json"), fileOf(t, s, "facts")}
			var whole [][]byte
			for _, path := range paths {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				whole = append(whole, data)
			}
			s.stop(t)
			state, facts := change(slices.Clone(whole[0]), slices.Clone(whole[1]))
			put := func(state, facts []byte) {
				for i, data := range [][]byte{state, facts} {
					if err := os.WriteFile(paths[i], data, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			put(state, facts)
			if m, err := monitor.New(s.config); err == nil {
				t.Errorf("it opens: %v", m)
			}
			put(whole[0], whole[1])
			s.start(t)
			s.quiet(t)
		})
	}
}

func TestOlderPoliciesAreRememberedForDaysWithoutTheLog(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t, evidencetest.Options{})
	l := monitortest.New(t, w)
	l.Record(t, attest.RecordPolicy, w.Envelope)
	l.Release(t, 1)
	next := w.Policy
	next.Serial, next.Previous = 2, w.Envelope.Digest()
	w.Use(t, w.Seal(t, next))
	l.Record(t, attest.RecordPolicy, w.Envelope)
	l.Publish(t)
	s := newScene(t, l, nil)
	s.quiet(t)
	files := s.Swap(map[string][]byte{})
	s.restart(t)
	s.quiet(t)
	s.Swap(files)
	s.Release(t, 2)
	s.Publish(t)
	s.quiet(t)
}

func FuzzMonitorStateReadsBackOrIsRefused(f *testing.F) {
	f.Add([]byte(`{"alarms":[],"device":{},"entries":0,"facts":0,"older":[],"pending":[],"schema":"reprosign/monitor-state/v1","trust":"00"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := monitor.ParseState(data); err == nil && s == nil {
			t.Error("neither state nor error")
		}
	})
}

func FuzzSignerMetricsAreCountedOrRefused(f *testing.F) {
	f.Add([]byte("reprosign_hsm_signatures{certificate=\"" + strings.Repeat("A", 40) + "\"} 3\n"))
	f.Fuzz(func(_ *testing.T, data []byte) { _ = monitor.ParseCounts(data) })
}
