package deploy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/box/boxtest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
)

// certify writes a certificate for 127.0.0.1 and its key.
func certify(t *testing.T, certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	if err := config.WriteKey(key, private); err != nil {
		t.Fatal(err)
	}
}

// natsPlace is a directory in the place of /etc/nats, with a policy's accounts
// and a certificate, and the seeds of some parties.
type natsPlace struct {
	dir     string
	parties map[bus.Identity]string // and where their seeds are
}

func newNATSPlace(t *testing.T) natsPlace {
	t.Helper()
	p := natsPlace{dir: t.TempDir(), parties: map[bus.Identity]string{}}
	enrol := func(role bus.Role, name string) string {
		seed, public, err := bus.GenerateNKey()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(p.dir, string(role)+"-"+name+".seed")
		if err := config.WriteSecretFile(file, seed); err != nil {
			t.Fatal(err)
		}
		p.parties[bus.Identity{Role: role, Name: name}] = file
		return public
	}
	world := evidencetest.New(t, evidencetest.Options{Change: func(p *policy.Policy) {
		p.Coordinators[0].NATS = enrol(bus.RoleCoordinator, p.Coordinators[0].Key.Name())
		p.Signers[0].NATS = enrol(bus.RoleSigner, p.Signers[0].Key.Name())
		p.Publishers[0].NATS = enrol(bus.RolePublisher, p.Publishers[0].Key.Name())
		p.Rebuilders[0].NATS = enrol(bus.RoleRebuilder, p.Rebuilders[0].Key.Name())
	}})
	accounts, err := bus.ServerConfig(&world.Policy, bus.ServerOptions{AccountsOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.dir, "accounts.conf"), accounts)
	certify(t, filepath.Join(p.dir, "server.pem"), filepath.Join(p.dir, "server.key"))
	certify(t, filepath.Join(p.dir, "cluster-ca.pem"), filepath.Join(p.dir, "cluster-ca.key"))
	return p
}

// local moves a configuration from /etc/nats and public ports to a place.
func (p natsPlace) local(text string) string {
	text = strings.NewReplacer("/etc/nats", p.dir, "/var/lib/nats", p.dir).Replace(text)
	return regexp.MustCompile(`"(0\.0\.0\.0|127\.0\.0\.1):\d+"`).ReplaceAllString(text, `"127.0.0.1:-1"`)
}

func TestNATSServesThePartiesOfAPolicyOverTLS(t *testing.T) {
	place := newNATSPlace(t)
	text := read(t, "nats/nats-server.conf")
	t.Chdir(place.dir) // a configuration that is a text includes from here
	server := boxtest.NATS(t, place.local(text))
	url := server.ClientURL()
	if !strings.HasPrefix(url, "tls://") {
		t.Fatalf("address is %s, want TLS", url)
	}
	for party, seed := range place.parties {
		conn, err := bus.Connect(t.Context(), bus.Config{
			URL: url, CAFile: filepath.Join(place.dir, "server.pem"), SeedFile: seed, Identity: party,
		})
		if err != nil {
			t.Errorf("%v: %v", party, err)
			continue
		}
		defer conn.Close()
		if party.Role != bus.RoleCoordinator {
			continue
		}
		if err := conn.EnsureStreams(t.Context(), bus.StreamOptions{Replicas: 1}); err != nil {
			t.Errorf("streams: %v", err)
		}
	}
}

func TestNATSAcceptsWhatIsCommentedOut(t *testing.T) {
	place := newNATSPlace(t)
	text := read(t, "nats/nats-server.conf")
	t.Chdir(place.dir)
	// Settings are indented by two or four spaces behind the sign, sentences by one.
	full := regexp.MustCompile(`(?m)^#((?:  ){0,2}[\w}])`).ReplaceAllString(text, "$1")
	if full == text {
		t.Fatal("nothing is commented out")
	}
	boxtest.NATS(t, place.local(full))
}

func TestNATSHasTheLimitsOfTheEmbeddedServer(t *testing.T) {
	world := evidencetest.New(t, evidencetest.Options{})
	embedded, err := bus.ServerConfig(&world.Policy, bus.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ours := read(t, "nats/nats-server.conf")
	for _, setting := range []string{"max_payload", "sync_interval"} {
		line := regexp.MustCompile(`(?m)^ *` + setting + `: *(\S+)$`)
		want, got := line.FindStringSubmatch(embedded), line.FindStringSubmatch(ours)
		if want == nil || got == nil || want[1] != got[1] {
			t.Errorf("%s: got %q, want %q", setting, got, want)
		}
	}
}
