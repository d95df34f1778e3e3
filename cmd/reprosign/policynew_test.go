package main

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
)

// reprosign runs the command in this process and returns what it printed.
func reprosign(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), args, strings.NewReader(""), &stdout, &stderr, nil); code != exitOK {
		t.Fatalf("reprosign %s: exit status %d\n%s", strings.Join(args, " "), code, stderr.String())
	}
	return strings.TrimSpace(stdout.String())
}

func TestNewPolicyWithAllKeysIsValid(t *testing.T) {
	t.Parallel()
	for _, insecure := range []bool{false, true} {
		dir := t.TempDir()
		key := func(role, name string) string {
			return reprosign(t, "keygen", "--role", role, "--name", name, "--out", filepath.Join(dir, role+"-"+name+".pem"))
		}
		party := func(role, name string) string {
			return key(role, name) + "," + reprosign(t, "keygen", "--nats", "--out", filepath.Join(dir, role+"-"+name+".seed"))
		}
		args := []string{
			"policy", "new", "--admin", key("admin", "alice"), "--admin", key("admin", "bob"), "--admin", key("admin", "carol"),
			"--log", key("log", "log.example.org"), "--coordinator", party("coordinator", "one"), "--signer", party("signer", "hsm"),
			"--publisher", party("publisher", "press"), "--rebuilder", party("rebuilder", "gamma"), "--rebuilder", party("rebuilder", "delta"),
			"--rebuilder", party("rebuilder", "epsilon"), "--suite", "testing", "--kind", "deb,executable", "--backend", "debian",
			"--backend", "golang", "--certificate", strings.Repeat("A", 40),
		}
		if insecure {
			args = append(args, "--insecure")
		} else {
			args = append(args, "--log-operator", "press", "--witness-quorum", "2",
				"--witness", evidencetest.WitnessKey(t, "w.example.net/one").VerifierKey.String()+",one", "--witness", evidencetest.WitnessKey(t, "two").VerifierKey.String()+",two", "--witness", evidencetest.WitnessKey(t, "three").VerifierKey.String()+",three")
		}
		p, err := policy.ParseYAML([]byte(reprosign(t, args...)))
		if err != nil {
			t.Fatal(err)
		}
		suite, err := p.Suite("testing")
		if err != nil {
			t.Fatal(err)
		}
		if p.Witnessed() == insecure || p.Witnesses.IsZero() != insecure {
			t.Errorf("witnesses from the template: %+v", p.Witnesses)
		}
		if p.Insecure != insecure || p.Admins.Threshold != 2 || p.Log.Origin != "log.example.org" || suite.Threshold != 2 ||
			!slices.Equal(suite.Rebuilders, []string{"gamma", "delta", "epsilon"}) || !slices.Equal(suite.Backends, []string{"debian", "golang"}) ||
			!slices.Equal(suite.Kinds, []string{"deb", "executable"}) {
			t.Errorf("policy from the template: %+v", p)
		}
	}
}
