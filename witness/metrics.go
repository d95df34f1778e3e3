package witness

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests, contradictions *prometheus.CounterVec
	size, last               *prometheus.GaugeVec
}

func newMetrics() *metrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "reprosign", Subsystem: "witness", Name: name, Help: help}, []string{"origin"})
	}
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "reprosign", Subsystem: "witness", Name: "requests_total",
			Help: "Requests to cosign, by status. Alarm on any 500.",
		}, []string{"status"}),
		contradictions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "reprosign", Subsystem: "witness", Name: "contradictions_total",
			Help: "Checkpoints with the log's signature that were not shown to continue the one cosigned last, by log. Alarm on any: it may be a fork.",
		}, []string{"origin"}),
		size: gauge("log_size", "Entries of the largest tree that was cosigned, by log."),
		last: gauge("last_cosignature_seconds", "When a log was cosigned last, Unix time; 0 if never."),
	}
}

// cosigned shows what is known of a log.
func (m *metrics) cosigned(l *watched) {
	m.size.WithLabelValues(l.origin).Set(float64(l.last.Size))
	m.last.WithLabelValues(l.origin).Set(float64(l.at))
}

// Collectors returns the witness's metrics.
func (w *Witness) Collectors() []prometheus.Collector {
	return []prometheus.Collector{w.metrics.requests, w.metrics.contradictions, w.metrics.size, w.metrics.last}
}
