package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/reprosign/reprosign/signer/key"
	"github.com/reprosign/reprosign/signer/nethsm"
)

const passphrase = "a passphrase for tests"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"reprosign-softhsm": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: true})
}

// process is a running reprosign-softhsm.
type process struct {
	command    *exec.Cmd
	stdout     *bufio.Reader
	stderr     bytes.Buffer
	url, trust string
}

// start runs the program as its own process and waits for its address.
func start(t *testing.T, arguments ...string) *process {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{command: exec.CommandContext(t.Context(), executable)}
	p.command.Args = append([]string{"reprosign-softhsm", "--listen", "127.0.0.1:0"}, arguments...)
	p.command.Stderr = &p.stderr
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(stdout)
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		t.Fatalf("reading the address: %v: %s", err, &p.stderr)
	}
	match := regexp.MustCompile(`^listening (https?://127\.0\.0\.1:[1-9][0-9]*) (sha256:[0-9a-f]{64}|insecure-plain-http)\n$`).FindStringSubmatch(line)
	if match == nil {
		t.Fatalf("the first line is %q", line)
	}
	p.url, p.trust = match[1], match[2]
	return p
}

// stop sends a signal and returns the exit code, -1 for a killed process.
func (p *process) stop(t *testing.T, signal os.Signal) int {
	t.Helper()
	if err := p.command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(p.stdout); err != nil || len(rest) != 0 {
		t.Errorf("more on standard output: %q, %v", rest, err)
	}
	var exit *exec.ExitError
	if err := p.command.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.command.ProcessState.ExitCode()
}

func (p *process) config(t *testing.T, user string) nethsm.Config {
	t.Helper()
	trust, err := nethsm.ParseTrust(p.trust)
	if err != nil {
		t.Fatal(err)
	}
	return nethsm.Config{URL: p.url, Trust: trust, User: user, Passphrase: func() (string, error) { return passphrase, nil }}
}

func (p *process) admin(t *testing.T) *nethsm.Admin {
	t.Helper()
	admin, err := nethsm.OpenAdmin(p.config(t, "admin"))
	if err != nil {
		t.Fatal(err)
	}
	return admin
}

func (p *process) sign(t *testing.T) (signature []byte, count uint64) {
	t.Helper()
	device, err := nethsm.Open(p.config(t, "operator"))
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	k, err := device.Open(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if signature, err = k.Sign(t.Context(), make([]byte, key.DigestSize)); err != nil {
		t.Fatal(err)
	}
	if count, err = device.Signatures(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	return signature, count
}

func TestADeviceBeginsUnprovisionedAndEndsOnASignal(t *testing.T) {
	for name, arguments := range map[string][]string{"TLS": nil, "plain": {"--plain"}} {
		for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
			t.Run(name+" "+signal.String(), func(t *testing.T) {
				p := start(t, arguments...)
				if state, err := p.admin(t).State(t.Context()); err != nil || state != "Unprovisioned" {
					t.Errorf("state is %q, %v", state, err)
				}
				if code := p.stop(t, signal); code != 0 {
					t.Errorf("exit code %d, want 0: %s", code, &p.stderr)
				}
				if text := p.stderr.String(); !strings.Contains(text, "protects nothing") || !strings.Contains(text, p.url+" ("+p.trust+")") {
					t.Errorf("standard error is %q, want a warning with the address", text)
				}
			})
		}
	}
}

func TestAKilledDeviceContinuesFromItsStateFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	first := start(t, "--state", file)
	admin := first.admin(t)
	for _, err := range []error{
		admin.Provision(t.Context(), passphrase, passphrase, time.Now()),
		admin.AddUser(t.Context(), "operator", "operator", nethsm.Operator, passphrase),
		admin.GenerateKey(t.Context(), nethsm.KeySpec{ID: "k", Type: nethsm.Curve25519}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	before, _ := first.sign(t)
	if code := first.stop(t, os.Kill); code != -1 {
		t.Fatalf("exit code %d of a killed process", code)
	}
	if !strings.Contains(first.stderr.String(), file+" holds its private keys unencrypted") {
		t.Errorf("standard error is %q, want a warning about the state file", &first.stderr)
	}

	second := start(t, "--state", file)
	if second.trust != first.trust {
		t.Errorf("the pin went from %s to %s", first.trust, second.trust)
	}
	after, count := second.sign(t)
	if !bytes.Equal(before, after) || count != 2 {
		t.Errorf("another key, or count %d, want 2", count)
	}
	second.stop(t, syscall.SIGTERM)
}

func TestANewDeviceHasANewCertificate(t *testing.T) {
	first, second := start(t), start(t)
	if first.trust == second.trust {
		t.Error("two devices share a certificate")
	}
	client := http.Client{Transport: &http.Transport{}}
	if response, err := client.Get(first.url + "/api/v1/info"); err == nil {
		response.Body.Close()
		t.Error("the certificate verifies without a pin")
	}
	first.stop(t, syscall.SIGTERM)
	second.stop(t, syscall.SIGTERM)
}
