package openpgp_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest/openpgp"
)

// tool runs a program of the Debian package and returns its output.
func tool(t *testing.T, pkg, home, name string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: install the Debian package %s", name, pkg)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+home, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// gpgHome returns a key ring directory. Its path is short because gpg puts
// sockets into it; the agent that gpg may start ends with the test.
func gpgHome(t *testing.T) string {
	t.Helper()
	home, err := os.MkdirTemp("/tmp", "pgp") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kill := exec.Command("gpgconf", "--kill", "all") // t.Context is over by now
		kill.Env = append(os.Environ(), "GNUPGHOME="+home)
		if out, err := kill.CombinedOutput(); err != nil {
			t.Errorf("ending gpg-agent: %v\n%s", err, out)
		}
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	return home
}

func gpg(t *testing.T, home string, args ...string) (string, error) {
	t.Helper()
	return tool(t, "gpg", home, "gpg", append([]string{"--batch", "--no-tty", "--status-fd", "1", "--passphrase", ""}, args...)...)
}

func mustGPG(t *testing.T, home string, args ...string) string {
	t.Helper()
	out, err := gpg(t, home, args...)
	if err != nil {
		t.Fatalf("gpg %v: %v\n%s", args, err, out)
	}
	return out
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// acceptedByTools fails unless gpg, gpgv (as apt uses it) and sqv accept
// certificate and signature, binary and armored, and refuse one changed byte.
func acceptedByTools(t *testing.T, c *openpgp.Certificate, signature, data []byte) {
	t.Helper()
	home, dir := gpgHome(t), t.TempDir()
	binary := write(t, filepath.Join(dir, "cert.gpg"), c.Binary())
	armored := write(t, filepath.Join(dir, "cert.asc"), c.Armor())
	good := write(t, filepath.Join(dir, "good"), data)
	bad := write(t, filepath.Join(dir, "bad"), append([]byte{'!'}, data...))
	if out := mustGPG(t, home, "--import", armored); !strings.Contains(out, "IMPORT_OK 1 "+c.PrimaryFingerprint()) {
		t.Errorf("gpg imports with\n%s", out)
	}
	for name, form := range map[string][]byte{"sig": signature, "asc": openpgp.Armor(signature)} {
		sig := write(t, filepath.Join(dir, name), form)
		out := mustGPG(t, home, "--verify", sig, good)
		for _, line := range []string{"[GNUPG:] GOODSIG ", "[GNUPG:] VALIDSIG " + c.Fingerprint()} {
			if !strings.Contains(out, line) {
				t.Errorf("gpg --verify %s says no %q:\n%s", name, line, out)
			}
		}
		for _, n := range fixedOptions.Notations {
			if !strings.Contains(out, "[GNUPG:] NOTATION_NAME "+n.Name) {
				t.Errorf("gpg --verify %s shows no notation %s:\n%s", name, n.Name, out)
			}
		}
		if out, err := gpg(t, home, "--verify", sig, bad); err == nil || !strings.Contains(out, "BADSIG") {
			t.Errorf("gpg accepts a changed byte: %v\n%s", err, out)
		}
		if out, err := tool(t, "gpgv", home, "gpgv", "--keyring", binary, sig, good); err != nil {
			t.Errorf("gpgv: %v\n%s", err, out)
		}
		if out, err := tool(t, "gpgv", home, "gpgv", "--keyring", binary, sig, bad); err == nil {
			t.Errorf("gpgv accepts a changed byte:\n%s", out)
		}
		for _, keyring := range []string{binary, armored} {
			out, err := tool(t, "sqv", home, "sqv", "--keyring", keyring, sig, good)
			if err != nil || !strings.Contains(out, c.PrimaryFingerprint()) && !strings.Contains(out, c.Fingerprint()) {
				t.Errorf("sqv: %v\n%s", err, out)
			}
			if out, err := tool(t, "sqv", home, "sqv", "--keyring", keyring, sig, bad); err == nil {
				t.Errorf("sqv accepts a changed byte:\n%s", out)
			}
		}
	}
}

func TestToolsAcceptCertificateAndSignatures(t *testing.T) {
	for _, kind := range keyKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			key := kind.key(t)
			c := certify(t, key)
			acceptedByTools(t, c, sign(t, c, key, []byte("data")), []byte("data"))

			var big bytes.Buffer
			if _, err := big.ReadFrom(stream(5<<20 + 77)); err != nil {
				t.Fatal(err)
			}
			state, size, digest := stateOf(t, stream(5<<20+77))
			signature, err := openpgp.SignState(c, key, state, size, digest, fixedOptions)
			if err != nil {
				t.Fatal(err)
			}
			acceptedByTools(t, c, signature, big.Bytes())
		})
	}
}

func TestCertificatesMadeByGPG(t *testing.T) {
	home := gpgHome(t)
	export := func(args ...string) []byte {
		t.Helper()
		out := filepath.Join(t.TempDir(), "key")
		mustGPG(t, home, append([]string{"--output", out}, args...)...)
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	at := func(day string) string { return "--faked-system-time=202601" + day + "T000000" }
	mustGPG(t, home, at("01"), "--quick-generate-key", "one@example.org", "ed25519", "sign", "1y")
	mustGPG(t, home, at("01"), "--quick-generate-key", "two@example.org", "ed25519", "cert", "never")
	list := mustGPG(t, home, "--with-colons", "--list-keys", "two@example.org")
	_, rest, _ := strings.Cut(list, "\nfpr:::::::::")
	two, _, _ := strings.Cut(rest, ":")
	mustGPG(t, home, at("02"), "--quick-add-key", two, "rsa4096", "sign", "1y")
	mustGPG(t, home, at("03"), "--quick-set-expire", two, "2y", "*")
	mustGPG(t, home, at("01"), "--quick-generate-key", "mail@example.org", "default", "default", "1y")

	for _, id := range []string{"one@example.org", "two@example.org"} {
		for _, args := range [][]string{{}, {"--armor", "--comment", "hello"}, {"--export-options", "export-minimal"}} {
			c, err := openpgp.ParseCertificate(export(append(args, "--export", id)...))
			if err != nil {
				t.Errorf("%s %v: %v", id, args, err)
				continue
			}
			expires, ever := c.Expires()
			if want := map[string]string{"one@example.org": "2027-01-01", "two@example.org": "2028-01-03"}[id]; !ever || expires.Format("2006-01-02") != want {
				t.Errorf("%s %v: got expiry %v, want %s", id, args, expires, want)
			}
		}
	}
	if _, err := openpgp.ParseCertificate(export("--export", "mail@example.org")); err == nil {
		t.Error("certificate with an encryption subkey was accepted")
	}
	if _, err := openpgp.ParseCertificate(export("--export-secret-keys", "one@example.org")); err == nil || !strings.Contains(err.Error(), "secret key") {
		t.Errorf("secret key: got %v, want an error that names it", err)
	}
}
