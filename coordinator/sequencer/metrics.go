package sequencer

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reprosign/reprosign/coordinator"
)

// metrics are what an operator of the log alarms on.
type metrics struct {
	size, last, forked     prometheus.Gauge
	asked                  *prometheus.CounterVec
	up, cosigned, disputes *prometheus.GaugeVec
}

func newMetrics() *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "reprosign", Subsystem: "log", Name: name, Help: help})
	}
	of := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "reprosign", Subsystem: "log", Name: name, Help: help}, []string{"witness"})
	}
	return &metrics{
		size:   gauge("published_size", "Entries under the newest checkpoint that this process published."),
		last:   gauge("published_seconds", "When this process published it, Unix time. Alarm when old while entries wait."),
		forked: gauge("forked", "1 while the database does not continue what was signed: nothing is signed. Alarm on 1."),
		asked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "reprosign", Subsystem: "log", Name: "witness_exchanges_total", Help: "Exchanges with witnesses, by how they ended: ok or failed.",
		}, []string{"witness", "result"}),
		up:       of("witness_up", "1 if the last exchange with a witness went well. Alarm when too few are left for the quorum."),
		cosigned: of("witness_cosigned_seconds", "When a witness cosigned last, Unix time."),
		disputes: of("witness_disputes", "1 if a witness says that it cosigned another history. Alarm on 1."),
	}
}

// Collectors returns the sequencer's metrics.
func (s *Sequencer) Collectors() []prometheus.Collector {
	m := s.metrics
	return []prometheus.Collector{m.size, m.last, m.forked, m.asked, m.up, m.cosigned, m.disputes}
}

func (m *metrics) drained(err error) { m.forked.Set(truth(errors.Is(err, coordinator.ErrForked))) }

func (m *metrics) published(tree coordinator.Tree) {
	m.size.Set(float64(tree.Size))
	m.last.Set(float64(time.Now().Unix()))
}

// answered notes how an exchange ended; one that we broke off says nothing.
func (m *metrics) answered(ctx context.Context, w *witness, err error) {
	name := w.key.Name()
	if err != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return
	}
	result := "ok"
	if err != nil {
		result = "failed"
	}
	var c *contradiction
	m.asked.WithLabelValues(name, result).Inc()
	m.up.WithLabelValues(name).Set(truth(err == nil))
	m.disputes.WithLabelValues(name).Set(truth(errors.As(err, &c)))
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.last.IsZero() {
		m.cosigned.WithLabelValues(name).Set(float64(w.last))
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
