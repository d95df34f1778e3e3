package monitor_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/monitor"
	"github.com/reprosign/reprosign/monitor/monitortest"
)

// scene is a monitor of one log, whose clock the test moves.
type scene struct {
	*monitortest.Log

	monitor *monitor.Monitor
	config  monitor.Config
	now     attest.Time
	change  func(*monitor.Config)
}

// newScene returns a scene a minute after the log's last cosignature.
func newScene(t *testing.T, l *monitortest.Log, change func(*monitor.Config)) *scene {
	t.Helper()
	s := &scene{Log: l, now: l.World.Log.Now + 60, change: change}
	source, err := monitor.Open(l.Serve(t))
	if err != nil {
		t.Fatal(err)
	}
	monitor.Hasten(source)
	s.config = monitor.Config{
		Dir: t.TempDir(), Logs: []monitor.Watched{{Source: source, Trust: pinned(l)}},
		Now: func() time.Time { return s.now.Time() },
	}
	if change != nil {
		change(&s.config)
	}
	s.start(t)
	t.Cleanup(func() { s.stop(t) })
	return s
}

func (s *scene) start(t *testing.T) {
	t.Helper()
	var err error
	if s.monitor, err = monitor.New(s.config); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) stop(t *testing.T) {
	t.Helper()
	if err := s.monitor.Close(); err != nil {
		t.Error(err)
	}
}

// restart is a crash: nothing is kept but the memory on the disk.
func (s *scene) restart(t *testing.T) {
	t.Helper()
	s.stop(t)
	s.start(t)
}

func (s *scene) pass(t *testing.T) monitor.Pass {
	t.Helper()
	p, err := s.monitor.Once(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func kinds(alarms []monitor.Alarm) []monitor.Kind {
	var out []monitor.Kind
	for _, a := range alarms {
		out = append(out, a.Kind)
	}
	slices.Sort(out)
	return out
}

// wants takes a look that must raise these kinds of alarms, and say the text.
func (s *scene) wants(t *testing.T, text string, want ...monitor.Kind) {
	t.Helper()
	p := s.pass(t)
	if diff := cmp.Diff(want, kinds(p.Raised)); diff != "" {
		t.Errorf("raised (-want +got):\n%s%v", diff, p.Raised)
		return
	}
	said := fmt.Sprint(p.Raised)
	if !strings.Contains(said, text) {
		t.Errorf("said %s, want %q", said, text)
	}
	for _, a := range p.Raised {
		if a.Next == "" || strings.HasSuffix(a.String(), ".") || strings.Contains(a.String(), "\n") {
			t.Errorf("not one sentence: %s", a)
		}
	}
}

// quiet takes a look that must raise nothing; standing are the kinds that go on.
func (s *scene) quiet(t *testing.T, standing ...monitor.Kind) {
	t.Helper()
	p := s.pass(t)
	if len(p.Raised) != 0 {
		t.Errorf("raised %v", p.Raised)
	}
	if diff := cmp.Diff(standing, kinds(p.Standing)); diff != "" {
		t.Errorf("standing (-want +got):\n%s", diff)
	}
	if p.Alarming() != (len(standing) > 0) {
		t.Errorf("alarming: %v", p.Alarming())
	}
}

func TestALawfulLogRaisesNothingWhileItGrows(t *testing.T) {
	t.Parallel()
	s := newScene(t, lawful(t, evidencetest.Options{Witnesses: 3}), nil)
	s.quiet(t)
	s.Release(t, 3)
	s.Publish(t)
	s.now = s.World.Log.Now + 60
	s.quiet(t)
	s.restart(t)
	s.quiet(t)
	s.Release(t, 4)
	s.Publish(t)
	s.now = s.World.Log.Now + 60
	s.quiet(t)
}

func TestAForkIsAnAlarmAndBothCheckpointsAreKept(t *testing.T) {
	t.Parallel()
	for name, releases := range map[string][]int{"of the same size": {1}, "larger": {1, 3}, "smaller": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, lawful(t, evidencetest.Options{}), nil)
			s.quiet(t)
			before := s.File("checkpoint")
			// The same parties sign another history.
			other := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
			other.Decide(t, 2)
			for _, attempt := range releases {
				other.Release(t, attempt)
			}
			other.Publish(t)
			s.Swap(other.Files())
			s.wants(t, "signed two histories", monitor.Fork)
			s.quiet(t, monitor.Fork)
			s.restart(t)
			s.quiet(t, monitor.Fork)
			state := stateOf(t, s)
			for _, note := range [][]byte{before, other.File("checkpoint")} {
				if !strings.Contains(state, encoded(note)) {
					t.Errorf("the state does not hold the checkpoint\n%s", note)
				}
			}
		})
	}
}

func TestAShrinkingLogIsAnAlarmUntilItIsBack(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	l.Release(t, 1)
	l.Publish(t)
	old := l.File("checkpoint")
	l.Release(t, 2)
	l.Publish(t)
	s := newScene(t, l, nil)
	s.quiet(t)
	back := l.File("checkpoint")
	l.Set("checkpoint", old)
	s.wants(t, "serves a checkpoint of 3 entries, and served one of 6 before", monitor.Shrunk)
	s.quiet(t, monitor.Shrunk)
	l.Set("checkpoint", back)
	s.quiet(t)
}

func TestDamageIsAnAlarmUntilItIsRepaired(t *testing.T) {
	t.Parallel()
	l := lawful(t, evidencetest.Options{})
	s := newScene(t, l, nil)
	path := translog.EntriesPath(0, 5)
	whole := l.File(path)
	broken := slices.Clone(whole)
	broken[40] ^= 1
	l.Set(path, broken)
	s.wants(t, "log entry 0 is another one than the tree holds", monitor.Damaged)
	s.quiet(t, monitor.Damaged)
	l.Set(path, whole)
	s.quiet(t)
}

func TestAMissingBodyHaltsTheMonitorUntilItIsServed(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	r := l.Release(t, 1)
	second := l.Decide(t, 2)
	l.Made(t, attest.SignaturesMade{Release: second.ID, Decision: attest.SHA256(nil), LogIndex: second.DecisionIndex}, second)
	l.Publish(t)
	s := newScene(t, l, nil)
	path := "body/" + translog.BodyDigest(second.Decision).String()
	body := l.File(path)
	l.Set(path, nil)
	s.wants(t, "log entry 4: body missing: statement "+translog.BodyDigest(second.Decision).Short(), monitor.MissingBody)
	s.restart(t)
	s.quiet(t, monitor.MissingBody)
	// The log goes on, and is checked as far as can be.
	l.Decide(t, 3)
	l.Publish(t)
	s.quiet(t, monitor.MissingBody)
	l.Set(path, body)
	s.wants(t, "release "+second.ID.Short(), monitor.LoneSignature)
	s.quiet(t)
	if r.ID == second.ID {
		t.Fatal("one release")
	}
}

func TestOneMissingBodyAfterAnotherIsToldAndEnds(t *testing.T) {
	t.Parallel()
	l := lawful(t, evidencetest.Options{})
	s := newScene(t, l, nil)
	var paths []string
	var bodies [][]byte
	for _, e := range l.World.Log.Entries[:2] {
		path := "body/" + translog.BodyDigest(e.Envelope).String()
		paths, bodies = append(paths, path), append(bodies, l.File(path))
		l.Set(path, nil)
	}
	s.wants(t, "log entry 0: body missing", monitor.MissingBody)
	l.Set(paths[0], bodies[0])
	s.wants(t, "log entry 1: body missing", monitor.MissingBody)
	s.quiet(t, monitor.MissingBody) // the second alone
	l.Set(paths[1], bodies[1])
	s.quiet(t)
}

func TestASignatureWithoutDecisionIsAnAlarm(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	r := l.Release(t, 1)
	l.Made(t, attest.SignaturesMade{Release: r.ID, Decision: attest.SHA256([]byte("another")), LogIndex: r.DecisionIndex}, r)
	l.Publish(t)
	s := newScene(t, l, nil)
	s.wants(t, "log entry 3: 2 signatures by certificate "+l.Certificate.Fingerprint()+" for release "+r.ID.Short()+" of hello in suite stable", monitor.LoneSignature)
	s.quiet(t)
}

func TestADecisionThatItsVotesDoNotCarryIsAnAlarm(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(*testing.T, *monitortest.Log, *evidencetest.Release){
		"a vote is missing": func(t *testing.T, l *monitortest.Log, r *evidencetest.Release) {
			b := *r.Bundle(t)
			b.Votes = b.Votes[1:]
			data, err := b.Encode()
			if err != nil {
				t.Fatal(err)
			}
			l.Set(monitortest.EvidencePath(r.ID), data)
		},
		"the evidence is of another release": func(t *testing.T, l *monitortest.Log, r *evidencetest.Release) {
			l.Set(monitortest.EvidencePath(r.ID), l.File(monitortest.EvidencePath(l.Release(t, 3).ID)))
		},
		"the evidence is none": func(_ *testing.T, l *monitortest.Log, r *evidencetest.Release) {
			l.Set(monitortest.EvidencePath(r.ID), []byte("{}"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
			r := l.Release(t, 1)
			forge(t, l, r)
			l.Publish(t)
			s := newScene(t, l, nil)
			s.wants(t, "decision on release "+r.ID.Short(), monitor.LoneDecision)
			s.quiet(t)
		})
	}
}

func TestASecondDecisionOnAReleaseIsAnAlarm(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	r := l.Release(t, 1)
	again := r.Decided()
	again.Decided++
	second, err := again.Seal(l.Signer)
	if err != nil {
		t.Fatal(err)
	}
	l.Append(t, l.Signer, second)
	l.Publish(t)
	s := newScene(t, l, nil)
	s.wants(t, "log entry 3: release "+r.ID.Short()+" is decided already, at entry 1", monitor.LoneDecision)
	s.quiet(t)
}

func TestANameDecidedTwiceIsAnAlarm(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	l.Release(t, 1)
	r := l.Decide(t, 2)
	forged := r.Decided()
	forged.Artifacts = slices.Clone(forged.Artifacts)
	forged.Artifacts[0].SHA256[0] ^= 1
	statement, err := forged.Seal(l.Signer)
	if err != nil {
		t.Fatal(err)
	}
	// It stands where the release's own decision would.
	again := rebuilt(t, l, l.World.Log.Entries[:r.DecisionIndex])
	again.Append(t, l.Signer, statement)
	again.Publish(t)
	s := newScene(t, again, nil)
	s.wants(t, "file name "+r.Artifacts[0].Name+" has other content in this suite already (log entry 1)", monitor.NameTwice)
	s.quiet(t)
}

// rebuilt returns a log of the same parties with other entries.
func rebuilt(t *testing.T, l *monitortest.Log, entries []translog.Entry) *monitortest.Log {
	t.Helper()
	w := *l.World
	w.Log = &evidencetest.Log{Key: l.World.Log.Key, Now: l.World.Log.Now}
	again := monitortest.New(t, &w)
	again.Swap(l.Files())
	for _, e := range entries {
		w.Log.Add(t, e)
	}
	return again
}

func TestAnEquivocatingKeyIsAnAlarm(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	r := l.Release(t, 1)
	other := slices.Clone(r.Artifacts)
	other[0].SHA256[0] ^= 1
	key := l.Rebuilders[1]
	l.Record(t, attest.RecordEquivocation, r.Votes[1], r.Vote(t, key, other))
	l.Publish(t)
	s := newScene(t, l, nil)
	s.wants(t, "the operator of rebuilder "+key.Name()+" voted for two artifact sets in release "+r.ID.Short(), monitor.Equivocation)
	s.restart(t)
	s.quiet(t)
}

func TestPoliciesAreAnnouncedAndUnexpectedOnesAreAlarms(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	l.Record(t, attest.RecordPolicy, l.Envelope)
	l.Publish(t)
	l.World.Log.Now = evidencetest.Opened
	s := newScene(t, l, func(c *monitor.Config) { c.Logs[0].MaxSerial = 2 })
	s.quiet(t)
	next := func(serial uint64, change func(*policy.Policy)) {
		p := l.Policy
		p.Serial, p.Previous = serial, l.Envelope.Digest()
		if change != nil {
			change(&p)
		}
		l.Record(t, attest.RecordPolicy, l.Seal(t, p))
		if serial > l.Policy.Serial && change == nil {
			l.Use(t, l.Seal(t, p))
		}
		l.Publish(t)
	}
	next(2, nil)
	s.wants(t, "policy 2, "+l.Envelope.Digest().String()+", is in force", monitor.NewPolicy)
	if p := s.pass(t); p.Alarming() {
		t.Errorf("an expected policy alarms: %v", p)
	}
	next(3, nil)
	s.wants(t, "the highest expected serial is 2", monitor.NewPolicy, monitor.UnexpectedPolicy)
	next(3, func(p *policy.Policy) { p.Expires-- })
	s.wants(t, "two policies with one serial", monitor.TwoPolicies)
	s.quiet(t)
}

func TestWhatExpiresSoonIsAnAlarm(t *testing.T) {
	t.Parallel()
	l := lawful(t, evidencetest.Options{Change: func(p *policy.Policy) {
		p.Rebuilders[2].ValidUntil = evidencetest.Opened + 40*86400
	}})
	l.Set("certificates/"+l.Certificate.Fingerprint()+".asc", l.Certificate.Armor())
	s := newScene(t, l, nil)
	s.quiet(t)
	s.now = evidencetest.Opened + 20*86400
	s.wants(t, "the key of rebuilder rebuilder-3 in policy 1 ends at", monitor.KeyExpires)
	s.quiet(t, monitor.KeyExpires)
	s.now = evidencetest.Expires - 86400
	s.wants(t, "policy 1 of log.example.org expires at", monitor.KeyExpires, monitor.KeyExpires, monitor.PolicyExpires)
	until, _ := l.Certificate.Expires()
	s.now = attest.At(until) - 86400
	s.wants(t, "certificate "+l.Certificate.Fingerprint()+" of suite stable expires at", monitor.KeyExpires)
	// Told once, also when the certificate is not served for a while.
	standing := kinds(s.pass(t).Standing)
	l.Away("certificates/")
	s.quiet(t, standing...)
	l.Away("")
	s.quiet(t, standing...)
}

func TestAStaleCheckpointIsAnAlarmUntilThereIsANewOne(t *testing.T) {
	t.Parallel()
	t.Run("by its witnesses' time", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, lawful(t, evidencetest.Options{Witnesses: 3}), nil)
		s.quiet(t)
		s.now = s.World.Log.Now + 2*3600 + 2
		s.wants(t, "the newest checkpoint of log.example.org is of", monitor.Stale)
		s.World.Log.Now = s.now
		s.Publish(t)
		s.quiet(t)
	})
	t.Run("by when it was first seen", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, lawful(t, evidencetest.Options{}), func(c *monitor.Config) { c.Patience.Stale = time.Hour })
		s.quiet(t)
		s.now += 3600
		s.wants(t, "older than 1h0m0s", monitor.Stale)
		s.Decide(t, 3)
		s.Publish(t)
		s.quiet(t)
	})
}

func TestACheckpointThatWitnessesOrLogDoNotSignIsAnAlarm(t *testing.T) {
	t.Parallel()
	s := newScene(t, lawful(t, evidencetest.Options{Witnesses: 3}), nil)
	s.quiet(t)
	good := s.File("checkpoint")
	s.World.Log.Witnesses = s.Witnesses[:1]
	s.Publish(t)
	s.wants(t, "not cosigned by enough witnesses: 1 of 2", monitor.Unwitnessed)
	s.Set("checkpoint", []byte("log.example.org\n0\nAAAA\n\n"))
	s.wants(t, "is not signed with its key", monitor.Unsigned)
	s.Set("checkpoint", good)
	s.quiet(t)
}

func TestALogIsFollowedThroughAChangeOfItsKeyAndOrigin(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{evidencetest.Origin, "next.example.org"} {
		t.Run(origin, func(t *testing.T) {
			t.Parallel()
			l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
			l.Release(t, 1)
			l.Publish(t)
			s := newScene(t, l, nil)
			s.quiet(t)
			old, first := l.File("checkpoint"), l.Envelope
			stolen := l.World.Log.Key
			next := l.Policy
			next.Serial, next.Previous = 2, first.Digest()
			l.World.Log.Key = evidencetest.Ed25519Key(t, "another log", origin)
			next.Log.Key, next.Log.Origin = l.World.Log.Key.VerifierKey, origin
			l.Use(t, l.Seal(t, next))
			l.Record(t, attest.RecordPolicy, l.Envelope)
			l.Decide(t, 2)
			l.Publish(t)
			s.wants(t, "policy 2", monitor.NewPolicy)
			if _, err := monitor.Verify(t.Context(), open(t, l.Serve(t)), evidence.Trust{Policy: first}, monitor.VerifyOptions{WithoutEvidence: true}); err != nil {
				t.Errorf("log verify: %v", err)
			}
			l.Decide(t, 3)
			l.Publish(t)
			s.quiet(t)
			// The old key signs nothing new any more.
			l.Set("checkpoint", old)
			s.wants(t, "serves a checkpoint of 3 entries, and served one of 8 before", monitor.Shrunk)
			l.Decide(t, 4)
			current := l.World.Log.Key
			l.World.Log.Key = stolen
			l.Publish(t)
			s.wants(t, "is not signed with its key", monitor.Unsigned)
			l.World.Log.Key = current
			l.Publish(t)
			s.quiet(t)
		})
	}
}

func TestAnUnreachableLogIsAnAlarmAfterATimeAndStopsNoOther(t *testing.T) {
	t.Parallel()
	l, other := lawful(t, evidencetest.Options{}), monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	r := other.Release(t, 1)
	other.Publish(t)
	s := newScene(t, l, func(c *monitor.Config) {
		source, err := monitor.Open(other.Serve(t))
		if err != nil {
			t.Fatal(err)
		}
		c.Logs = append(c.Logs, monitor.Watched{Source: source, Trust: pinned(other)})
	})
	s.quiet(t)
	l.Swap(map[string][]byte{})
	s.quiet(t)
	s.now += 15 * 60
	other.Made(t, attest.SignaturesMade{Release: r.ID, Decision: attest.SHA256(nil), LogIndex: 1}, r)
	other.Publish(t)
	s.wants(t, "the log does not answer in full since", monitor.LoneSignature, monitor.Unreachable)
	s.quiet(t, monitor.Unreachable)
}

func TestAPartOfTheLogThatIsOutOfReachIsAnAlarmAfterATime(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"checkpoint", "tile/entries/", "tile/0/", "body/", "api/"} {
		t.Run(strings.Trim(part, "/"), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, lawful(t, evidencetest.Options{}), nil)
			s.quiet(t)
			s.Release(t, 3)
			s.Publish(t)
			s.Away(part)
			s.now += 15 * 60
			s.wants(t, "does not answer in full since", monitor.Unreachable)
			s.quiet(t, monitor.Unreachable)
			s.Away("")
			s.quiet(t)
		})
	}
}

func TestEvidenceThatIsNotServedIsAnAlarmAfterATime(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	r := l.Release(t, 1)
	l.Publish(t)
	path := monitortest.EvidencePath(r.ID)
	data := l.File(path)
	l.Set(path, nil)
	s := newScene(t, l, nil)
	s.quiet(t)
	s.now = s.World.Log.Now + 3600
	s.wants(t, "release "+r.ID.Short()+" of hello in suite stable is signed, and its evidence is not served", monitor.MissingEvidence)
	s.restart(t)
	s.quiet(t, monitor.MissingEvidence)
	l.Set(path, data)
	s.now += 3600
	s.quiet(t)
}

func TestAnEntryOfNobodyIsAnAlarm(t *testing.T) {
	t.Parallel()
	l := lawful(t, evidencetest.Options{})
	l.World.Log.Add(t, translog.Entry{Leaf: []byte("anything")})
	l.Publish(t)
	s := newScene(t, l, nil)
	s.wants(t, "log entry 5: foreign:", monitor.ForeignEntry)
	s.quiet(t)
}

func TestAWebhookIsToldOfEveryAlarmOnce(t *testing.T) {
	t.Parallel()
	var told []string
	fault := true
	hook := handler(func(w http.ResponseWriter, body string) {
		if fault {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		told = append(told, body)
	})
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	r := l.Release(t, 1)
	l.Made(t, attest.SignaturesMade{Release: r.ID, Decision: attest.SHA256(nil), LogIndex: 1}, r)
	l.Publish(t)
	s := newScene(t, l, func(c *monitor.Config) { c.Webhook = serve(t, hook) + "/secret" })
	s.monitor.HastenWebhook()
	s.wants(t, "", monitor.LoneSignature)
	if len(told) != 0 {
		t.Fatalf("told %q", told)
	}
	fault = false
	s.restart(t)
	s.quiet(t)
	s.quiet(t)
	if len(told) != 1 || !strings.Contains(told[0], `"schema":"reprosign/alarm/v1"`) || !strings.Contains(told[0], `"kind":"signature-without-decision"`) ||
		!strings.Contains(told[0], r.ID.String()) || !strings.Contains(told[0], `"entry":3`) {
		t.Errorf("told %q", told)
	}
}

func TestMemoryIsOfOneProcessAndOnePolicy(t *testing.T) {
	t.Parallel()
	s := newScene(t, lawful(t, evidencetest.Options{}), nil)
	s.quiet(t)
	if _, err := monitor.New(s.config); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second monitor: %v", err)
	}
	s.stop(t)
	other := evidencetest.New(t, evidencetest.Options{Change: func(p *policy.Policy) { p.Expires-- }})
	before := s.config.Logs[0].Trust
	s.config.Logs[0].Trust.Policy = other.Envelope
	if _, err := monitor.New(s.config); err == nil || !strings.Contains(err.Error(), "name another state directory") {
		t.Errorf("another policy: %v", err)
	}
	s.config.Logs[0].Trust = before
	s.start(t)
}
