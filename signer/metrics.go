package signer

import "github.com/prometheus/client_golang/prometheus"

// metrics are what an operator of the signer alarms on.
type metrics struct {
	decisions  prometheus.Counter
	refused    *prometheus.CounterVec
	asked      prometheus.Counter
	signatures prometheus.Counter
	failed     prometheus.Counter
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "reprosign", Subsystem: "signer", Name: name, Help: help})
	}
	return &metrics{
		decisions: counter("decisions_total", "Decisions sealed."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "reprosign", Subsystem: "signer", Name: "refusals_total",
			Help: "Requests refused, by step and kind. Denied ones mean that the coordinator asked for what it may not have.",
		}, []string{"step", "kind"}),
		asked:      counter("signatures_asked_total", "Signatures that the device was asked for; its own count may not grow faster."),
		signatures: counter("signatures_total", "Signatures that the device made and that verified."),
		failed:     counter("signing_failures_total", "Releases that could not be signed because the device failed."),
	}
}

// Collectors returns the signer's metrics.
func (s *Signer) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.metrics.decisions, s.metrics.refused, s.metrics.asked, s.metrics.signatures, s.metrics.failed}
}
