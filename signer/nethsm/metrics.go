package nethsm

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are counted for every device and registered by whoever wants them.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	retries  prometheus.Counter
}

// noStatus is the status label of a request without an answer.
const noStatus = "none"

func newMetrics(host string) *metrics {
	labels := prometheus.Labels{"device": host}
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reprosign_hsm_requests_total", ConstLabels: labels,
			Help: "Requests to the hardware security module, by request and HTTP status; none for no answer.",
		}, []string{"request", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "reprosign_hsm_request_seconds", ConstLabels: labels,
			Help:    "Time the hardware security module took to answer, the wait for a turn not included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16), // 1 ms to 33 s
		}, []string{"request"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reprosign_hsm_retries_total", ConstLabels: labels,
			Help: "Requests repeated because no answer came.",
		}),
	}
}

func (m *metrics) observe(request string, a *answer, took time.Duration) {
	status := noStatus
	if a != nil {
		status = strconv.Itoa(a.status)
	}
	m.requests.WithLabelValues(request, status).Inc()
	m.seconds.WithLabelValues(request).Observe(took.Seconds())
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.seconds, m.retries}
}
