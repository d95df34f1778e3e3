package config_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/config"
)

func TestPublicKeysAreReadAsOthersPublishThem(t *testing.T) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	good := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	want, err := attest.NewVerifierKey("log.example.org", private.Public())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	load := func(text []byte) (attest.VerifierKey, error) {
		path := filepath.Join(dir, "key.pem")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return config.LoadPublicKey(path, "log.example.org")
	}
	if got, err := load(good); err != nil || got.String() != want.String() {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	for name, text := range map[string][]byte{
		"nothing":         nil,
		"two keys":        append(append([]byte{}, good...), good...),
		"another block":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"no key":          pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der[1:]}),
		"no PEM":          der,
		"longer than any": make([]byte, 1<<20),
	} {
		if got, err := load(text); err == nil {
			t.Errorf("%s was read as %v", name, got)
		}
	}
	if _, err := config.LoadPublicKey(filepath.Join(dir, "none"), "log.example.org"); err == nil {
		t.Error("a file that is not there was read")
	}
}
