package nethsmtest_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

func load(t *testing.T, file string) *nethsmtest.Server {
	t.Helper()
	s, err := nethsmtest.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAReloadedDeviceIsTheSameDevice(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	first := load(t, file)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a device nobody used wrote its state: %v", err)
	}
	ask{method: "POST", path: "provision", body: `{"unlockPassphrase":"unlock passphrase","adminPassphrase":"soft hsm passphrase","systemTime":"2026-01-02T03:04:05Z"}`}.want(t, first, 204, "-")
	ask{method: "PUT", path: "users/operator", user: "admin", body: newOperator}.want(t, first, 201, "-")
	for _, body := range []string{
		`{"type":"Curve25519","mechanisms":["EdDSA_Signature"],"id":"ed"}`,
		`{"type":"EC_P256","mechanisms":["ECDSA_Signature"],"id":"p256"}`,
		`{"type":"Generic","mechanisms":["AES_Encryption_CBC"],"length":128,"id":"aes"}`,
	} {
		ask{method: "POST", path: "keys/generate", user: "admin", body: body}.want(t, first, 201, "")
	}
	certificate := ask{path: "keys/ed/cert", user: "admin", header: map[string]string{"Content-Type": "application/octet-stream"}}
	certificate.method = "PUT"
	certificate.want(t, first, 201, "-") // an empty one, which is not none
	identity, err := first.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	signature := sign(t, first, "ed", "EdDSA", []byte("x"))

	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("state file: mode %v, error %v, want 0600", info.Mode(), err)
	}
	second := load(t, file)
	if diff := cmp.Diff(signature, sign(t, second, "ed", "EdDSA", []byte("x"))); diff != "" {
		t.Errorf("another key: %s", diff)
	}
	if diff := cmp.Diff(map[string]uint64{"ed": 2, "p256": 0, "aes": 0}, second.Signatures()); diff != "" {
		t.Errorf("counts: %s", diff)
	}
	reloaded, err := second.Certificate()
	if err != nil || nethsmtest.Pin(reloaded) != nethsmtest.Pin(identity) {
		t.Errorf("another TLS certificate, error %v", err)
	}
	certificate.method = "GET"
	certificate.want(t, second, 200, "-")
	certificate.path = "keys/p256/cert"
	certificate.want(t, second, 404, "-")

	ask{method: "POST", path: "lock", user: "admin"}.want(t, second, 204, "-")
	third := load(t, file)
	ask{method: "GET", path: "health/ready"}.want(t, third, 412, "-")
	ask{method: "POST", path: "unlock", body: `{"passphrase":"unlock passphrase"}`}.want(t, third, 204, "-")
}

func TestADamagedStateFileIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":       "x",
		"unknown field": `{"x":1}`,
		"no key":        `{"keys":{"":{"a":{"type":"RSA","secret":"AAAA"}}}}`,
	} {
		file := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := nethsmtest.Load(file); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAStateThatCannotBeSavedIsAnswered503(t *testing.T) {
	s := load(t, filepath.Join(t.TempDir(), "absent", "state"))
	ask{method: "POST", path: "provision", body: `{"unlockPassphrase":"unlock passphrase","adminPassphrase":"soft hsm passphrase","systemTime":"2026-01-02T03:04:05Z"}`}.want(t, s, 503, "")
}
