package rebuilder

import "github.com/prometheus/client_golang/prometheus"

// metrics are what an operator of agents alarms on.
type metrics struct {
	tasks, builds, receipts, failures *prometheus.CounterVec
	resent                            prometheus.Counter
	unacknowledged                    prometheus.Gauge
	duration                          prometheus.Histogram
}

func newMetrics() *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "reprosign", Subsystem: "rebuilder", Name: name, Help: help}
	}
	by := func(label, name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), []string{label})
	}
	return &metrics{
		tasks:    by("result", "tasks_total", "Tasks that were not built, by result. Alarm on refused."),
		builds:   by("outcome", "builds_total", "Builds ended, by signed outcome."),
		receipts: by("kind", "receipts_total", "Statements acknowledged by the coordinator: received or rejected. Alarm on rejected."),
		failures: by("what", "failures_total", "What did not work and is tried again or ignored: subscriptions, receipts, policies, the spool."),
		resent:   prometheus.NewCounter(prometheus.CounterOpts(opts("statements_resent_total", "Statements sent again for lack of a receipt."))),
		unacknowledged: prometheus.NewGauge(prometheus.GaugeOpts(opts("statements_unacknowledged",
			"Statements in the spool without receipt. Alarm when it does not fall."))),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "reprosign", Subsystem: "rebuilder", Name: "build_seconds", Help: "Duration of builds.",
			Buckets: prometheus.ExponentialBuckets(1, 3, 10),
		}),
	}
}

// Collectors returns the agent's metrics.
func (a *Agent) Collectors() []prometheus.Collector {
	m := a.metrics
	return []prometheus.Collector{m.tasks, m.builds, m.receipts, m.failures, m.resent, m.unacknowledged, m.duration}
}
