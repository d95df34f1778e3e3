//go:build long || bench

package cmd_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
)

const rekorOrigin = "rekor.example.org"

// rekor is a real Rekor v2 server with its log in a directory, which survives it.
type rekor struct {
	dir     string
	program string
	key     attest.VerifierKey
	url     string // of the server
	tiles   string // of its log, which the POSIX server leaves to others to serve
	cmd     *exec.Cmd
}

// rekorOptions are the flags that make the server fast or faithful.
type rekorOptions []string

// newRekor starts the server that go.peers.mod pins.
func newRekor(t *testing.T, o rekorOptions) *rekor {
	t.Helper()
	path, err := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../go.peers.mod", "-n", "posix").Output()
	if err != nil {
		t.Fatalf("building the Rekor server: %v; .ci/setup bench fetches what it needs", err)
	}
	r := &rekor{dir: t.TempDir(), program: strings.TrimSpace(string(path))}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.key, err = attest.NewVerifierKey(rekorOrigin, public); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.path("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	files := httptest.NewServer(http.FileServer(http.Dir(r.path("log"))))
	t.Cleanup(files.Close)
	r.tiles = files.URL
	address := freePort(t)
	r.url = "http://" + address
	r.start(t, address, o)
	t.Cleanup(r.stop)
	return r
}

func (r *rekor) path(name string) string { return filepath.Join(r.dir, name) }

// start starts the server and waits until it serves.
func (r *rekor) start(t *testing.T, address string, o rekorOptions) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	_, grpc, err := net.SplitHostPort(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	_, metrics, err := net.SplitHostPort(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(r.path("server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.cmd = exec.Command(r.program, append([]string{
		"serve", "--http-address", host, "--http-port", port, "--grpc-address", host, "--grpc-port", grpc,
		"--http-metrics-port", metrics, "--hostname", rekorOrigin, "--storage-dir", r.path("log"), "--signer-filepath", r.path("key.pem"),
	}, o...)...)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if r.serves(t.Context()) {
			return
		}
		<-time.After(30 * time.Millisecond)
	}
	text, err := os.ReadFile(r.path("server.log"))
	t.Fatalf("the Rekor server does not serve: %v\n%s", err, text)
}

func (r *rekor) serves(ctx context.Context) bool {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/healthz", nil)
	if err != nil {
		return false
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := client.Do(q)
	if err != nil {
		return false
	}
	defer a.Body.Close()
	return a.StatusCode == http.StatusOK
}

// kill ends the server as a power cut does.
func (r *rekor) kill(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	_ = r.cmd.Wait()
	r.cmd = nil
}

func (r *rekor) stop() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	_ = r.cmd.Wait()
}

// freePort returns a loopback address that nobody listens on right now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
