package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

const operatorPassphrase = "a passphrase for tests"

// hsm starts a soft HSM with one key and returns it with the settings of a
// signer before it, whose passphrase is a systemd credential.
func hsm(t *testing.T) (device *nethsmtest.Server, settings string) {
	t.Helper()
	device, err := nethsmtest.Provisioned(nethsmtest.Setup{
		Namespaces: []string{"stable"},
		Users:      []nethsmtest.User{{ID: "stable~signer", Role: "Operator", Passphrase: operatorPassphrase, Tags: []string{"releases"}}},
		Keys:       []nethsmtest.Key{{Namespace: "stable", ID: "artifacts", Tags: []string{"releases"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	url, pin := nethsmtest.Start(t, device)
	credentials := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	write(t, filepath.Join(credentials, "passphrase"), operatorPassphrase+"\n")
	settings = filepath.Join(t.TempDir(), "signer.toml")
	write(t, settings, fmt.Sprintf("[nethsm]\nurl = %q\ntrust = \"sha256:%s\"\nuser = \"stable~signer\"\npassphrase = \"credential:passphrase\"\n",
		url, strings.TrimPrefix(pin, "sha256:")))
	return device, settings
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// command runs the program in this process.
func command(t *testing.T, arguments ...string) (stdout string, err error) {
	t.Helper()
	var out, rest bytes.Buffer
	cmd := newCommand(nil)
	cmd.SetArgs(arguments)
	cmd.SetOut(&out)
	cmd.SetErr(&rest)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func signatures(device *nethsmtest.Server) (n uint64) {
	for count := range maps.Values(device.Signatures()) {
		n += count
	}
	return n
}

func TestTheDeviceCertifiesItsKeyWithOneSignature(t *testing.T) {
	device, settings := hsm(t)
	out := filepath.Join(t.TempDir(), "stable.asc")
	before := time.Now().Truncate(time.Second)
	fingerprint, err := command(t, "certify", "--config", settings, "--key", "artifacts",
		"--user-id", "Example stable <stable@example.org>", "--lifetime", "90d", "--out", out)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	c, err := openpgp.ParseCertificate(data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if fingerprint != c.Fingerprint()+"\n" {
		t.Errorf("standard output: got %q, want the fingerprint %s", fingerprint, c.Fingerprint())
	}
	if want := []string{"Example stable <stable@example.org>"}; !slices.Equal(c.UserIDs(), want) {
		t.Errorf("user ids: got %q, want %q", c.UserIDs(), want)
	}
	if c.KeyCreated().Before(before) || c.KeyCreated().After(time.Now()) {
		t.Errorf("created: got %v, want now", c.KeyCreated())
	}
	if expires, _ := c.Expires(); !expires.Equal(c.KeyCreated().Add(90 * day)) {
		t.Errorf("expires: got %v, want 90 days after %v", expires, c.KeyCreated())
	}
	if n := signatures(device); n != 1 {
		t.Errorf("the device signed %d times, want once", n)
	}
}

func TestACertificateIsNeverReplacedNorTheDeviceAskedForOne(t *testing.T) {
	device, settings := hsm(t)
	out := filepath.Join(t.TempDir(), "stable.asc")
	write(t, out, "the only copy")
	_, err := command(t, "certify", "--config", settings, "--key", "artifacts", "--user-id", "Example", "--out", out)
	if err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("got error %v", err)
	}
	if data, err := os.ReadFile(out); err != nil || string(data) != "the only copy" {
		t.Errorf("the file is now %q, %v", data, err)
	}
	if n := signatures(device); n != 0 {
		t.Errorf("the device signed %d times, want never", n)
	}
}

func TestAFailedCertificationLeavesNoFile(t *testing.T) {
	_, settings := hsm(t)
	for name, change := range map[string][]string{
		"no such key":             {"--key", "other"},
		"user id of two lines":    {"--user-id", "Example\nstable"},
		"lifetime without a unit": {"--lifetime", "2"},
		"lifetime of nothing":     {"--lifetime", "0d"},
		"lifetime of ages":        {"--lifetime", "51y"},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "stable.asc")
			arguments := []string{"certify", "--config", settings, "--key", "artifacts", "--user-id", "Example", "--out", out}
			if _, err := command(t, append(arguments, change...)...); err == nil {
				t.Error("got no error")
			}
			if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("file: got %v, want none", err)
			}
		})
	}
}
