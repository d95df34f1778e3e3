package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/signer/nethsm"
)

// What the ceremony sets up inside the device.
const (
	hsmNamespace = "demo"
	hsmAdmin     = hsmNamespace + "~admin"
	hsmOperator  = hsmNamespace + "~signer"
	// hsmTag is shared by the operator and its keys: another operator of the
	// namespace could not use them.
	hsmTag = "releases"

	passphraseFile  = "hsm.passphrase"
	ceremonyFile    = "ceremony.toml"
	certificateLife = "7d"
)

// hsm is the device of the demo, set up: as reachable by its operator.
type hsm struct {
	url, trust string
	operator   *nethsm.Device
	// ceremony is how many signatures the ceremony itself had it make.
	ceremony uint64
}

// startHSM starts the device and reads from its first line where it is and how to know it.
func (d *demo) startHSM(ctx context.Context) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	p, err := d.supervisor.start(hsmName, "reprosign-softhsm", w, "--listen", "127.0.0.1:0")
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		<-p.exited
		return p.died()
	}
	words := strings.Fields(line)
	if len(words) != 3 || words[0] != "listening" {
		return fmt.Errorf("%s printed %q instead of its address", hsmName, strings.TrimSpace(line))
	}
	d.hsm = hsm{url: words[1], trust: words[2]}
	return ctx.Err()
}

// holdCeremony makes the device operational, has it generate one key per suite and
// certify itself, and leaves the signer an operator that can use just these keys.
func (d *demo) holdCeremony(ctx context.Context) error {
	trust, err := nethsm.ParseTrust(d.hsm.trust)
	if err != nil {
		return err
	}
	as := func(user, passphrase string) (*nethsm.Admin, error) {
		return nethsm.OpenAdmin(nethsm.Config{
			URL: d.hsm.url, Trust: trust, User: user, Passphrase: func() (string, error) { return passphrase, nil },
		})
	}
	root, inner, operator := rand.Text(), rand.Text(), rand.Text()
	if _, err := d.place.directory(privateDir, signerName); err != nil {
		return err
	}
	if err := config.WriteSecretFile(d.place.party(signerName, passphraseFile), []byte(operator)); err != nil {
		return err
	}

	outside, err := as("admin", root)
	if err != nil {
		return err
	}
	defer outside.Close()
	inside, err := as(hsmAdmin, inner)
	if err != nil {
		return err
	}
	defer inside.Close()
	for _, step := range []func() error{
		func() error { return outside.Provision(ctx, rand.Text(), root, time.Now()) },
		func() error {
			return outside.AddUser(ctx, hsmAdmin, "namespace administrator", nethsm.Administrator, inner)
		},
		func() error { return outside.AddNamespace(ctx, hsmNamespace) },
		func() error {
			return inside.AddUser(ctx, hsmOperator, "reprosign-signer", nethsm.Operator, operator)
		},
		func() error { return inside.AddUserTag(ctx, hsmOperator, hsmTag) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("setting the HSM up: %w", err)
		}
	}
	d.hsm.operator, err = nethsm.Open(nethsm.Config{
		URL: d.hsm.url, Trust: trust, User: hsmOperator, Passphrase: nethsm.PassphraseFile(d.place.party(signerName, passphraseFile)),
	})
	if err != nil {
		return err
	}
	if _, err := d.configure(signerName, ceremonyFile, section{"nethsm": d.hsmSettings()}); err != nil {
		return err
	}
	d.certificates = map[string]*openpgp.Certificate{}
	for _, r := range d.releases {
		if err := d.certify(ctx, inside, r.suite); err != nil {
			return fmt.Errorf("making the key of suite %s: %w", r.suite, err)
		}
	}
	return d.publishCertificates()
}

// hsmSettings are how the signer reaches the device.
func (d *demo) hsmSettings() section {
	return section{
		"url": d.hsm.url, "trust": d.hsm.trust, "user": hsmOperator, "passphrase": d.place.party(signerName, passphraseFile),
	}
}

// certify generates a suite's key in the device and has it sign its own certificate.
func (d *demo) certify(ctx context.Context, inside *nethsm.Admin, suite string) error {
	err := inside.GenerateKey(ctx, nethsm.KeySpec{ID: suite, Type: nethsm.Curve25519, Tags: []string{hsmTag}})
	if err != nil {
		return err
	}
	file := d.certificatePath(suite)
	_, err = output(ctx, d.place.work, filepath.Join(d.supervisor.bin, "reprosign-signer"), "certify",
		"--config", d.place.party(signerName, ceremonyFile), "--key", suite, "--out", file,
		"--user-id", fmt.Sprintf("Demo suite %s <%s@demo.reprosign.example>", suite, suite), "--lifetime", certificateLife)
	if err != nil {
		return err
	}
	d.hsm.ceremony++ // a certificate is one signature by its own key
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	if d.certificates[suite], err = openpgp.ParseCertificate(data); err != nil {
		return err
	}
	return inside.PutCertificate(ctx, suite, d.certificates[suite].Binary())
}

func (d *demo) certificatePath(suite string) string {
	return d.place.party(signerName, suite+".asc")
}

// publishCertificates writes all certificates into one key ring.
func (d *demo) publishCertificates() error {
	var ring []byte
	for _, r := range d.releases {
		ring = append(ring, d.certificates[r.suite].Binary()...)
	}
	if err := writePublic(d.place.result(certificateFile), ring); err != nil {
		return fmt.Errorf("publishing the certificates: %w", err)
	}
	d.screen.event(hsmName, "generated one key per suite, which never leaves it; each signed its own certificate (%d signatures so far)", len(d.releases))
	return nil
}
