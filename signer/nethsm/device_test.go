package nethsm_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reprosign/reprosign/signer/key"
	"github.com/reprosign/reprosign/signer/key/keytest"
	"github.com/reprosign/reprosign/signer/nethsm"
	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

const (
	operatorID         = "stable~signer"
	operatorPassphrase = "a passphrase nobody may read"
)

var digest = make([]byte, key.DigestSize)

// softHSM is a device with an operator, and keys of which "ed" and "rsa" are fit for signing.
func softHSM(tb testing.TB, options ...nethsmtest.Option) *nethsmtest.Server {
	tb.Helper()
	block, _ := pem.Decode(keytest.RSA4096PEM)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		tb.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // too small on purpose
	if err != nil {
		tb.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := nethsmtest.Provisioned(nethsmtest.Setup{
		Namespaces: []string{"stable"},
		Users: []nethsmtest.User{
			{ID: operatorID, Role: "Operator", Passphrase: operatorPassphrase, Tags: []string{"artifacts"}},
			{ID: "stable~admin", Role: "Administrator", Passphrase: operatorPassphrase},
		},
		Keys: []nethsmtest.Key{
			{Namespace: "stable", ID: "ed", Tags: []string{"artifacts"}},
			{Namespace: "stable", ID: "rsa", Private: parsed.(*rsa.PrivateKey)},
			{Namespace: "stable", ID: "foreign", Tags: []string{"index"}},
			{Namespace: "stable", ID: "small", Private: small},
			{Namespace: "stable", ID: "p256", Private: curve},
			{Namespace: "stable", ID: "pss", Private: small, Mechanisms: []string{"RSA_Signature_PSS_SHA512"}},
			{ID: "root"},
		},
	}, options...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// config is that of the operator of a device at url.
func config(tb testing.TB, url, trust string) nethsm.Config {
	tb.Helper()
	parsed, err := nethsm.ParseTrust(trust)
	if err != nil {
		tb.Fatal(err)
	}
	return nethsm.Config{
		URL: url, Trust: parsed, User: operatorID,
		Passphrase: func() (string, error) { return operatorPassphrase, nil },
	}
}

// openDevice serves s over TLS and opens it as the operator.
func openDevice(tb testing.TB, s *nethsmtest.Server, change func(*nethsm.Config)) *nethsm.Device {
	tb.Helper()
	url, pin := nethsmtest.Start(tb, s)
	c := config(tb, url, "sha256:"+pin)
	if change != nil {
		change(&c)
	}
	device, err := nethsm.Open(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { device.Close() })
	return device
}

func openKey(tb testing.TB, device key.Device, id string) key.Key {
	tb.Helper()
	k, err := device.Open(tb.Context(), id)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// watch counts the requests that reach s, by remote address.
func watch(s *nethsmtest.Server, fault func(*http.Request) *nethsmtest.Fault) (requests, connections func() int) {
	var mu sync.Mutex
	seen := make(map[string]int)
	s.SetFault(func(r *http.Request) *nethsmtest.Fault {
		mu.Lock()
		seen[r.RemoteAddr]++
		mu.Unlock()
		if fault == nil {
			return nil
		}
		return fault(r)
	})
	requests = func() int {
		mu.Lock()
		defer mu.Unlock()
		total := 0
		for _, n := range seen {
			total += n
		}
		return total
	}
	connections = func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(seen)
	}
	return requests, connections
}

// signing restricts a fault to requests to sign.
func signing(fault nethsmtest.Fault) func(*http.Request) *nethsmtest.Fault {
	return func(r *http.Request) *nethsmtest.Fault {
		if !strings.HasSuffix(r.URL.Path, "/sign") {
			return nil
		}
		return &fault
	}
}

func TestNetHSMConforms(t *testing.T) {
	for name, workers := range map[string]int{"one worker": 1, "four workers": nethsm.MaxWorkers} {
		t.Run(name, func(t *testing.T) {
			keytest.Run(t, func(t *testing.T) keytest.Subject {
				device := openDevice(t, softHSM(t), func(c *nethsm.Config) { c.Workers = workers })
				return keytest.Subject{Device: device, Ed25519: "ed", RSA: "rsa", Missing: "root"}
			})
		})
	}
}

func TestKeysUnfitForSigningAreRefused(t *testing.T) {
	device := openDevice(t, softHSM(t), nil)
	for id, says := range map[string]string{
		"small": "1024 bits",
		"p256":  "EC_P256",
		"pss":   "RSA_Signature_PKCS1",
		"none":  "no such thing",
	} {
		_, err := device.Open(t.Context(), id)
		if !errors.Is(err, key.ErrMisconfigured) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want ErrMisconfigured saying %q", id, err, says)
		}
	}
}

func TestAKeyOfAnotherTagOpensButDoesNotSign(t *testing.T) {
	k := openKey(t, openDevice(t, softHSM(t), nil), "foreign")
	_, err := k.Sign(t.Context(), digest)
	if !errors.Is(err, key.ErrMisconfigured) || !strings.Contains(err.Error(), "tags") {
		t.Errorf("got %v, want ErrMisconfigured naming tags", err)
	}
}

func TestAWrongSignatureIsRefusedAndNotAskedForAgain(t *testing.T) {
	for _, id := range []string{"ed", "rsa"} {
		s := softHSM(t)
		s.SetFault(signing(nethsmtest.Fault{CorruptSignature: true}))
		signature, err := openKey(t, openDevice(t, s, nil), id).Sign(t.Context(), digest)
		if !errors.Is(err, key.ErrWrongSignature) || signature != nil {
			t.Errorf("%s: got %d bytes and %v, want ErrWrongSignature", id, len(signature), err)
		}
		if n := s.Signatures()["stable~"+id]; n != 1 {
			t.Errorf("%s: the device signed %d times, want once", id, n)
		}
	}
}

func TestEachRefusalIsOneKindOfErrorAndFinal(t *testing.T) {
	for _, c := range []struct {
		status int
		kind   error
	}{
		{301, key.ErrMisconfigured},
		{400, key.ErrMisconfigured},
		{403, key.ErrMisconfigured},
		{404, key.ErrMisconfigured},
		{409, key.ErrMisconfigured},
		{501, key.ErrMisconfigured},
		{401, key.ErrUnauthorized},
		{412, key.ErrLocked},
		{429, key.ErrThrottled},
		{500, key.ErrUnavailable},
		{503, key.ErrUnavailable},
	} {
		s := softHSM(t)
		requests, _ := watch(s, signing(nethsmtest.Fault{Status: c.status, Message: "device's \x1b[31mwords"}))
		k := openKey(t, openDevice(t, s, nil), "ed")
		before := requests()
		_, err := k.Sign(t.Context(), digest)
		for _, kind := range []error{key.ErrUnavailable, key.ErrLocked, key.ErrThrottled, key.ErrUnauthorized, key.ErrMisconfigured, key.ErrWrongSignature, key.ErrClosed} {
			if errors.Is(err, kind) != (kind == c.kind) { //nolint:errorlint // kinds themselves
				t.Errorf("status %d: got %v, want %v alone", c.status, err, c.kind)
			}
		}
		if got := requests() - before; got != 1 {
			t.Errorf("status %d: %d requests, want one", c.status, got)
		}
		if err == nil || !strings.Contains(err.Error(), "device's  [31mwords") {
			t.Errorf("status %d: %v does not repeat the device's words, made printable", c.status, err)
		}
	}
}

func TestALockedDeviceIsSeenAsLockedAndUsableOnceUnlocked(t *testing.T) {
	s := softHSM(t)
	url, pin := nethsmtest.Start(t, s)
	c := config(t, url, "sha256:"+pin)
	device, err := nethsm.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	k := openKey(t, device, "ed")
	c.User, c.Passphrase = "admin", func() (string, error) { return nethsmtest.DefaultPassphrase, nil }
	admin, err := nethsm.OpenAdmin(c)
	if err != nil {
		t.Fatal(err)
	}
	state := func(want string) {
		t.Helper()
		if got, err := device.State(t.Context()); err != nil || got != want {
			t.Errorf("state is %q, %v, want %q", got, err, want)
		}
	}
	state("Operational")
	if err := admin.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	state("Locked")
	if _, err := k.Sign(t.Context(), digest); !errors.Is(err, key.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	if err := admin.Unlock(t.Context(), nethsmtest.DefaultPassphrase); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sign(t.Context(), digest); err != nil {
		t.Errorf("after unlocking: %v", err)
	}
}

// frozen keeps the device's pause after a failed log-in from ending.
func frozen() nethsmtest.Option {
	return nethsmtest.WithClock(func() time.Time { return time.Unix(1_800_000_000, 0) })
}

func TestARefusedPassphraseIsNotSentAgainButAnotherOneIs(t *testing.T) {
	s := softHSM(t, frozen())
	requests, _ := watch(s, nil)
	passphrase := "not the right passphrase"
	device := openDevice(t, s, func(c *nethsm.Config) {
		c.Passphrase = func() (string, error) { return passphrase, nil }
	})
	for range 3 {
		if _, err := device.Open(t.Context(), "ed"); !errors.Is(err, key.ErrUnauthorized) {
			t.Fatalf("got %v, want ErrUnauthorized", err)
		}
	}
	if got := requests(); got != 1 {
		t.Errorf("%d requests, want one", got)
	}
	passphrase = operatorPassphrase
	if _, err := device.Open(t.Context(), "ed"); !errors.Is(err, key.ErrThrottled) { // the device's pause is still on
		t.Errorf("got %v, want ErrThrottled", err)
	}
	if got := requests(); got != 2 {
		t.Errorf("%d requests, want two", got)
	}
}

func TestConnectionsAreKeptOpenAndBoundedByTheWorkers(t *testing.T) {
	const workers = 3
	s := softHSM(t)
	requests, connections := watch(s, nil)
	device := openDevice(t, s, func(c *nethsm.Config) { c.Workers = workers })
	k := openKey(t, device, "ed")
	for range 20 {
		if _, err := k.Sign(t.Context(), digest); err != nil {
			t.Fatal(err)
		}
	}
	if got := connections(); got != 1 {
		t.Errorf("%d requests one after the other took %d connections, want one", requests(), got)
	}
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 4 {
				if _, err := k.Sign(t.Context(), digest); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got := connections(); got > workers {
		t.Errorf("%d connections, want at most %d", got, workers)
	}
}

func TestARefusalDoesNotCostTheConnection(t *testing.T) {
	s := softHSM(t)
	_, connections := watch(s, nil)
	device := openDevice(t, s, nil)
	for range 5 {
		if _, err := device.Signatures(t.Context(), "nobody"); !errors.Is(err, key.ErrMisconfigured) {
			t.Fatal(err)
		}
	}
	if got := connections(); got != 1 {
		t.Errorf("%d connections, want one", got)
	}
}

func BenchmarkSignOverKeepAlive(b *testing.B) {
	device := openDevice(b, softHSM(b), nil)
	for _, id := range []string{"ed", "rsa"} {
		k := openKey(b, device, id)
		b.Run(id, func(b *testing.B) {
			for b.Loop() {
				if _, err := k.Sign(context.Background(), digest); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
