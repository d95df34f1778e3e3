package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reprosign/reprosign/signer"
	"github.com/reprosign/reprosign/signer/key"
)

// countTime bounds the device's answer to one look at the metrics.
const countTime = 5 * time.Second

// deviceCounts shows, as a metric, how often the device itself says that each
// certificate's key was used: what `reprosign log monitor` holds against the log
// (design §6, invariant 11). The device is asked at each look. A count that is not
// to be had is left out.
type deviceCounts struct {
	ctx    context.Context // ends with the program; collecting has none of its own
	device key.Device
	ids    map[string]string // of keys in the device, by certificate
	log    *slog.Logger
	desc   *prometheus.Desc
}

func newDeviceCounts(ctx context.Context, device key.Device, opened []signer.Certificate, configured []certificate, log *slog.Logger) deviceCounts {
	d := deviceCounts{ctx: ctx, device: device, ids: map[string]string{}, log: log, desc: prometheus.NewDesc("reprosign_hsm_signatures",
		"Signatures by the device's own count, by certificate. The log and recorded attempts explain all of them.", []string{"certificate"}, nil)}
	for i, c := range opened {
		d.ids[c.Certificate.Fingerprint()] = configured[i].Key
	}
	return d
}

// Collectors returns the counts.
func (d deviceCounts) Collectors() []prometheus.Collector { return []prometheus.Collector{d} }

// Describe implements prometheus.Collector.
func (d deviceCounts) Describe(descs chan<- *prometheus.Desc) { descs <- d.desc }

// Collect implements prometheus.Collector.
func (d deviceCounts) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(d.ctx, countTime)
	defer cancel()
	for certificate, id := range d.ids {
		n, err := d.device.Signatures(ctx, id)
		if err != nil {
			d.log.WarnContext(ctx, "device not asked for its count", slog.String("certificate", certificate), slog.Any("reason", err))
			continue
		}
		metrics <- prometheus.MustNewConstMetric(d.desc, prometheus.GaugeValue, float64(n), certificate)
	}
}
