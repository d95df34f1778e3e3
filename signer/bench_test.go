package signer_test

import (
	"fmt"
	"math"
	"syscall"
	"testing"

	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/signer"
)

// cpu returns the processor time that this process has used, in microseconds.
func cpu(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return (u.Utime.Sec+u.Stime.Sec)*1e6 + u.Utime.Usec + u.Stime.Usec
}

// step is one step of the signer's work on releases, by processor time. The
// least is reported: the machine may be busy.
type step struct {
	unit  string
	least int64
}

func (s *step) measure(b *testing.B, do func()) {
	b.Helper()
	began := cpu(b)
	do()
	s.least = min(s.least, cpu(b)-began)
}

func (s *step) report(b *testing.B, releases int) {
	b.Helper()
	b.ReportMetric(float64(s.least)/float64(releases), s.unit)
}

// BenchmarkDecide follows the openings of a full batch of releases of 7
// rebuilders each, decides them, and follows its decisions in the log.
func BenchmarkDecide(b *testing.B) {
	w := newBench(b, evidencetest.Options{Rebuilders: 7})
	var all, none bus.DecideRequest
	for i := range signer.MaxCases {
		o := w.Open(b, evidencetest.Suite, "other", 1)
		all.Cases = append(all.Cases, w.caseOf(b, o, evidencetest.File(b, fmt.Sprintf("other-%d.deb", i), "other")))
	}
	decide := func(q bus.DecideRequest) []bus.DecideResult {
		results := w.signer.Decide(b.Context(), q).Results
		for _, r := range results {
			if r.Error != nil {
				b.Fatal(r.Error)
			}
		}
		return results
	}
	w.publish(b)
	opened := *w.shelf
	for _, r := range decide(all) {
		w.Log.Append(b, r.Decision, w.Signer.VerifierKey)
	}
	w.publish(b)
	decided := *w.shelf

	opening := step{"cpu-µs/opening-followed", math.MaxInt64}
	deciding := step{"cpu-µs/decision", math.MaxInt64}
	decision := step{"cpu-µs/decision-followed", math.MaxInt64}
	b.ReportAllocs()
	for b.Loop() {
		*w.shelf = opened
		w.signer = w.newSigner(b, w.Envelope)
		opening.measure(b, func() { decide(none) })
		deciding.measure(b, func() { decide(all) })
		*w.shelf = decided
		decision.measure(b, func() { decide(none) })
	}
	opening.report(b, signer.MaxCases)
	deciding.report(b, signer.MaxCases)
	decision.report(b, signer.MaxCases)
}
