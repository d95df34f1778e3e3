package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reprosign/reprosign/internal/config"
)

func TestTheDevicesOwnCountIsAMetricOfEachCertificate(t *testing.T) {
	_, file := hsm(t)
	out := filepath.Join(t.TempDir(), "stable.asc")
	fingerprint, err := command(t, "certify", "--config", file, "--key", "artifacts", "--user-id", "stable <stable@example.org>", "--out", out)
	if err != nil {
		t.Fatal(err)
	}
	s, err := config.Load(config.Source{File: file, Environ: os.Environ()}, defaults())
	if err != nil {
		t.Fatal(err)
	}
	s.Certificates = []certificate{{File: out, Key: "artifacts"}}
	device, err := openDevice(s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := openCertificates(t.Context(), device, s.Certificates)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(newDeviceCounts(t.Context(), device, opened, s.Certificates, slog.New(slog.DiscardHandler)).Collectors()...)
	count := func() (found map[string]float64) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found = map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				found[f.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
		return found
	}
	if got := count(); len(got) != 1 || got["reprosign_hsm_signatures "+fingerprint[:40]] != 1 { // the certificate's own signature
		t.Errorf("got %v, want one signature by %s", got, fingerprint)
	}
	if err := device.Close(); err != nil {
		t.Fatal(err)
	}
	if got := count(); len(got) != 0 {
		t.Errorf("a device that does not answer: got %v", got)
	}
}
