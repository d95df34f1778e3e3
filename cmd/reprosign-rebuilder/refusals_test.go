package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/internal/config"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"reprosign-rebuilder": main})
}

// TestScripts runs the program with settings that are complete but for what a
// script changes. Every script ends before the bus is reached: the seed file
// holds no seed.
func TestScripts(t *testing.T) {
	policy, err := evidencetest.New(t, evidencetest.Options{}).Envelope.Encode()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: true, Setup: func(env *testscript.Env) error {
		key, err := config.GenerateKey(attest.Ed25519)
		if err != nil {
			return err
		}
		if err := config.WriteKey(filepath.Join(env.WorkDir, "key.pem"), key); err != nil {
			return err
		}
		if err := config.WriteSecretFile(filepath.Join(env.WorkDir, "seed"), []byte("no seed\n")); err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(env.WorkDir, "work"), 0o711); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(env.WorkDir, "policy.json"), policy, 0o644)
	}})
}
