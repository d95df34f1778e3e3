//go:build long

package cmd_test

import (
	"bytes"
	"crypto"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/signer/key"
	"github.com/reprosign/reprosign/signer/nethsm"
)

// estate is the house as it is installed: every party a process of its own.
type estate struct {
	*house

	dir    string
	script []byte // the executable that agents build with
	hsm    *nethsm.Device
	trust  string // of the HSM, in settings
	hsmURL string

	units   map[string]*unit
	victims []string // what can be killed, postgres among them
}

const (
	hsmUser       = "operator"
	hsmPassphrase = "an operator's passphrase"
	hsmKey        = "stable"
	buildScript   = "#!/bin/sh\nexec cp \"$1\" \"$REPROSIGN_OUT/\"\n"

	faultPatience = 3 * time.Minute
)

func newEstate(t *testing.T) *estate {
	t.Helper()
	// Not t.TempDir: builds and PostgreSQL run as other users and must pass through.
	dir, err := os.MkdirTemp("", "reprosign-estate-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	e := &estate{
		house: &house{seeds: map[bus.Identity]string{}}, dir: dir, script: []byte(buildScript),
		units: map[string]*unit{}, hsmURL: "https://" + freePort(t),
	}
	buildPrograms(t, e.mkdir(t, "bin", 0o755))
	e.write(t, "build-it", e.script, 0o755)
	e.startHSM(t)
	e.ceremony(t)
	e.startParties(t)
	e.house.publisher = e.connect(t, bus.Identity{Role: bus.RolePublisher, Name: e.Publisher.Name()})
	return e
}

func (e *estate) path(name string) string { return filepath.Join(e.dir, name) }

func (e *estate) write(t *testing.T, name string, data []byte, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(e.path(name), data, mode); err != nil {
		t.Fatal(err)
	}
	return e.path(name)
}

func (e *estate) secret(t *testing.T, name string, data []byte) string {
	t.Helper()
	if err := config.WriteSecretFile(e.path(name), data); err != nil {
		t.Fatal(err)
	}
	return e.path(name)
}

// unit starts a process with settings.
func (e *estate) unit(t *testing.T, name, program string, settings map[string]any) {
	t.Helper()
	text, err := toml.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	file := e.write(t, name+".toml", text, 0o600)
	e.units[name] = startUnit(t, e.dir, name, program, "--config", file)
	e.victims = append(e.victims, name)
}

// startHSM starts and provisions a soft HSM with one key.
func (e *estate) startHSM(t *testing.T) {
	t.Helper()
	e.units["hsm"] = startUnit(t, e.dir, "hsm", "reprosign-softhsm",
		"--state", e.path("hsm.state"), "--listen", e.hsmURL[len("https://"):])
	e.victims = append(e.victims, "hsm", "postgres")
	e.eventually(t, "HSM listening", func() bool {
		log, err := os.ReadFile(e.path("hsm.log"))
		if _, after, found := bytes.Cut(log, []byte("listening https://")); err == nil && found {
			line, _, _ := bytes.Cut(after, []byte("\n"))
			_, trust, _ := bytes.Cut(line, []byte(" "))
			e.trust = string(trust)
		}
		return e.trust != ""
	})
	trust, err := nethsm.ParseTrust(e.trust)
	if err != nil {
		t.Fatal(err)
	}
	const root = "the administrator's passphrase"
	admin, err := nethsm.OpenAdmin(nethsm.Config{
		URL: e.hsmURL, Trust: trust, User: "admin", Passphrase: func() (string, error) { return root, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx := t.Context()
	for _, step := range []func() error{
		func() error { return admin.Provision(ctx, "the unlock passphrase", root, time.Now()) },
		func() error { return admin.AddUser(ctx, hsmUser, "reprosign-signer", nethsm.Operator, hsmPassphrase) },
		func() error { return admin.GenerateKey(ctx, nethsm.KeySpec{ID: hsmKey, Type: nethsm.Curve25519}) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	e.secret(t, "hsm.passphrase", []byte(hsmPassphrase))
	e.hsm, err = nethsm.Open(nethsm.Config{
		URL: e.hsmURL, Trust: trust, User: hsmUser, Passphrase: func() (string, error) { return hsmPassphrase, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.hsm.Close() })
}

// ceremony makes everybody's keys, the certificate and the policy.
func (e *estate) ceremony(t *testing.T) {
	t.Helper()
	device, err := e.hsm.Open(t.Context(), hsmKey)
	if err != nil {
		t.Fatal(err)
	}
	now := attest.At(time.Now())
	certificate, err := openpgp.Certify(openpgp.NewCertificate{
		UserID: "stable <stable@example.org>", Created: (now - 3600).Time(), Lifetime: 1000 * time.Hour,
	}, key.Signer(t.Context(), device))
	if err != nil {
		t.Fatal(err)
	}
	e.write(t, "certificate.pgp", certificate.Binary(), 0o644)
	write := func(file string, private crypto.Signer, name string) attest.VerifierKey {
		if err := config.WriteKey(e.path(file), private); err != nil {
			t.Fatal(err)
		}
		k, err := attest.NewSigningKey(name, private)
		if err != nil {
			t.Fatal(err)
		}
		return k.VerifierKey
	}
	fresh := func(file, name string) attest.VerifierKey {
		private, err := config.GenerateKey(attest.ECDSAP256)
		if err != nil {
			t.Fatal(err)
		}
		return write(file, private, name)
	}
	write("log.pem", evidencetest.Ed25519("log "+evidencetest.Origin), evidencetest.Origin)
	e.World = evidencetest.New(t, evidencetest.Options{Change: func(p *policy.Policy) {
		p.Issued, p.Expires = now-3600, now+30*24*3600
		suite := &p.Suites[0]
		suite.Certificates[0].Fingerprint = certificate.Fingerprint()
		suite.Kinds, suite.Deadline, suite.Retries = []string{"file"}, 3600, 9
		p.Coordinators[0] = policy.Party{Key: fresh("opening.pem", "coordinator"), NATS: e.enrol(t, bus.RoleCoordinator, "coordinator")}
		p.Signers[0] = policy.Party{Key: fresh("statement.pem", "signer"), NATS: e.enrol(t, bus.RoleSigner, "signer")}
		p.Publishers[0].NATS = e.enrol(t, bus.RolePublisher, p.Publishers[0].Key.Name())
		for i := range p.Rebuilders {
			r := &p.Rebuilders[i]
			r.ValidFrom, r.ValidUntil = now-3600, now+30*24*3600
			r.NATS = e.enrol(t, bus.RoleRebuilder, r.Key.Name())
			write(r.Key.Name()+".pem", evidencetest.Ed25519("rebuilder "+r.Key.Name()), r.Key.Name())
		}
	}})
	e.Certificate, e.pinned = certificate, e.Envelope
	data, err := e.Envelope.Encode()
	if err != nil {
		t.Fatal(err)
	}
	e.write(t, "policy.json", data, 0o644)
}

func (e *estate) startParties(t *testing.T) {
	t.Helper()
	listen := freePort(t)
	e.url = "nats://" + listen
	nats := func(role bus.Role, name string) map[string]any {
		return map[string]any{"url": e.url, "seed": e.seeds[bus.Identity{Role: role, Name: name}]}
	}
	e.unit(t, "coordinator", "reprosign-coordinator", map[string]any{
		"name": "coordinator", "policy": e.path("policy.json"), "opening_key": e.path("opening.pem"), "log_key": e.path("log.pem"),
		"state": e.mkdir(t, "state", 0o711), "listen": freePort(t),
		"nats": map[string]any{"seed": e.seeds[bus.Identity{Role: bus.RoleCoordinator, Name: "coordinator"}], "listen": listen},
	})
	e.unit(t, "signer", "reprosign-signer", map[string]any{
		"name": "signer", "policy": e.path("policy.json"), "key": e.path("statement.pem"), "listen": freePort(t), "state": e.path("signer-state"),
		"nats":        nats(bus.RoleSigner, "signer"),
		"nethsm":      map[string]any{"url": e.hsmURL, "trust": e.trust, "user": hsmUser, "passphrase": e.path("hsm.passphrase")},
		"certificate": []map[string]any{{"file": e.path("certificate.pgp"), "key": hsmKey}},
	})
	for i, r := range e.Rebuilders {
		name := r.Name()
		e.unit(t, name, "reprosign-rebuilder", map[string]any{
			"name": name, "policy": e.path("policy.json"), "key": e.path(name + ".pem"), "listen": freePort(t),
			"spool": e.mkdir(t, name+"-spool", 0o700), "drain": "1s",
			"nats":    nats(bus.RoleRebuilder, name),
			"sandbox": map[string]any{"work_dir": e.mkdir(t, name+"-work", 0o711), "uid_base": 3_100_000 + 16*i, "uid_count": 16},
			"sources": map[string]any{"file_roots": []string{e.dir}},
			"command": []map[string]any{{"name": "build-it", "path": e.path("build-it"), "sha256": attest.SHA256(e.script).String()}},
		})
	}
}

func (e *estate) mkdir(t *testing.T, name string, mode os.FileMode) string {
	t.Helper()
	if err := os.Mkdir(e.path(name), mode); err != nil {
		t.Fatal(err)
	}
	return e.path(name)
}

// piece is a release of one file, whose build gives its source back.
type piece struct {
	name    string
	file    []byte
	release attest.Digest
}

// submitPiece submits a release that has not been there before.
func (e *estate) submitPiece(t *testing.T, version int) piece {
	t.Helper()
	p := piece{name: fmt.Sprintf("hello-%d.txt", version), file: fmt.Appendf(nil, "hello, version %d\n", version)}
	path := e.write(t, p.name, p.file, 0o644)
	request, err := attest.Request{
		Publisher: e.Publisher.Name(), Suite: evidencetest.Suite, Source: evidencetest.Source, Version: fmt.Sprint(version),
		Architecture: evidencetest.Architecture, Recipe: attest.Recipe{
			Backend: "command", Parameters: map[string]string{"command": "build-it", "sha256": attest.SHA256(e.script).String()},
			Sources: []attest.Source{{Name: p.name, SHA256: attest.SHA256(p.file), Size: int64(len(p.file)), URLs: []string{"file://" + path}}},
		},
	}.Seal(e.Publisher)
	if err != nil {
		t.Fatal(err)
	}
	p.release = e.submit(t, bus.SubmitRequest{Request: request})
	return p
}

// kill kills a party as it works.
func (e *estate) kill(t *testing.T, victim string) {
	t.Helper()
	if victim == "postgres" {
		killPostmaster(t, e.path("state/postgresql"))
		return
	}
	e.units[victim].kill(t)
}

// progress asks how far a release is; attempts after a killed build included.
func (e *estate) progress(t *testing.T, p *piece) *status {
	t.Helper()
	s := e.await(t, p.release, "answered", func(*status) bool { return true })
	if s.Newest != p.release {
		p.release = s.Newest
	}
	return s
}

// wantSigned waits until a piece is signed and verifies all of it, offline.
func (e *estate) wantSigned(t *testing.T, p *piece) {
	t.Helper()
	deadline := time.Now().Add(faultPatience)
	for s := e.progress(t, p); s.State != string(coordinator.Signed); s = e.progress(t, p) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is not signed: %+v", p.name, s)
		}
		<-time.After(50 * time.Millisecond)
	}
	var reply bus.StatusReply
	e.eventually(t, "evidence", func() bool {
		var err error
		reply, err = e.house.publisher.Status(t.Context(), bus.StatusRequest{Release: p.release, Evidence: true})
		return err == nil && len(reply.Evidence) > 0
	})
	if n := len(reply.Release.Artifacts); n != 1 || len(reply.Release.Artifacts[0].Signatures) != 1 {
		t.Fatalf("%s: %d artifacts: %+v", p.name, n, reply.Release.Artifacts)
	}
	bundle, err := evidence.Parse(reply.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Verify(bundle, evidence.Trust{Policy: e.pinned}); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	if _, err := openpgp.Verify(e.Certificate, reply.Release.Artifacts[0].Signatures[0].Signature, bytes.NewReader(p.file)); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// wantCount checks the device's own count: the certificate's one, one of each
// release, and at most what was in hand when something was killed.
func (e *estate) wantCount(t *testing.T, releases, kills int) {
	t.Helper()
	const ceremony, inHand = 1, 4
	made, err := e.hsm.Signatures(t.Context(), hsmKey)
	if err != nil {
		t.Fatal(err)
	}
	least, most := uint64(ceremony+releases), uint64(ceremony+releases+inHand*kills)
	if made < least || made > most {
		t.Errorf("the HSM counts %d signatures, want %d to %d", made, least, most)
	}
	t.Logf("the HSM counts %d signatures, %d of them repeated after a kill", made, made-least)
}

func TestLongEveryPartyMayBeKilledInTheMiddle(t *testing.T) {
	e := newEstate(t)
	var all []piece
	first := e.submitPiece(t, 1)
	e.wantSigned(t, &first)
	all = append(all, first)
	kills := 0
	for _, victim := range e.victims {
		for _, moment := range []string{"while it builds", "while votes come in"} {
			p := e.submitPiece(t, len(all)+1)
			if moment == "while votes come in" {
				e.eventually(t, "a vote", func() bool {
					for _, v := range e.progress(t, &p).Votes {
						if v.View != "pending" {
							return true
						}
					}
					return false
				})
			}
			t.Logf("killing %s %s", victim, moment)
			e.kill(t, victim)
			kills++
			all = append(all, p)
			e.wantSigned(t, &p)
		}
	}
	for i := range all { // nothing that was signed is lost
		e.wantSigned(t, &all[i])
	}
	e.wantCount(t, len(all), kills)
}

func TestLongNothingIsLostUnderRandomKills(t *testing.T) {
	const releases, kills = 20, 10
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	e := newEstate(t)
	all := make([]piece, releases)
	killed := 0
	for i := range all {
		all[i] = e.submitPiece(t, i+1)
		if i%2 == 1 {
			victim := e.victims[random.IntN(len(e.victims))]
			t.Logf("killing %s with %d releases submitted", victim, i+1)
			e.kill(t, victim)
			killed++
			// The next kill finds the house at work again, not still on its way up.
			e.progress(t, &all[i])
		}
	}
	if killed != kills {
		t.Fatalf("%d kills", killed)
	}
	for i := range all {
		e.wantSigned(t, &all[i])
	}
	e.wantCount(t, releases, kills)
}

func TestLongANewPolicyReachesEveryProcessAndSurvivesARestart(t *testing.T) {
	e := newEstate(t)
	successor := e.successor(t, func(p *policy.Policy) { p.Suites[0].Threshold = 3 })
	e.submitPolicy(t, successor)
	e.Use(t, successor)
	for version, restart := range []bool{false, true} {
		if restart {
			e.kill(t, "coordinator")
		}
		p := e.submitPiece(t, version+1)
		e.wantSigned(t, &p)
		if s := e.progress(t, &p); s.PolicySerial != 2 || s.Threshold != 3 {
			t.Errorf("signed under policy %d by %d operators", s.PolicySerial, s.Threshold)
		}
	}
	e.wantCount(t, 2, 1)
}
