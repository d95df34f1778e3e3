package nethsmtest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

func TestTheTLSCertificateIsTheDevices(t *testing.T) {
	url, pin := nethsmtest.Start(t, nethsmtest.New())
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	response, err := client.Get(url + "/api/v1/info")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); string(body) != `{"product":"NetHSM","vendor":"Nitrokey GmbH"}` {
		t.Errorf("info is %s", body)
	}
	leaf := response.TLS.PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	if hex.EncodeToString(sum[:]) != pin {
		t.Errorf("pin is %s, want %x", pin, sum)
	}
	if leaf.Subject.String() != "CN=keyfender" || leaf.Issuer.String() != "CN=keyfender" || len(leaf.DNSNames)+len(leaf.IPAddresses) != 0 ||
		leaf.NotBefore.Unix() != 0 || leaf.NotAfter.Year() != 9999 {
		t.Errorf("certificate for %v by %v, names %v, valid from %v to %v", leaf.Subject, leaf.Issuer, leaf.DNSNames, leaf.NotBefore, leaf.NotAfter)
	}
	if response.ProtoMajor != 1 {
		t.Errorf("protocol is %s", response.Proto)
	}
}

func TestTheDateHeaderIsTheDevicesClock(t *testing.T) {
	s := nethsmtest.New(nethsmtest.WithClock(newClock().now))
	response := ask{method: "GET", path: "info"}.want(t, s, 200, "")
	if got := response.Header.Get("Date"); got != "Fri, 02 Jan 2026 03:04:05 GMT" {
		t.Errorf("Date is %q", got)
	}
}

func TestFaultsReplaceOrSpoilTheAnswer(t *testing.T) {
	s := signingDevice(t)
	var fault *nethsmtest.Fault
	s.SetFault(func(*http.Request) *nethsmtest.Fault { return fault })
	good := sign(t, s, "ed", "EdDSA", []byte("x"))

	fault = &nethsmtest.Fault{CorruptSignature: true}
	if spoilt := sign(t, s, "ed", "EdDSA", []byte("x")); bytes.Equal(good, spoilt) {
		t.Error("the signature is not corrupted")
	}
	fault = &nethsmtest.Fault{Status: 429, Message: "Too many requests"}
	signing("ed", "EdDSA", "eA==").want(t, s, 429, "Too many requests")
	fault = &nethsmtest.Fault{Status: 404}
	signing("ed", "EdDSA", "eA==").want(t, s, 404, "-")

	before := s.Signatures()["ed"]
	dropped := func(f nethsmtest.Fault) {
		t.Helper()
		defer func() {
			if recovered := recover(); recovered != http.ErrAbortHandler { //nolint:errorlint // net/http compares too
				t.Errorf("recovered %v, want the connection dropped", recovered)
			}
		}()
		fault = &f
		signing("ed", "EdDSA", "eA==").to(s)
	}
	dropped(nethsmtest.Fault{Drop: true})
	if got := s.Signatures()["ed"]; got != before {
		t.Errorf("Drop: count went from %d to %d", before, got)
	}
	dropped(nethsmtest.Fault{DropAnswer: true})
	if got := s.Signatures()["ed"]; got != before+1 {
		t.Errorf("DropAnswer: count went from %d to %d, want one more", before, got)
	}
	s.SetFault(nil)
	if !bytes.Equal(good, sign(t, s, "ed", "EdDSA", []byte("x"))) {
		t.Error("the fault did not end")
	}
}

func TestADelayedAnswerEndsWithTheClient(t *testing.T) {
	s := signingDevice(t)
	arrived := make(chan struct{})
	s.SetFault(func(*http.Request) *nethsmtest.Fault {
		close(arrived)
		return &nethsmtest.Fault{Delay: time.Hour}
	})
	url, _ := nethsmtest.Start(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/provision", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err == nil {
		response.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestMetricsAreTextsByName(t *testing.T) {
	clock := newClock()
	s := device(t, nethsmtest.WithClock(clock.now))
	ask{method: "POST", path: "keys/ed/sign", user: "operator", body: `{"mode":"EdDSA","message":"eA=="}`}.want(t, s, 200, "")
	clock.at = clock.at.Add(90 * time.Second)
	got := decode[map[string]string](t, s, ask{method: "GET", path: "metrics", user: "metrics"})
	for name, want := range map[string]string{"sign": "1", "uptime": "90", "generate": "0", "http response 200": "1", "http response total": "1"} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}
