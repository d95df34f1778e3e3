package anchor

import "github.com/prometheus/client_golang/prometheus"

// metrics are what an operator who anchors alarms on.
type metrics struct {
	anchored prometheus.Counter
	failures *prometheus.CounterVec
	waiting  prometheus.Gauge
}

func newMetrics() *metrics {
	const namespace, subsystem = "reprosign", "anchor"
	return &metrics{
		anchored: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "decisions_total", Help: "Decisions brought into the other log.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "failures_total",
			Help: "Attempts without an anchor, by kind. Alarm on untrusted, and on a growing unavailable or refused.",
		}, []string{"kind"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "waiting", Help: "Logged decisions without an anchor. Alarm when it does not fall.",
		}),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.anchored, m.failures, m.waiting}
}
