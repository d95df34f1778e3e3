package nethsm_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/signer/key"
	"github.com/reprosign/reprosign/signer/nethsm"
	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

const somePin = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

func TestConfigurationsThatCannotBeMeantAreRefused(t *testing.T) {
	const urlPassphrase = "put-into-the-url"
	good := config(t, "https://192.0.2.1", somePin)
	for name, c := range map[string]struct {
		change func(*nethsm.Config)
		says   string
	}{
		"no trust":              {func(c *nethsm.Config) { c.Trust = nethsm.Trust{} }, "no trust"},
		"http with a pin":       {func(c *nethsm.Config) { c.URL = "http://192.0.2.1" }, `want "https"`},
		"https called insecure": {func(c *nethsm.Config) { c.Trust = config(t, "", "insecure-plain-http").Trust }, `want "http"`},
		"no URL":                {func(c *nethsm.Config) { c.URL = "" }, "URL"},
		"no scheme":             {func(c *nethsm.Config) { c.URL = "192.0.2.1" }, "URL"},
		"path":                  {func(c *nethsm.Config) { c.URL += "/api/v1" }, "URL"},
		"query":                 {func(c *nethsm.Config) { c.URL += "?x=1" }, "URL"},
		"password in the URL":   {func(c *nethsm.Config) { c.URL = "https://u:" + urlPassphrase + "@192.0.2.1" }, "URL"},
		"unparsable URL":        {func(c *nethsm.Config) { c.URL = "https://u:" + urlPassphrase + "@\x00" }, "URL"},
		"no user":               {func(c *nethsm.Config) { c.User = "" }, "user"},
		"colon in the user":     {func(c *nethsm.Config) { c.User = "a:b" }, "user"},
		"no passphrase":         {func(c *nethsm.Config) { c.Passphrase = nil }, "passphrase"},
		"negative workers":      {func(c *nethsm.Config) { c.Workers = -1 }, "workers"},
		"five workers":          {func(c *nethsm.Config) { c.Workers = nethsm.MaxWorkers + 1 }, "workers"},
		"short timeout":         {func(c *nethsm.Config) { c.RequestTimeout = nethsm.MinRequestTimeout - time.Nanosecond }, "timeout"},
	} {
		changed := good
		c.change(&changed)
		_, err := nethsm.Open(changed)
		if !errors.Is(err, key.ErrMisconfigured) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want ErrMisconfigured saying %q", name, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), urlPassphrase) {
			t.Errorf("%s: the error repeats the passphrase", name)
		}
	}
	if _, err := nethsm.Open(good); err != nil {
		t.Errorf("good configuration: %v", err)
	}
}

func TestAnotherCertificateThanThePinnedOneIsRefusedBeforeAnythingIsSent(t *testing.T) {
	s := softHSM(t)
	requests, _ := watch(s, nil)
	url, pin := nethsmtest.Start(t, s)
	for trust, says := range map[string]string{somePin: pin, "system": "pin the device's"} {
		device, err := nethsm.Open(config(t, url, trust))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := device.Open(t.Context(), "ed"); !errors.Is(err, key.ErrMisconfigured) || !strings.Contains(err.Error(), says) {
			t.Errorf("trust %s: got %v, want ErrMisconfigured saying %q", trust, err, says)
		}
	}
	if got := requests(); got != 0 {
		t.Errorf("%d requests reached the device", got)
	}
	device, err := nethsm.Open(config(t, url, somePin+",sha256:"+pin))
	if err != nil {
		t.Fatal(err)
	}
	openKey(t, device, "ed")
}

func TestTrustIsParsedStrictly(t *testing.T) {
	for _, text := range []string{"", "none", "System", "sha256:", "sha256:00", strings.ToUpper(somePin), somePin[7:], somePin + ",", somePin + ", " + somePin, " " + somePin, somePin + "00"} {
		if trust, err := nethsm.ParseTrust(text); !errors.Is(err, key.ErrMisconfigured) || trust.String() != "" {
			t.Errorf("ParseTrust(%q) = %q, %v, want ErrMisconfigured", text, trust, err)
		}
	}
}

func FuzzParseTrustIsIdentityOrRefused(f *testing.F) {
	for _, seed := range []string{"system", "insecure-plain-http", somePin, somePin + "," + somePin, ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var trust nethsm.Trust
		if err := trust.UnmarshalText([]byte(text)); err == nil && trust.String() != text {
			t.Fatalf("%q became %q", text, trust)
		}
	})
}

func TestPassphraseFilesAreReadEachTimeAndMustBePrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passphrase")
	source := nethsm.PassphraseFile(file)
	if _, err := source(); !errors.Is(err, key.ErrMisconfigured) {
		t.Errorf("absent file: got %v, want ErrMisconfigured", err)
	}
	for text, want := range map[string]string{"first passphrase": "first passphrase", "second passphrase\n": "second passphrase", " third\n\n": " third\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := source(); err != nil || got != want {
			t.Errorf("file %q: got %q, %v", text, got, err)
		}
	}
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o440: true, 0o620: false, 0o604: false, 0o644: false} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := source(); (err == nil) != ok {
			t.Errorf("mode %04o: got %v, want accepted = %v", mode, err, ok)
		}
	}
	if _, err := nethsm.PassphraseFile(t.TempDir())(); !errors.Is(err, key.ErrMisconfigured) {
		t.Errorf("directory: got %v, want ErrMisconfigured", err)
	}
}

func TestAPassphraseOfImpossibleLengthIsNotSent(t *testing.T) {
	s := softHSM(t)
	requests, _ := watch(s, nil)
	for _, text := range []string{"", "123456789", strings.Repeat("x", 201)} {
		device := openDevice(t, s, func(c *nethsm.Config) {
			c.Passphrase = func() (string, error) { return text, nil }
		})
		if _, err := device.Open(t.Context(), "ed"); !errors.Is(err, key.ErrMisconfigured) {
			t.Errorf("%d bytes: got %v, want ErrMisconfigured", len(text), err)
		}
	}
	if got := requests(); got != 0 {
		t.Errorf("%d requests reached the device", got)
	}
}
