package signer_test

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/internal/bus"
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

// BenchmarkDecide decides batches of 64 releases of 7 rebuilders each, with the
// log's entries about them, by processor time: the machine may be busy.
func BenchmarkDecide(b *testing.B) {
	const batch, batches = 64, 4
	var used int64
	decided := 0
	for b.Loop() {
		w := newBench(b, evidencetest.Options{Rebuilders: 7})
		var all [batches]bus.DecideRequest
		for n := range all {
			for i := range batch {
				o := w.Open(b, evidencetest.Suite, "other", 1)
				file := evidencetest.File(b, fmt.Sprintf("other-%d-%d.deb", n, i), "other")
				all[n].Cases = append(all[n].Cases, w.caseOf(b, o, file))
			}
		}
		w.publish(b)
		began := cpu(b)
		for _, q := range all {
			for _, r := range w.signer.Decide(b.Context(), q).Results {
				if r.Error != nil {
					b.Fatal(r.Error)
				}
				decided++
			}
		}
		used += cpu(b) - began
	}
	b.ReportMetric(float64(used)/float64(decided), "cpu-µs/decision")
}
