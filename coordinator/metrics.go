package coordinator

import "github.com/prometheus/client_golang/prometheus"

// metrics are what an operator of the coordinator alarms on.
type metrics struct {
	opened, decided, signed, withdrawn, equivocations, entriesRead prometheus.Counter
	votes, rejected, undecided, unsigned, failures, complaints     *prometheus.CounterVec
	policyExpires                                                  prometheus.Gauge
}

// Verdicts on complaints.
const (
	complaintTaken   = "taken"
	complaintRefused = "refused"
)

func newMetrics() *metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "reprosign", Subsystem: "coordinator", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter { return prometheus.NewCounter(opts(name, help)) }
	by := func(label, name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(opts(name, help), []string{label})
	}
	return &metrics{
		opened:        counter("releases_opened_total", "Releases opened, attempts counted singly."),
		decided:       counter("decisions_total", "Decisions stored."),
		signed:        counter("jobs_signed_total", "Signing jobs finished."),
		withdrawn:     counter("withdrawals_total", "Withdrawals taken."),
		equivocations: counter("equivocations_total", "Proofs that an operator voted for two artifact sets. Alarm on any."),
		entriesRead:   counter("log_entries_read_total", "Log entries given to those who follow the log over the bus."),
		votes:         by("disposition", "statements_total", "Verified rebuild statements, by what the store did with them."),
		rejected:      by("code", "rejections_total", "Messages rejected, by code."),
		undecided:     by("kind", "decisions_refused_total", "Closed releases that the signer did not decide, by kind. Alarm on denied."),
		unsigned:      by("kind", "signing_failures_total", "Signing jobs put back, by kind. Alarm on denied and on a growing unavailable."),
		complaints:    by("verdict", "complaints_total", "Complaints of rebuilders that a decision lacks a counted statement, taken or refused. Alarm on any."),
		failures:      by("topic", "loop_failures_total", "Failed rounds of work, by loop. Alarm when growing."),
		policyExpires: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "reprosign", Name: "policy_expires_seconds", Help: "When the newest policy expires, Unix time. Nothing is signed afterwards.",
		}),
	}
}

// Collectors returns the coordinator's metrics.
func (c *Coordinator) Collectors() []prometheus.Collector {
	m := c.metrics
	return []prometheus.Collector{
		m.opened, m.decided, m.signed, m.withdrawn, m.equivocations, m.entriesRead,
		m.votes, m.rejected, m.undecided, m.unsigned, m.failures, m.complaints, m.policyExpires,
	}
}
