package bus

import "github.com/prometheus/client_golang/prometheus"

// metrics count what passes one connection, by the first token of the subject
// (task, vote, receipt, event, api, signer, log).
type metrics struct {
	messages     *prometheus.CounterVec // direction, topic
	bytes        *prometheus.CounterVec // direction, topic
	redeliveries *prometheus.CounterVec // topic
	violations   prometheus.Counter
	reconnects   prometheus.Counter
	slow         prometheus.Counter
	connected    prometheus.Gauge
}

const (
	sent     = "sent"
	received = "received"
)

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "reprosign", Subsystem: "bus", Name: name, Help: help}
	}
	return &metrics{
		messages:     prometheus.NewCounterVec(counter("messages_total", "Messages on the bus, by direction and topic."), []string{"direction", "topic"}),
		bytes:        prometheus.NewCounterVec(counter("bytes_total", "Payload bytes on the bus, by direction and topic."), []string{"direction", "topic"}),
		redeliveries: prometheus.NewCounterVec(counter("redeliveries_total", "Messages that JetStream delivered again, by topic."), []string{"topic"}),
		violations:   prometheus.NewCounter(counter("permission_violations_total", "Subjects that the NATS server refused to this party.")),
		reconnects:   prometheus.NewCounter(counter("reconnects_total", "Connections to NATS that were restored.")),
		slow:         prometheus.NewCounter(counter("slow_consumer_total", "Times that messages were dropped because this process read too slowly.")),
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "reprosign", Subsystem: "bus", Name: "connected", Help: "1 while there is a connection to NATS.",
		}),
	}
}

func (m *metrics) count(direction, subject string, size int) {
	m.messages.WithLabelValues(direction, topic(subject)).Inc()
	m.bytes.WithLabelValues(direction, topic(subject)).Add(float64(size))
}

// Collectors returns the connection's metrics for registration.
func (c *Conn) Collectors() []prometheus.Collector {
	m := c.metrics
	return []prometheus.Collector{m.messages, m.bytes, m.redeliveries, m.violations, m.reconnects, m.slow, m.connected}
}
