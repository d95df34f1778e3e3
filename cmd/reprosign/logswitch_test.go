package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/monitor/monitortest"
)

// turning is a log at $URL whose policies a coordinator on a real bus takes.
type turning struct {
	*monitortest.Log // what is served

	content     *monitortest.Log // of the database that is left
	coordinator *coordinator
	slow        bool             // scripts say when the log follows a policy
	next        *attest.Envelope // the policy that was submitted
	state       string           // of the one release that the dashboard lists
}

// TestLogChanges runs scripts on a log whose key changes. "site WHAT" makes
// something happen to the log and to what its dashboard lists.
func TestLogChanges(t *testing.T) {
	t.Parallel()
	eachScript(t, "change", func(t *testing.T, script string) {
		l := newTurning(t)
		url := l.Serve(t)
		testscript.Run(t, testscript.Params{
			Files:               []string{script},
			RequireExplicitExec: true,
			Setup: func(env *testscript.Env) error {
				l.coordinator.world.write(t, env.WorkDir)
				env.Setenv("REPROSIGN_NAME", "publisher")
				env.Setenv("REPROSIGN_NATS_URL", l.coordinator.url)
				env.Setenv("REPROSIGN_NATS_SEED", "nats.seed")
				env.Setenv("URL", url)
				env.Setenv("OLD", l.World.Log.Key.VerifierKey.String())
				for name, key := range map[string]attest.SigningKey{
					"NEXT": nextKey(t, evidencetest.Origin), "OTHER": nextKey(t, "next.example.org"), "THIRD": nextKey(t, "third.example.org"),
				} {
					env.Setenv(name, key.VerifierKey.String())
				}
				taken, err := attest.NewVerifierKey(evidencetest.Origin, evidencetest.Ed25519("admin admin-1").Public())
				if err != nil {
					return err
				}
				env.Setenv("TAKEN", taken.String())
				return nil
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"status": wantStatus,
				"site":   func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(l.happen(t, ts, args[0])) },
			},
		})
	})
}

func nextKey(t testing.TB, origin string) attest.SigningKey {
	t.Helper()
	return evidencetest.Ed25519Key(t, "the next log key of", origin)
}

func newTurning(t testing.TB) *turning {
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
	now := attest.At(time.Now())
	w.World = evidencetest.New(t, evidencetest.Options{Witnesses: 3, Change: func(p *policy.Policy) {
		p.Issued, p.Expires = now-3600, now+100*24*3600
		p.Publishers[0].NATS = enrol("publisher")
		p.Coordinators[0].NATS = enrol("coordinator")
	}})
	w.World.Log.Now = now
	log := monitortest.New(t, w.World)
	l := &turning{Log: log, content: log}
	w.first, w.second = w.World.Release(t, 1), w.World.Release(t, 2)
	l.Record(t, attest.RecordPolicy, l.Envelope)
	l.coordinator = startCoordinator(t, w)
	l.coordinator.policies = []*attest.Envelope{w.Envelope}
	l.coordinator.onPolicy = func(e *attest.Envelope) {
		if l.next = e; !l.slow {
			l.follow(t)
		}
	}
	l.Publish(t)
	l.list("signed")
	l.policyShown(1)
	return l
}

// follow brings the policy that was submitted into the log, and signs with its key.
func (l *turning) follow(t testing.TB) {
	t.Helper()
	p, err := policy.Parse(l.next.Payload)
	if err != nil {
		t.Fatal(err)
	}
	l.content.World.Log.Key = nextKey(t, p.Log.Origin)
	l.content.Record(t, attest.RecordPolicy, l.next)
	l.content.Publish(t)
	if l.content != l.Log {
		l.Swap(l.content.Files())
	}
	l.list(l.state)
	l.policyShown(p.Serial)
}

func (l *turning) policyShown(serial uint64) {
	l.Set("api/v1/log", fmt.Appendf(nil, `{"schema":"reprosign.log.v1","policy":%d}`, serial))
}

// list has the dashboard list one release, whatever it is asked for.
func (l *turning) list(state string) {
	l.state = state
	l.Set("api/v1/releases", fmt.Appendf(nil,
		`{"schema":"reprosign.releases.v1","releases":[{"release":%q,"suite":"stable","source":"hello","version":"2.10-3","architecture":"amd64","state":%q,"policy":{"serial":1}}]}`,
		l.coordinator.world.first.ID, state))
}

func (l *turning) happen(t *testing.T, ts *testscript.TestScript, what string) error {
	l.coordinator.mu.Lock() // which it holds when it takes a policy
	defer l.coordinator.mu.Unlock()
	switch what {
	case "agreed", "logged", "signed":
		l.list(what)
	case "slow":
		l.slow = true
	case "follows":
		l.follow(t)
	case "superseded":
		l.policyShown(2)
	case "early":
		l.policyShown(0)
	case "forged": // cosigned by too few
		l.World.Log.Witnesses = l.World.Log.Witnesses[:1]
		l.Publish(t)
	case "lost": // with some entries, and others follow
		if err := os.WriteFile(ts.MkAbs("last-seen"), l.File("checkpoint"), 0o600); err != nil {
			return err
		}
		left := *l.World
		left.Log = &evidencetest.Log{Key: l.World.Log.Key, Witnesses: l.World.Log.Witnesses, Now: l.World.Log.Now}
		l.content = monitortest.New(t, &left)
		l.content.Release(t, 3)
	default:
		return fmt.Errorf("nothing of that name happens")
	}
	return nil
}

func TestTwoTreesOfOneSizeAreNoLastCheckpoint(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t, evidencetest.Options{})
	var files []string
	for attempt := range 2 {
		w.Log = &evidencetest.Log{Key: w.Log.Key}
		w.Release(t, attempt+1)
		file := filepath.Join(t.TempDir(), "checkpoint")
		if err := os.WriteFile(file, w.Log.Checkpoint(t), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
		if _, _, err := lastSeen(t.Context(), &w.Policy, []string{file, file}); err != nil {
			t.Errorf("the same twice: %v", err)
		}
	}
	_, _, err := lastSeen(t.Context(), &w.Policy, files)
	if exitCode(err) != exitUnverified || !strings.Contains(err.Error(), "another tree of 2 entries") {
		t.Errorf("two histories: %v", err)
	}
}

// Whoever has stolen the old key may hide, at the last moment, what it signed before.
func TestNoLastCheckpointIsTakenThatDoesNotContinueTheOneBefore(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t, evidencetest.Options{})
	first := monitortest.New(t, w)
	first.Decide(t, 1)
	first.Publish(t)
	seen := first.File("checkpoint")
	first.Decide(t, 2)
	first.Publish(t)

	forked := *w
	forked.Log = &evidencetest.Log{Key: w.Log.Key}
	second := monitortest.New(t, &forked)
	for attempt := range 3 {
		second.Decide(t, attempt+2)
	}
	second.Publish(t)

	for name, test := range map[string]struct {
		served *monitortest.Log
		code   int
	}{
		"continued":       {first, exitOK},
		"another history": {second, exitUnverified},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site, err := openLogSite(test.served.Serve(t))
			if err != nil {
				t.Fatal(err)
			}
			s := &logSwitch{site: site, last: seen, before: draft{Policy: w.Policy, envelope: w.Envelope}}
			s.dir = t.TempDir()
			newest := test.served.File("checkpoint")
			if err := s.takeNewer(t.Context(), newest); exitCode(err) != test.code {
				t.Fatalf("exit status %d, want %d: %v", exitCode(err), test.code, err)
			}
			want, kept := newest, ""
			if test.code != exitOK {
				rival, err := os.ReadFile(filepath.Join(s.dir, "rival-checkpoint"))
				if err != nil {
					t.Fatal(err)
				}
				want, kept = seen, string(rival)
			}
			if string(s.last) != string(want) || kept != "" && kept != string(newest) {
				t.Errorf("the last checkpoint is\n%s\nkept is\n%s", s.last, kept)
			}
		})
	}
}

// One witness has seen fewer entries than another, and other ones.
func TestAnOlderCheckpointOfAnotherHistoryIsNotPassedOver(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t, evidencetest.Options{})
	file := func(checkpoint []byte) string {
		name := filepath.Join(t.TempDir(), "checkpoint")
		if err := os.WriteFile(name, checkpoint, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	forked := *w
	forked.Log = &evidencetest.Log{Key: w.Log.Key}
	forked.Release(t, 2)
	l := monitortest.New(t, w)
	l.Decide(t, 1)
	older := file(w.Log.Checkpoint(t))
	l.Decide(t, 2)
	newest := file(w.Log.Checkpoint(t))

	s := &logSwitch{before: draft{Policy: w.Policy, envelope: w.Envelope}}
	changeKey := w.Policy
	changeKey.Log.Key = nextKey(t, evidencetest.Origin).VerifierKey
	s.next = draft{Policy: changeKey}
	w.Log.Key = nextKey(t, evidencetest.Origin)
	l.Publish(t)
	var err error
	if s.site, err = openLogSite(l.Serve(t)); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		older string
		code  int
	}{
		"of the same history": {older, exitOK},
		"of another":          {file(forked.Log.Checkpoint(t)), exitUnverified},
	} {
		s.switchFlags.last = []string{test.older, newest}
		if s.last, err = s.lastCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.record(t.Context(), l.File("checkpoint")); exitCode(err) != test.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAPolicyThatHasExpiredIsRenewedBeforeTheLogChanges(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t, evidencetest.Options{})
	chain, err := policy.Pin(w.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	key := nextKey(t, evidencetest.Origin).VerifierKey
	if next, err := (logChange{}).next(chain, key, w.Policy.Expires-1); err != nil || next.Expires-next.Issued != w.Policy.Expires-w.Policy.Issued {
		t.Errorf("in time: in force from %v until %v, %v", next.Issued, next.Expires, err)
	}
	if _, err := (logChange{}).next(chain, key, w.Policy.Expires); err == nil || !strings.Contains(err.Error(), "policy 1 expired at") {
		t.Errorf("too late: %v", err)
	}
}
