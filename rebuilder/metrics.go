package rebuilder

import "github.com/prometheus/client_golang/prometheus"

// metrics are what an operator of agents alarms on.
type metrics struct {
	tasks, builds, receipts, failures *prometheus.CounterVec
	resent, complaints, alarms        prometheus.Counter
	unacknowledged, unheard, read     prometheus.Gauge
	duration                          prometheus.Histogram
}

func newMetrics() *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "reprosign", Subsystem: "rebuilder", Name: name, Help: help}
	}
	by := func(label, name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), []string{label})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(opts(name, help)))
	}
	return &metrics{
		tasks:    by("result", "tasks_total", "Tasks that were not built, by result. Alarm on refused."),
		builds:   by("outcome", "builds_total", "Builds ended, by signed outcome."),
		receipts: by("kind", "receipts_total", "Statements acknowledged by the coordinator: received or rejected. Alarm on rejected."),
		failures: by("what", "failures_total", "What did not work and is tried again or ignored: subscriptions, receipts, policies, the log, complaints, the spool."),

		resent:         counter("statements_resent_total", "Statements sent again for lack of a receipt."),
		unacknowledged: gauge("statements_unacknowledged", "Statements in the spool without receipt. Alarm when it does not fall."),
		complaints:     counter("complaints_total", "Complaints signed: a decision lacks a statement that a receipt calls counted. Alarm on any."),
		unheard:        gauge("complaints_unpublished", "Complaints in the spool that the log does not show. Alarm when it does not fall: publish them yourself."),
		alarms:         counter("log_alarms_total", "Times that the log showed what no honest log shows. Alarm on any."),
		read:           gauge("log_entries_read", "How far the log was read and compared with a checkpoint. Alarm when it stays behind the log's size."),

		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "reprosign", Subsystem: "rebuilder", Name: "build_seconds", Help: "Duration of builds.",
			Buckets: prometheus.ExponentialBuckets(1, 3, 10),
		}),
	}
}

// Collectors returns the agent's metrics.
func (a *Agent) Collectors() []prometheus.Collector {
	m := a.metrics
	return []prometheus.Collector{m.tasks, m.builds, m.receipts, m.failures, m.resent, m.unacknowledged, m.duration, m.complaints, m.unheard, m.alarms, m.read}
}
