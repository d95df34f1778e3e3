package config_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/config"
)

type settings struct {
	Listen   string          `toml:"listen" help:"address"`
	Slots    int             `toml:"slots" help:"builds at one time"`
	Insecure bool            `toml:"insecure" help:"admit what must not be"`
	Backends []string        `toml:"backends" help:"allowed back-ends"`
	Patience config.Duration `toml:"patience" help:"longest wait"`
	NATS     struct {
		SeedFile string `toml:"seed_file" help:"file with the seed"`
	} `toml:"nats"`
	Database struct {
		DSN string `toml:"dsn" secret:"true" help:"connection string"`
	} `toml:"database"`
	Commands []struct {
		Path string `toml:"path"`
	} `toml:"commands"`
}

func defaults() settings {
	return settings{Listen: "127.0.0.1:1", Slots: 1, Patience: config.Duration(time.Minute)}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	f := pflag.NewFlagSet("test", pflag.ContinueOnError)
	if err := config.Flags(f, defaults()); err != nil {
		t.Fatal(err)
	}
	f.String("config", "", "not a setting")
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	t.Parallel()
	file := write(t, `
listen = "file"
slots = 2
backends = ["golang"]
[nats]
seed_file = "file"
[database]
dsn = "host=/run user=x password=hunter2"
[[commands]]
path = "/bin/true"
`)
	got, err := config.Load(config.Source{
		File:    file,
		Environ: []string{"HOME=/root", "REPROSIGN_SLOTS=3", "REPROSIGN_NATS_SEED_FILE=env", "REPROSIGN_PATIENCE=90s", "REPROSIGN_BACKENDS=debian, golang"},
		Flags:   flags(t, "--nats-seed-file=flag", "--insecure", "--config=x"),
	}, defaults())
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Listen, want.Slots, want.Insecure, want.Patience = "file", 3, true, config.Duration(90*time.Second)
	want.Backends, want.NATS.SeedFile = []string{"debian", "golang"}, "flag"
	want.Database.DSN = "host=/run user=x password=hunter2"
	want.Commands = []struct {
		Path string `toml:"path"`
	}{{"/bin/true"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestWhatNamesNoSettingIsAnErrorWithItsPlace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, file string
		environ    []string
		want       string
	}{
		{"misspelt", "listen = \"x\"\n\nsluts = 3\n", nil, ":3: no such setting: sluts"},
		{"misspelt below", "[nats]\nseed = \"x\"\n", nil, ":2: no such setting: nats.seed"},
		{"misspelt in a list", "[[commands]]\npath = \"x\"\nhash = \"x\"\n", nil, ":3: no such setting: commands.hash"},
		{"wrong type", "listen = \"x\"\nslots = \"many\"\n", nil, ":2:"},
		{"twice", "slots = 1\nslots = 2\n", nil, ":2:"},
		{"no TOML", "slots: 1\n", nil, ":1:"},
		{"no duration", "patience = \"soon\"\n", nil, "soon"},
		{"environment", "", []string{"REPROSIGN_SLUTS=3"}, "REPROSIGN_SLUTS: no such setting"},
		{"environment type", "", []string{"REPROSIGN_SLOTS=many"}, "whole number"},
		{"environment bool", "", []string{"REPROSIGN_INSECURE=perhaps"}, "neither true nor false"},
		{"environment secret", "", []string{"REPROSIGN_DATABASE_DSN=password=hunter2"}, "configuration file alone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(config.Source{File: write(t, test.file), Environ: test.environ}, defaults())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q in it", err, test.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("secret in the error: %v", err)
			}
		})
	}
}

func TestBrokenLineWithASecretIsNotQuoted(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.Source{File: write(t, "[database]\ndsn = \"password=hunter2\" oops\n")}, defaults())
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestNamedFileMustExist(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/nonexistent/file.toml", t.TempDir()} {
		if _, err := config.Load(config.Source{File: path}, defaults()); err == nil {
			t.Errorf("%s was read", path)
		}
	}
}

func TestSecretsHaveNoFlagAndAreMasked(t *testing.T) {
	t.Parallel()
	if flags(t).Lookup("database-dsn") != nil {
		t.Error("a secret has a flag")
	}
	cfg := defaults()
	cfg.Database.DSN = "password=hunter2"
	text, err := config.Effective(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "hunter2") || !strings.Contains(text, "not shown") || !strings.Contains(text, "patience = '1m0s'") {
		t.Errorf("got\n%s", text)
	}
	if cfg.Database.DSN != "password=hunter2" {
		t.Error("masking changed the settings in force")
	}
}

func TestKeysSurviveTheirFiles(t *testing.T) {
	t.Parallel()
	for _, alg := range []attest.Algorithm{attest.Ed25519, attest.ECDSAP256} {
		key, err := config.GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "key.pem")
		if err := config.WriteKey(path, key); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("key file: got %v, %v, want mode 0600", info.Mode(), err)
		}
		loaded, err := config.LoadKey(path, "gamma")
		if err != nil {
			t.Fatal(err)
		}
		want, err := attest.NewVerifierKey("gamma", key.Public())
		if err != nil {
			t.Fatal(err)
		}
		if loaded.VerifierKey.String() != want.String() {
			t.Errorf("%v: got %v, want %v", alg, loaded.VerifierKey, want)
		}
		if err := config.WriteKey(path, key); !errors.Is(err, os.ErrExist) && (err == nil || !strings.Contains(err.Error(), "not replaced")) {
			t.Errorf("writing over a key: got %v", err)
		}
	}
}

func TestUnusableKeyFilesAreRefusedWithoutQuotingThem(t *testing.T) {
	t.Parallel()
	der := func(key any) []byte {
		data, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	good, err := config.GenerateKey(attest.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, data []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
	}
	whole := block("PRIVATE KEY", der(good))
	for name, text := range map[string]string{
		"empty":        "",
		"no PEM":       "hunter2hunter2",
		"other type":   block("EC PRIVATE KEY", der(good)),
		"two keys":     whole + whole,
		"broken":       block("PRIVATE KEY", []byte("hunter2hunter2")),
		"other curve":  block("PRIVATE KEY", der(p384)),
		"RSA":          block("PRIVATE KEY", der(large)),
		"encrypted":    block("ENCRYPTED PRIVATE KEY", der(good)),
		"with headers": strings.Replace(whole, "KEY-----\n", "KEY-----\nProc-Type: 4\n\n", 1),
	} {
		_, err := config.LoadKey(write(t, text), "gamma")
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: content in the error: %v", name, err)
		}
	}
}

func TestSecretThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o666, 0o601} {
		path := write(t, "hunter2")
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := config.ReadSecretFile(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %04o: got %v", mode, err)
		}
	}
	path := write(t, "hunter2")
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if got, err := config.ReadSecretFile(path); err != nil || string(got) != "hunter2" {
		t.Errorf("mode 0400: got %v", err)
	}
}

func TestOneLineBreakIsNotPartOfASecret(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"a\n": "a", "a\r\n": "a", "a": "a", "a\n\n": "a\n", " a \n": " a "} {
		if got, err := config.ReadSecretFile(write(t, text)); err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "\n", strings.Repeat("a", config.MaxSecret+1)} {
		if _, err := config.ReadSecretFile(write(t, text)); err == nil {
			t.Errorf("%d bytes were accepted", len(text))
		}
	}
	if got, err := config.ReadSecretFile(write(t, strings.Repeat("a", config.MaxSecret))); err != nil || !bytes.Equal(got, bytes.Repeat([]byte("a"), config.MaxSecret)) {
		t.Errorf("longest secret: %v", err)
	}
	if _, err := config.ReadSecretFile(t.TempDir()); err == nil {
		t.Error("a directory was read")
	}
}

func TestCredentialsComeFromSystemd(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nats"), []byte("seed\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if got, err := config.ReadSecretFile("credential:nats"); err != nil || string(got) != "seed" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, path := range []string{"credential:", "credential:.", "credential:..", "credential:../nats", "credential:a/b", "credential:other"} {
		if _, err := config.ReadSecretFile(path); err == nil {
			t.Errorf("%s was read", path)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if _, err := config.ReadSecretFile("credential:nats"); err == nil || !strings.Contains(err.Error(), "LoadCredential=nats") {
		t.Errorf("without systemd: got %v", err)
	}
}
