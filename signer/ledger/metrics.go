package ledger

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an operator of the signer alarms on.
type metrics struct {
	size, seen    prometheus.Gauge
	halted        *prometheus.GaugeVec
	entries       prometheus.Counter
	problems      *prometheus.CounterVec
	interruptions prometheus.Counter
}

func newMetrics() *metrics {
	const namespace, subsystem = "reprosign", "signer"
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}
	}
	m := &metrics{
		size: prometheus.NewGauge(gauge("log_size", "Entries of the evidence log that the signer has verified.")),
		seen: prometheus.NewGauge(gauge("log_witnessed_seconds", "When the log's witnesses saw the newest verified checkpoint, Unix time; 0 without witnesses.")),
		halted: prometheus.NewGaugeVec(gauge("log_halted", "1 while the signer decides and signs nothing because of the log, by reason. Alarm on any; on forked at once."),
			[]string{"reason"}),
		entries:       prometheus.NewCounter(counter("log_entries_total", "Log entries read.")),
		problems:      prometheus.NewCounterVec(counter("log_problems_total", "Log entries that no lawful party would have logged, by kind. Alarm on any."), []string{"kind"}),
		interruptions: prometheus.NewCounter(counter("log_interruptions_total", "Times that reading the log failed.")),
	}
	for reason := range reasons {
		m.halted.WithLabelValues(reason).Set(0)
	}
	return m
}

// reasons are the labels of halted.
var reasons = map[string]error{
	"forked": ErrForked, "shrunk": ErrShrunk, "missing-body": ErrMissingBody, "old-policy": ErrOldPolicy,
	"unwitnessed": ErrUnwitnessed, "bad-checkpoint": ErrBadCheckpoint,
}

// halt shows why the ledger stands still, or with nil that it does not.
func (m *metrics) halt(err error) {
	for reason, is := range reasons {
		value := 0.0
		if errors.Is(err, is) {
			value = 1
		}
		m.halted.WithLabelValues(reason).Set(value)
	}
}

// Collectors returns the ledger's metrics for registration.
func (l *Ledger) Collectors() []prometheus.Collector {
	m := l.metrics
	return []prometheus.Collector{m.size, m.seen, m.halted, m.entries, m.problems, m.interruptions}
}
