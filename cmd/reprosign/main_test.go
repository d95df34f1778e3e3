package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/signal"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
)

// The scripts run the command as a process of its own: this binary under
// another name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"reprosign": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
		},
	})
}

// world is what scripts work with: parties, a policy, and two attempts at one
// request, both of which came to be signed.
type world struct {
	*evidencetest.World

	first, second *evidencetest.Release
	seeds         map[string][]byte // of the bus, by party
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{seeds: map[string][]byte{}}
	enrol := func(who string) string {
		seed, public, err := bus.GenerateNKey()
		if err != nil {
			t.Fatal(err)
		}
		w.seeds[who] = seed
		return public
	}
	w.World = evidencetest.New(t, evidencetest.Options{Change: func(p *policy.Policy) {
		p.Publishers[0].NATS = enrol("publisher")
		p.Coordinators[0].NATS = enrol("coordinator")
	}})
	w.first, w.second = w.Release(t, 1), w.Release(t, 2)
	return w
}

// write writes the files that scripts find in their directory.
func (w *world) write(t testing.TB, dir string) {
	t.Helper()
	put := func(name string, data []byte, err error) {
		t.Helper()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	putEnvelope := func(name string, e *attest.Envelope) {
		t.Helper()
		data, err := e.Encode()
		put(name, append(data, '\n'), err)
	}
	putEnvelope("trust.json", w.Envelope)
	putEnvelope("stranger.json", newWorldOf(t, "stranger").Envelope)
	for i, a := range w.first.Artifacts {
		put(a.Name, w.first.Files[i], nil)
		put(a.Name+".sig", w.first.Signatures[i], nil)
	}
	bundle := w.first.Bundle(t)
	data, err := bundle.Encode()
	put("hello.evidence.json", data, err)

	// The same release where the log has witnesses, and where one alone came in time.
	witnessed := evidencetest.New(t, evidencetest.Options{Witnesses: 3})
	seen := witnessed.Release(t, 1)
	data, err = seen.Bundle(t).Encode()
	put("seen.evidence.json", data, err)
	putEnvelope("seen-trust.json", witnessed.Envelope)
	late := *seen.Bundle(t)
	witnessed.Log.Now += 2 * 3600
	late.Decision, err = evidence.NewSigstore(seen.Decision, witnessed.Signer.VerifierKey, witnessed.Log.Key.VerifierKey, witnessed.Log.Prove(t, seen.DecisionIndex))
	if err != nil {
		t.Fatal(err)
	}
	data, err = late.Encode()
	put("seen-late.evidence.json", data, err)
	// A decision that leaves out a counted vote, and complaints about it and another.
	twoOfThree := func(tb testing.TB, r *evidencetest.Release) []*attest.Envelope {
		tb.Helper()
		return []*attest.Envelope{r.Vote(tb, r.World.Rebuilders[0], r.Artifacts), r.Vote(tb, r.World.Rebuilders[1], r.Artifacts)}
	}
	hidden := evidencetest.New(t, evidencetest.Options{Votes: twoOfThree}).Release(t, 1)
	data, err = hidden.Bundle(t).Encode()
	put("hidden.evidence.json", data, err)
	putEnvelope("hidden-trust.json", hidden.World.Envelope)
	other := append(attest.Artifacts{}, hidden.Artifacts...)
	other[0].SHA256 = attest.SHA256([]byte("something else"))
	for name, set := range map[string]attest.Artifacts{"complaint": hidden.Artifacts, "dissent": other} {
		key := hidden.World.Rebuilders[2]
		q := bus.ComplainRequest{Statement: hidden.Vote(t, key, set)}
		q.Complaint, q.Receipt = hidden.Complain(t, key, q.Statement)
		data, err = attest.MarshalCanonical(q)
		put(name+".json", data, err)
	}
	// The same where the witnesses saw the decision too late.
	tooLate := evidencetest.New(t, evidencetest.Options{Witnesses: 3, Votes: twoOfThree}).Release(t, 1)
	tooLate.SeeLate(t)
	data, err = tooLate.UnsignedBundle(t).Encode()
	put("late.evidence.json", data, err)
	putEnvelope("late-trust.json", tooLate.World.Envelope)
	lost := bus.ComplainRequest{Statement: tooLate.Vote(t, tooLate.World.Rebuilders[2], tooLate.Artifacts)}
	lost.Complaint, lost.Receipt = tooLate.Complain(t, tooLate.World.Rebuilders[2], lost.Statement)
	data, err = attest.MarshalCanonical(lost)
	put("late-complaint.json", data, err)

	q := bus.ComplainRequest{Statement: w.first.Votes[2]}
	q.Complaint, q.Receipt = w.first.Complain(t, w.Rebuilders[2], q.Statement)
	data, err = attest.MarshalCanonical(q)
	put("unfounded.json", data, err)

	// Another log holds both decisions.
	rekor := &evidencetest.Log{Key: evidencetest.Ed25519Key(t, "log", "rekor.example.org")}
	for name, r := range map[string]*evidencetest.Release{"hello": w.first, "seen": seen} {
		index := rekor.Append(t, r.Decision, r.World.Signer.VerifierKey)
		anchor, err := evidence.NewSigstore(r.Decision, r.World.Signer.VerifierKey, rekor.Key.VerifierKey, rekor.Prove(t, index))
		if err != nil {
			t.Fatal(err)
		}
		data, err = anchor.Encode()
		put(name+".anchor.sigstore.json", data, err)
	}
	der, err := x509.MarshalPKIXPublicKey(rekor.Key.Public())
	put("rekor.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err)

	put("stable.asc", w.Certificate.Armor(), nil)
	put("other.asc", evidencetest.Certify(t, "other").Armor(), nil)

	fewer := *bundle
	fewer.Votes = fewer.Votes[1:]
	data, err = fewer.Encode()
	put("vote-missing.evidence.json", data, err)

	unsigned := *bundle
	unsigned.Signatures, unsigned.Certificates = nil, nil
	data, err = unsigned.Encode()
	put("unsigned.evidence.json", data, err)

	for file, word := range map[string]string{
		"carol.pem": "carol", "publisher.pem": "publisher publisher", "alice.pem": "admin admin-1", "bob.pem": "admin admin-2", "mallory.pem": "mallory",
	} {
		if err := config.WriteKey(filepath.Join(dir, file), evidencetest.Ed25519(word)); err != nil {
			t.Fatal(err)
		}
	}
	put("nats.seed", w.seeds["publisher"], nil)
	yaml, err := w.Policy.YAML()
	put("policy.yaml", yaml, err)

	next := w.Policy
	next.Serial, next.Previous = 2, w.Envelope.Digest()
	putEnvelope("newer-trust.json", w.Seal(t, next))
	// The next policy: carol comes, bob goes.
	carol, err := attest.NewVerifierKey("carol", evidencetest.Ed25519("carol").Public())
	if err != nil {
		t.Fatal(err)
	}
	next.Admins.Keys = []attest.VerifierKey{next.Admins.Keys[0], carol}
	yaml, err = next.YAML()
	put("policy-2.yaml", yaml, err)
	next.Previous = attest.SHA256([]byte("another"))
	yaml, err = next.YAML()
	put("orphan.yaml", yaml, err)
}

// newWorldOf returns a world whose log and policy are another's.
func newWorldOf(t testing.TB, suite string) *evidencetest.World {
	t.Helper()
	return evidencetest.New(t, evidencetest.Options{Change: func(p *policy.Policy) {
		p.Suites[0].Name = suite
		p.Publishers[0].Suites = []string{suite}
	}})
}

func TestOffline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/offline",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			w.write(t, env.WorkDir)
			env.Setenv("WITNESS1", evidencetest.WitnessKey(t, "witness-1").VerifierKey.String())
			env.Setenv("WITNESS3", evidencetest.WitnessKey(t, "witness-3").VerifierKey.String())
			env.Setenv("LOGKEY", w.World.Log.Key.VerifierKey.String())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": wantStatus, "mode": wantMode},
	})
}

// eachScript runs the scripts of a directory of testdata, each as a test of its own.
func eachScript(t *testing.T, directory string, run func(t *testing.T, script string)) {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join("testdata", directory, "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			t.Parallel()
			run(t, script)
		})
	}
}

func TestOnline(t *testing.T) {
	t.Parallel()
	eachScript(t, "online", func(t *testing.T, script string) {
		w := newWorld(t)
		c := startCoordinator(t, w)
		testscript.Run(t, testscript.Params{
			Files:               []string{script},
			RequireExplicitExec: true,
			Setup: func(env *testscript.Env) error {
				w.write(t, env.WorkDir)
				env.Setenv("REPROSIGN_NAME", "publisher")
				env.Setenv("REPROSIGN_KEY", "publisher.pem")
				env.Setenv("REPROSIGN_NATS_URL", c.url)
				env.Setenv("REPROSIGN_NATS_SEED", "nats.seed")
				env.Setenv("FIRST", w.first.ID.String())
				env.Setenv("SECOND", w.second.ID.String())
				env.Setenv("SHA256", w.first.Artifacts[0].SHA256.String())
				return nil
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"status": wantStatus, "mode": wantMode,
				"scene": func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(c.set(t, args[0])) },
				"asked": c.asked, "same": c.same,
			},
		})
	})
}
