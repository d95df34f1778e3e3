package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/program"
)

func TestAnchorSettingsAreCheckedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	der, err := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public())
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "rekor.pem")
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		settings anchorSettings
		refused  string // empty if they are taken
	}{
		{anchorSettings{}, ""},
		{anchorSettings{URL: "https://rekor.example.org:8443/log", Key: key}, ""},
		{anchorSettings{URL: "https://127.0.0.1", Key: key, Origin: "rekor.example.org", Tiles: "https://tiles.example.org"}, ""},
		{anchorSettings{URL: "https://rekor.example.org"}, "public key"},
		{anchorSettings{URL: "https://rekor.example.org", Key: filepath.Join(dir, "none")}, "none"},
		{anchorSettings{URL: "rekor.example.org", Key: key, Origin: "rekor.example.org"}, "https://host/path"},
		{anchorSettings{URL: "https://rekor.example.org", Key: key, Tiles: "somewhere"}, "https://host/path"},
		{anchorSettings{URL: "https://rekor.example.org", Key: key, Origin: "Rekor/1"}, "origin"},
	} {
		p, err := program.New(program.DefaultLog, "")
		if err != nil {
			t.Fatal(err)
		}
		run, err := test.settings.open((*store.Writer)(nil), p)
		switch {
		case test.refused != "":
			if err == nil || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("%+v: got %v, want an error about %q", test.settings, err, test.refused)
			}
		case err != nil || run == nil:
			t.Errorf("%+v: %v", test.settings, err)
		case test.settings.URL == "":
			if err := run(t.Context()); err != nil {
				t.Errorf("without a server: %v", err)
			}
		}
	}
}
