package softkey_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/signer/key"
	"github.com/reprosign/reprosign/signer/key/keytest"
	"github.com/reprosign/reprosign/signer/softkey"
)

func TestSoftKeysConform(t *testing.T) {
	keytest.Run(t, func(t *testing.T) keytest.Subject {
		directory := t.TempDir()
		write(t, directory, "ed.pem", ed25519PEM(t), 0o600)
		write(t, directory, "rsa.pem", keytest.RSA4096PEM, 0o600)
		device, err := softkey.Open(softkey.Config{Directory: directory, Insecure: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { device.Close() })
		return keytest.Subject{Device: device, Ed25519: "ed", RSA: "rsa", Missing: "missing"}
	})
}

func TestOpeningNeedsTheWordInsecure(t *testing.T) {
	_, err := softkey.Open(softkey.Config{Directory: t.TempDir()})
	if !errors.Is(err, key.ErrMisconfigured) || !strings.Contains(err.Error(), "insecure") {
		t.Errorf("got %v, want ErrMisconfigured naming insecure", err)
	}
}

func TestUnsafeAndMalformedKeyFilesAreRefused(t *testing.T) {
	good := ed25519PEM(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		data []byte
		mode os.FileMode
		says string
	}{
		{"group can read", good, 0o640, "chmod 0600"},
		{"others can read", good, 0o604, "chmod 0600"},
		{"executable", good, 0o700, "chmod 0600"},
		{"empty", nil, 0o600, "PEM"},
		{"text before", append([]byte("x\n"), good...), 0o600, "PEM"},
		{"text after", append(bytes.Clone(good), "x\n"...), 0o600, "PEM"},
		{"two keys", append(bytes.Clone(good), good...), 0o600, "PEM"},
		{"another type", bytes.ReplaceAll(good, []byte("PRIVATE KEY"), []byte("RSA PRIVATE KEY")), 0o600, "PEM"},
		{"not PKCS#8", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), 0o600, "PKCS#8"},
		{"ECDSA", pkcs8(t, curve), 0o600, "Ed25519 or RSA"},
		{"too large", append(bytes.Clone(good), bytes.Repeat([]byte("\n"), 20_000)...), 0o600, "too large"},
	}
	secret := strings.Split(string(good), "\n")[1]
	for _, c := range cases {
		directory := t.TempDir()
		write(t, directory, "k.pem", c.data, c.mode)
		err := openKey(t, directory)
		if !errors.Is(err, key.ErrMisconfigured) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want ErrMisconfigured saying %q", c.name, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error repeats the key", c.name)
		}
	}
}

func TestAKeyOutsideTheDirectoryIsNotReachedThroughALink(t *testing.T) {
	outside, directory := t.TempDir(), t.TempDir()
	write(t, outside, "k.pem", ed25519PEM(t), 0o600)
	if err := os.Symlink(filepath.Join(outside, "k.pem"), filepath.Join(directory, "k.pem")); err != nil {
		t.Fatal(err)
	}
	if err := openKey(t, directory); !errors.Is(err, key.ErrMisconfigured) {
		t.Errorf("got %v, want ErrMisconfigured", err)
	}
}

func openKey(t *testing.T, directory string) error {
	t.Helper()
	device, err := softkey.Open(softkey.Config{Directory: directory, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	_, err = device.Open(t.Context(), "k")
	return err
}

func ed25519PEM(t *testing.T) []byte {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	encoded := pkcs8(t, private)
	if !strings.Contains(string(encoded), base64.StdEncoding.EncodeToString([]byte{7, 7, 7})) {
		t.Fatal("the encoded key does not hold its seed")
	}
	return encoded
}

func pkcs8(t *testing.T, private any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func write(t *testing.T, directory, name string, data []byte, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(directory, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // past the umask
		t.Fatal(err)
	}
}
