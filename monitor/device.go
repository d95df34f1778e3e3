package monitor

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/reprosign/reprosign/attest"
)

// Metrics of reprosign-signer that a monitor reads.
const (
	// deviceCount is the device's own count of a key's signatures, by certificate.
	deviceCount = "reprosign_hsm_signatures"
	// deviceRetries counts requests that the signer repeated because no answer
	// came: the device may have signed more than once for one signature.
	deviceRetries = "reprosign_hsm_retries_total"
	// maxMetrics bounds the signer's answer, in bytes.
	maxMetrics = 4 << 20
)

// counts is what the signer's metrics say of its devices.
type counts struct {
	made    map[string]int64 // signatures by certificate
	retries int64
}

// readCounts reads the metrics of a signer.
func readCounts(ctx context.Context, source Source) (counts, error) {
	data, err := source.Get(ctx, "metrics", maxMetrics)
	if err != nil {
		return counts{}, err
	}
	return parseCounts(data)
}

// parseCounts reads the two metrics in the Prometheus text format.
func parseCounts(data []byte) (counts, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(data))
	if err != nil {
		return counts{}, fmt.Errorf("parsing the signer's metrics: %w", err)
	}
	c := counts{made: map[string]int64{}}
	for _, m := range families[deviceCount].GetMetric() {
		certificate := ""
		for _, l := range m.GetLabel() {
			if l.GetName() == "certificate" {
				certificate = l.GetValue()
			}
		}
		if err := attest.CheckFingerprint(certificate); err != nil {
			return counts{}, fmt.Errorf("parsing the signer's metrics: %s: %w", deviceCount, err)
		}
		if c.made[certificate], err = whole(m); err != nil {
			return counts{}, err
		}
	}
	for _, m := range families[deviceRetries].GetMetric() {
		n, err := whole(m)
		if err != nil {
			return counts{}, err
		}
		c.retries += n
	}
	if len(c.made) == 0 {
		return counts{}, fmt.Errorf("the signer's metrics have no %s", deviceCount)
	}
	return c, nil
}

// whole returns the value of a counter or gauge, which counts something.
func whole(m *dto.Metric) (int64, error) {
	v := m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
	const most = 1 << 53 // above it floating point skips numbers
	if v != math.Trunc(v) || v < 0 || v > most {
		return 0, fmt.Errorf("parsing the signer's metrics: %v counts nothing", v)
	}
	return int64(v), nil
}

// deviceRecord balances the signatures that a device counts for one certificate
// against those that the log explains (design §6, invariant 11).
type deviceRecord struct {
	// Explained is what the device counts beyond the log for known reasons: the
	// certificate's own signatures and whatever stood there at the first look, and since
	// then attempts that the signer recorded.
	Explained int64 `json:"explained"`
	Count     int64 `json:"count"`   // at the last look
	Retries   int64 `json:"retries"` // at the last look
	// Ahead is the count that was ahead of the log, and Since when: the log
	// follows the device, not the other way round.
	Ahead int64       `json:"ahead"`
	Since attest.Time `json:"since"`
}

// balance takes a look at the count of a certificate and returns the alarm that
// it is reason for, if any. patience is how long the log may take to follow.
func (d *deviceRecord) balance(certificate string, count, retries, logged int64, now attest.Time, patience time.Duration) (Alarm, bool) {
	attempts := retries - d.Retries
	if attempts < 0 { // the signer began anew
		attempts = retries
	}
	before := d.Count
	d.Count, d.Retries = count, retries
	d.Explained += attempts
	if count < before {
		d.Explained, d.Ahead, d.Since = count-logged, 0, 0
		return alarm(DeviceCount, fmt.Sprintf("%s %d to %d", certificate, before, count),
			"the device's count of signatures for certificate %s went back from %d to %d", certificate, before, count), true
	}
	if count-logged <= d.Explained {
		d.Ahead, d.Since = 0, 0
		return Alarm{}, false
	}
	if d.Ahead == 0 {
		d.Ahead, d.Since = count, now
	}
	if now < d.Since.Add(patience) {
		return Alarm{}, false
	}
	excess := d.Ahead - logged - d.Explained
	if excess <= 0 { // the log followed, and the device went on
		d.Ahead, d.Since = count, now
		return Alarm{}, false
	}
	a := alarm(DeviceCount, fmt.Sprintf("%s at %d", certificate, d.Ahead),
		"the device counts %d signatures for certificate %s, of which the log and recorded attempts explain %d: %d are unexplained",
		d.Ahead, certificate, logged+d.Explained, excess)
	d.Explained += excess // told once
	d.Ahead, d.Since = 0, 0
	return a, true
}
