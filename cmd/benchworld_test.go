//go:build bench

package cmd_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/signer/key"
	"github.com/reprosign/reprosign/signer/nethsm"
	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

// benchWorld is the policy of the measurements, with every party's seed in dir.
func benchWorld(t *testing.T, dir string, certificate *openpgp.Certificate) *evidencetest.World {
	t.Helper()
	enrol := func(role bus.Role, name string) string {
		seed, public, err := bus.GenerateNKey()
		if err != nil {
			t.Fatal(err)
		}
		if err := config.WriteSecretFile(filepath.Join(dir, string(role)+"-"+name+".seed"), append(seed, '\n')); err != nil {
			t.Fatal(err)
		}
		return public
	}
	now := attest.At(time.Now())
	return evidencetest.New(t, evidencetest.Options{Rebuilders: benchRebuilders, Threshold: benchThreshold, Change: func(p *policy.Policy) {
		p.Issued, p.Expires = now-3600, now+30*24*3600
		p.Suites[0].Certificates[0].Fingerprint = certificate.Fingerprint()
		p.Publishers[0].Quota = policy.MaxQuota
		p.Suites[0].Settle = p.Suites[0].Deadline / 2 // every rebuilder is waited for: the last vote decides
		p.Coordinators[0].NATS = enrol(bus.RoleCoordinator, p.Coordinators[0].Key.Name())
		p.Signers[0].NATS = enrol(bus.RoleSigner, p.Signers[0].Key.Name())
		p.Publishers[0].NATS = enrol(bus.RolePublisher, p.Publishers[0].Key.Name())
		for i := range p.Rebuilders {
			r := &p.Rebuilders[i]
			r.ValidFrom, r.ValidUntil = now-3600, now+30*24*3600
			r.NATS = enrol(bus.RoleRebuilder, r.Key.Name())
		}
	}})
}

// benchCertificate certifies the key that the soft HSM of the measurements holds.
func benchCertificate(t *testing.T, dir string) *openpgp.Certificate {
	t.Helper()
	now := attest.At(time.Now())
	certificate, err := openpgp.Certify(openpgp.NewCertificate{
		UserID: "stable <stable@example.org>", Created: (now - 3600).Time(), Lifetime: 1000 * time.Hour,
	}, evidencetest.Ed25519("openpgp "+evidencetest.Suite))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "certificate.pgp"), certificate.Binary(), 0o600); err != nil {
		t.Fatal(err)
	}
	return certificate
}

const (
	benchOperator   = "operator"
	benchKey        = "stable"
	benchPassphrase = "a passphrase of the soft HSM"
)

// benchHSM serves a soft HSM with one key over TLS.
func benchHSM(ctx context.Context, t *testing.T, dir string) {
	device, err := nethsmtest.Provisioned(nethsmtest.Setup{
		Users: []nethsmtest.User{{ID: benchOperator, Role: "Operator", Passphrase: benchPassphrase}},
		Keys:  []nethsmtest.Key{{ID: benchKey, Private: evidencetest.Ed25519("openpgp " + evidencetest.Suite)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	url, pin := nethsmtest.Start(t, device)
	benchReady(t, dir, "hsm", url+"\n"+pin)
	<-ctx.Done()
}

// benchDevice opens the key in the soft HSM as the signer's command does.
func benchDevice(ctx context.Context, t *testing.T, dir string) (key.Key, *openpgp.Certificate) {
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	url, pin, _ := strings.Cut(read("hsm.ready"), "\n")
	trust, err := nethsm.ParseTrust("sha256:" + pin)
	if err != nil {
		t.Fatal(err)
	}
	device, err := nethsm.Open(nethsm.Config{
		URL: url, Trust: trust, User: benchOperator, Workers: 2,
		Passphrase: func() (string, error) { return benchPassphrase, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = device.Close() })
	k, err := device.Open(ctx, benchKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := openpgp.ParseCertificate([]byte(read("certificate.pgp")))
	if err != nil {
		t.Fatal(err)
	}
	return k, certificate
}
