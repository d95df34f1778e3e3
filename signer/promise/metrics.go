package promise

import "github.com/prometheus/client_golang/prometheus"

// newCount is the number of promises, which an operator of the signer alarms on.
func newCount() prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "reprosign", Subsystem: "signer", Name: "promises",
		Help: "Promises of which decision a signature names. Alarm if it falls: the file was lost, or an old copy put back.",
	})
}

// Collectors returns the book's metrics for registration.
func (b *Book) Collectors() []prometheus.Collector { return []prometheus.Collector{b.count} }
