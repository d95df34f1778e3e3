package monitor

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an operator of the monitor alarms on, where no webhook does.
type metrics struct {
	alarms                                   *prometheus.CounterVec
	standing                                 *prometheus.GaugeVec
	size, read, pending, last, known, untold *prometheus.GaugeVec
}

func newMetrics() *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "reprosign", Subsystem: "monitor", Name: name, Help: help}
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts(opts(name, help)), []string{"log"})
	}
	return &metrics{
		alarms: prometheus.NewCounterVec(prometheus.CounterOpts(opts("alarms_total", "Alarms raised, by log and kind. Alarm on any.")), []string{"log", "kind"}),
		standing: prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("alarms_standing",
			"Alarms whose condition holds, by log and kind.")), []string{"log", "kind"}),
		size:    gauge("log_size", "Entries under the newest checkpoint that continues all before it."),
		read:    gauge("entries_read", "Entries whose meaning is known. Alarm if it stays below log_size."),
		pending: gauge("decisions_pending", "Decisions not evaluated again yet: their evidence is not public."),
		last:    gauge("last_answer_seconds", "When the log answered last, Unix time."),
		known:   gauge("policy_serial", "Serial of the newest policy in the log."),
		untold:  gauge("alarms_untold", "Alarms that the webhook has not taken yet."),
	}
}

// Collectors returns the monitor's metrics.
func (m *Monitor) Collectors() []prometheus.Collector {
	x := m.metrics
	return []prometheus.Collector{x.alarms, x.standing, x.size, x.read, x.pending, x.last, x.known, x.untold}
}
