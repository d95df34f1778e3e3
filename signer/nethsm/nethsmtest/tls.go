package nethsmtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"
)

// identity is the device's TLS certificate and its key.
type identity struct {
	Certificate []byte `json:"certificate"` // DER
	Key         []byte `json:"key"`         // PKCS#8
}

// Certificate returns the device's TLS certificate, made when it is first asked for: self-signed for the name keyfender,
// without alternative names, valid from the epoch to the year 9999. No client can verify it against a name; they pin it.
func (s *Server) Certificate() (tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.contents.TLS.Certificate == nil {
		made, err := newIdentity()
		if err != nil {
			return tls.Certificate{}, fmt.Errorf("making the soft HSM's TLS certificate: %w", err)
		}
		s.contents.TLS = made
		if err := s.save(); err != nil {
			return tls.Certificate{}, err
		}
	}
	private, err := x509.ParsePKCS8PrivateKey(s.contents.TLS.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("parsing the soft HSM's TLS key: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{s.contents.TLS.Certificate}, PrivateKey: private}, nil
}

func newIdentity() (identity, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "keyfender"},
		NotBefore:             time.Unix(0, 0),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return identity{}, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	return identity{Certificate: der, Key: encoded}, err
}

// Pin returns what a client pins of a certificate: the lower-case hexadecimal SHA-256 of its DER form.
func Pin(certificate tls.Certificate) string {
	sum := sha256.Sum256(certificate.Certificate[0])
	return hex.EncodeToString(sum[:])
}

// TB is the part of testing.TB that [Start] needs; the testing package itself stays out of programs.
type TB interface {
	Helper()
	Fatalf(format string, arguments ...any)
	Cleanup(f func())
}

// Start serves s over TLS on a free port of the loopback interface until the test ends. It returns the URL and the
// certificate's [Pin].
func Start(t TB, s *Server) (url, pin string) {
	t.Helper()
	certificate, err := s.Certificate()
	if err != nil {
		t.Fatalf("%v", err)
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening for the soft HSM: %v", err)
	}
	server := &http.Server{
		Handler:           s,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // refused handshakes are what tests are about
	}
	server.Protocols.SetHTTP1(true) // the device speaks nothing newer
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(listener, "", "") // ends with Close
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return "https://" + listener.Addr().String(), Pin(certificate)
}
