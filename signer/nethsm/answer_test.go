package nethsm_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reprosign/reprosign/signer/key"
	"github.com/reprosign/reprosign/signer/nethsm"
	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

// TestAnswersThatMakeNoSenseAreErrors puts something else than a NetHSM at the address.
func TestAnswersThatMakeNoSenseAreErrors(t *testing.T) {
	const about = `{"type":"Curve25519","mechanisms":["EdDSA_Signature"],"operations":1}`
	ed, rsa := publicPEM(t, "ed"), publicPEM(t, "rsa")
	for name, c := range map[string]struct {
		about, public string
		kind          error
	}{
		"no JSON":            {"<html>", ed, key.ErrUnavailable},
		"JSON twice":         {about + about, ed, key.ErrUnavailable},
		"negative count":     {strings.Replace(about, ":1", ":-1", 1), ed, key.ErrUnavailable},
		"endless":            {about + strings.Repeat(" ", 1<<20), ed, key.ErrUnavailable},
		"no PEM":             {about, "x", key.ErrUnavailable},
		"PEM of nonsense":    {about, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", key.ErrUnavailable},
		"another PEM":        {about, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key.ErrUnavailable},
		"key of other type":  {about, rsa, key.ErrMisconfigured},
		"type without a key": {strings.Replace(about, "Curve25519", "Generic", 1), ed, key.ErrMisconfigured},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text := c.about
			if strings.HasSuffix(r.URL.Path, ".pem") {
				text = c.public
			}
			_, _ = w.Write([]byte(text))
		}))
		device, err := nethsm.Open(config(t, server.URL, "insecure-plain-http"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := device.Open(t.Context(), "k"); !errors.Is(err, c.kind) {
			t.Errorf("%s: got %v, want %v", name, err, c.kind)
		}
		device.Close()
		server.Close()
	}
}

// publicPEM is the public half of a key of the test device.
func publicPEM(t *testing.T, id string) string {
	t.Helper()
	device := openDevice(t, softHSM(t), nil)
	der, err := x509.MarshalPKIXPublicKey(openKey(t, device, id).Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestARedirectIsNotFollowed(t *testing.T) {
	followed := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			followed = true
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	device, err := nethsm.Open(config(t, server.URL, "insecure-plain-http"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := device.Open(t.Context(), "k"); !errors.Is(err, key.ErrMisconfigured) || followed {
		t.Errorf("got %v, followed = %v, want ErrMisconfigured and no second request", err, followed)
	}
}

func TestAPassphraseNeverAppearsInErrorsOrLogs(t *testing.T) {
	var logged bytes.Buffer
	faults := []nethsmtest.Fault{
		{Drop: true},
		{DropAnswer: true},
		{CorruptSignature: true},
		{Status: 400, Message: "you sent " + operatorPassphrase},
		{Status: 401, Message: operatorPassphrase},
		{Status: 503, Message: operatorPassphrase},
		{Status: 429},
	}
	for _, fault := range faults {
		synctest.Test(t, func(t *testing.T) { provoke(t, fault, &logged) })
	}
	if logged.Len() == 0 {
		t.Fatal("nothing was logged")
	}
	if strings.Contains(logged.String(), operatorPassphrase) || strings.Contains(logged.String(), "Basic ") {
		t.Errorf("the log shows the passphrase: %s", &logged)
	}
}

// provoke makes requests that carry the passphrase and go wrong, and looks for it in the errors.
func provoke(t *testing.T, fault nethsmtest.Fault, logged io.Writer) {
	t.Helper()
	s := softHSM(t)
	s.SetFault(func(*http.Request) *nethsmtest.Fault { return &fault })
	w := &wire{server: s}
	c := config(t, "http://nethsm.invalid", "insecure-plain-http")
	c.Logger = slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	device, err := nethsm.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := nethsm.OpenAdmin(c)
	if err != nil {
		t.Fatal(err)
	}
	device.SetTransport(w)
	admin.SetTransport(w)
	for name, f := range map[string]func() error{
		"open": func() error { _, err := device.Open(t.Context(), "ed"); return err },
		"user": func() error {
			return admin.AddUser(t.Context(), "stable~x", "x", nethsm.Operator, operatorPassphrase)
		},
		"unlock": func() error { return admin.Unlock(t.Context(), operatorPassphrase) },
	} {
		if err := f(); err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), operatorPassphrase) {
			t.Errorf("%s with fault %+v: the error repeats the passphrase", name, fault)
		}
	}
	if text := fmt.Sprintf("%v %+v", c, device); strings.Contains(text, operatorPassphrase) {
		t.Error("printing the configuration or device shows the passphrase")
	}
}

func TestRequestsAreCountedByStatusAndRepetition(t *testing.T) {
	s := softHSM(t)
	device := openDevice(t, s, nil)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(device.Collectors()...)
	k := openKey(t, device, "ed")
	dropped := false
	s.SetFault(func(*http.Request) *nethsmtest.Fault {
		defer func() { dropped = true }()
		return &nethsmtest.Fault{Drop: !dropped}
	})
	if _, err := k.Sign(context.Background(), digest); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				if label.GetName() != "device" {
					labels = append(labels, label.GetValue())
				}
			}
			name := family.GetName() + " " + strings.Join(labels, " ")
			got[name] = metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"reprosign_hsm_requests_total get_key 200": 1,
		"reprosign_hsm_requests_total sign none":   1,
		"reprosign_hsm_requests_total sign 200":    1,
		"reprosign_hsm_request_seconds sign":       2,
		"reprosign_hsm_retries_total ":             1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v (%v)", name, got[name], want, got)
		}
	}
}
