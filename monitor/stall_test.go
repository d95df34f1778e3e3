package monitor_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/monitor"
	"github.com/reprosign/reprosign/monitor/monitortest"
)

// counting counts the requests below a path.
type counting struct {
	prefix string
	n      atomic.Int64
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, c.prefix) {
		c.n.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// patient has a request attempted as often as anybody may.
func patient(p *policy.Policy) { p.Suites[0].Retries = policy.MaxRetries }

// A log that answers for itself and lets every question for evidence wait could
// keep its monitor busy for as long as it likes, and what it found untold.
func TestALogThatKeepsBackAllItsEvidenceKeepsNoAlarmFromBeingTold(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{Change: patient, Votes: ofTheFirstTwo}))
	r := l.Decide(t, 1)
	const releases, complaints = 40, 10
	for attempt := range releases - 1 {
		l.Decide(t, attempt+2)
	}
	key := l.Rebuilders[2]
	for range complaints {
		counted := r.Vote(t, key, r.Artifacts)
		complaint, receipt := r.Complain(t, key, counted)
		l.Record(t, attest.RecordComplaint, complaint, receipt, counted)
	}
	l.Publish(t)
	asked := &counting{prefix: "/api/v1/releases/"}
	s := newScene(t, l, func(c *monitor.Config) {
		c.Logs[0].Source = monitor.Over(l.Serve(t), asked)
		monitor.Hasten(c.Logs[0].Source)
	})
	l.Away("api/v1/releases/")
	for range 3 {
		asked.n.Store(0)
		s.quiet(t)
		const parallel, attempts = 8, 4
		const most = (parallel + 1) * attempts // for decisions side by side, and for one complaint
		if n := asked.n.Load(); n == 0 || n > most {
			t.Errorf("%d questions for evidence in one pass, at most %d should be", n, most)
		}
	}
	s.now += 3600
	s.wants(t, "does not answer in full", monitor.Unreachable)
	l.Away("")
	if got := s.pass(t).Raised; len(got) != complaints {
		t.Errorf("raised %v, want %d complaints", got, complaints)
	}
	s.quiet(t)
}

// slow is a log that lets each question for evidence wait, but for less than is
// too long.
type slow struct {
	waits time.Duration
	clock atomic.Int64 // unix seconds
	asked atomic.Int64
}

func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, "/api/v1/releases/") {
		s.asked.Add(1)
		s.clock.Add(int64(s.waits / time.Second))
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestASlowLogIsEvaluatedInManyPasses(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{Change: patient}))
	const releases = 40
	for attempt := range releases {
		l.Decide(t, attempt+1)
	}
	l.Publish(t)
	log := &slow{waits: 20 * time.Second}
	s := newScene(t, l, func(c *monitor.Config) {
		log.clock.Store(int64(l.World.Log.Now + 60))
		c.Now = func() time.Time { return time.Unix(log.clock.Load(), 0) }
		c.Logs[0].Source = monitor.Over(l.Serve(t), log)
	})
	var asked []int64
	for before := int64(0); before < releases; before = log.asked.Load() {
		s.quiet(t)
		asked = append(asked, log.asked.Load()-before)
		if asked[len(asked)-1] == 0 {
			t.Fatalf("evaluated %v in the passes, and then none", asked)
		}
	}
	if len(asked) < 2 || log.asked.Load() != releases {
		t.Errorf("evaluated %v in the passes, want all %d in several", asked, releases)
	}
}

// The webhook hears of what was found while the log is still being read.
func TestAnAlarmIsToldBeforeThePassIsOver(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
	r := l.Decide(t, 1)
	bad := *r.UnsignedBundle(t)
	bad.Votes = bad.Votes[1:]
	l.Show(t, r, &bad)
	for len(l.World.Log.Entries) <= translog.TileWidth { // so many that there is a second bundle
		l.Withdraw(t, r.ID)
	}
	l.Publish(t)
	told := make(chan string, 1)
	hook := serve(t, handler(func(_ http.ResponseWriter, body string) {
		select {
		case told <- body:
		default:
		}
	}))
	second := "/" + translog.EntriesPath(1, len(l.World.Log.Entries)-translog.TileWidth)
	var before atomic.Bool
	newScene(t, l, func(c *monitor.Config) {
		c.Webhook = hook
		c.Logs[0].Source = monitor.Over(l.Serve(t), onPath{second, func() { before.Store(len(told) > 0) }})
	}).pass(t)
	if !before.Load() {
		t.Error("nothing was told before the second bundle was asked for")
	}
}

// onPath calls a function before it gets a file.
type onPath struct {
	path   string
	before func()
}

func (o onPath) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == o.path {
		o.before()
	}
	return http.DefaultTransport.RoundTrip(r)
}

// faulty fails to get some files.
type faulty map[string]bool

func (f faulty) RoundTrip(r *http.Request) (*http.Response, error) {
	if f[strings.TrimPrefix(r.URL.Path, "/")] {
		return nil, errors.New("connection reset")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// Nor do releases whose evidence is never to be had hide another.
func TestEvidenceOutOfReachHidesNoOther(t *testing.T) {
	t.Parallel()
	l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{Change: patient, Votes: ofTheFirstTwo}))
	const releases = 20
	gone := faulty{}
	for attempt := range releases - 1 {
		gone[monitortest.EvidencePath(l.Decide(t, attempt+1).ID)] = true
	}
	r := l.Decide(t, releases)
	bad := *r.UnsignedBundle(t)
	bad.Votes = bad.Votes[1:]
	l.Show(t, r, &bad)
	key := l.Rebuilders[2]
	counted := r.Vote(t, key, r.Artifacts)
	complaint, receipt := r.Complain(t, key, counted)
	l.Record(t, attest.RecordComplaint, complaint, receipt, counted)
	l.Publish(t)
	s := newScene(t, l, func(c *monitor.Config) {
		c.Logs[0].Source = monitor.Over(l.Serve(t), gone)
		monitor.Hasten(c.Logs[0].Source)
	})
	var raised []monitor.Alarm
	for range releases {
		raised = append(raised, s.pass(t).Raised...)
	}
	if got := kinds(raised); !slices.Equal(got, []monitor.Kind{monitor.Complaint, monitor.LoneDecision}) {
		t.Errorf("raised %v, want the decision without votes and the complaint about it", raised)
	}
}
