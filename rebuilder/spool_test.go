package rebuilder_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/rebuilder"
)

const day = 24 * time.Hour

// filled is a spool of one release that was built, sent and receipted, and of
// one without receipt.
func filled(t *testing.T, h *house) (p *party, receipted, owed *order) {
	t.Helper()
	p = h.party(t).start(t)
	receipted, owed = h.sent(t), h.sent(t)
	h.push(t, h.receipt(t, digest(t, h.statement(t, receipted))))
	h.statement(t, owed)
	eventually(t, "receipt", func() bool { return p.has(receipted, "receipt.json") })
	p.stop()
	return p, receipted, owed
}

func open(t *testing.T, dir string) *rebuilder.Spool {
	t.Helper()
	s, err := rebuilder.OpenSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestASpoolKeepsEachThingAsLongAsItMust(t *testing.T) {
	p, receipted, owed := filled(t, newHouse(t, nil))
	s := open(t, p.spool)
	deadline := receipted.opening.Deadline.Time()
	clean := func(now time.Time) {
		t.Helper()
		if err := s.Clean(now); err != nil {
			t.Fatal(err)
		}
	}
	bulky := []string{"out", "evidence", "inputs.json", "log"}
	clean(deadline.Add(7*day - time.Minute))
	for _, name := range bulky {
		if !p.has(receipted, name) || !p.has(owed, name) {
			t.Errorf("%s is gone before 7 days after the deadline", name)
		}
	}
	clean(deadline.Add(7*day + time.Minute))
	for _, name := range bulky {
		if p.has(receipted, name) || p.has(owed, name) {
			t.Errorf("%s is kept longer than 7 days after the deadline", name)
		}
	}
	info, err := os.Stat(p.path(receipted, "receipt.json"))
	if err != nil {
		t.Fatal(err)
	}
	clean(info.ModTime().Add(90*day - time.Minute))
	if !p.has(receipted, "vote.json") || !p.has(receipted, "task.json") {
		t.Error("the statement is gone before 90 days after its receipt")
	}
	clean(info.ModTime().Add(90*day + time.Minute))
	if p.has(receipted) {
		t.Error("the release is kept longer than 90 days after its receipt")
	}
	clean(info.ModTime().Add(1000 * day))
	if !p.has(owed, "vote.json") || len(s.Pending(0)) != 1 {
		t.Error("a statement without receipt is gone")
	}
}

func TestASpoolServesOneAgentAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := open(t, dir)
	_, err := rebuilder.OpenSpool(dir)
	if err == nil || !strings.Contains(err.Error(), "in use by another process") || !strings.Contains(err.Error(), dir) {
		t.Errorf("second agent: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestNobodyElseCanEnterASpool(t *testing.T) {
	h := newHouse(t, nil)
	dir := filepath.Join(t.TempDir(), "spool")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // whatever an operator made of it
		t.Fatal(err)
	}
	p := h.partyOf(t, dir).start(t)
	o := h.sent(t)
	h.statement(t, o)
	for name, want := range map[string]fs.FileMode{
		dir: fs.ModeDir | 0o700, p.path(o): fs.ModeDir | 0o700, p.path(o, "out"): fs.ModeDir | 0o700,
		p.path(o, "task.json"): 0o600, p.path(o, "vote.json"): 0o600, p.path(o, "log"): 0o600, filepath.Join(dir, "lock"): 0o600,
	} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: got %v (%v), want %v", name, info.Mode(), err, want)
		}
	}
}

func TestADamagedFileIsAnErrorThatNamesItsRelease(t *testing.T) {
	p, receipted, owed := filled(t, newHouse(t, nil))
	vote, task := p.file(t, owed, "vote.json"), p.file(t, owed, "task.json")
	for what, damage := range map[string]struct {
		file string
		data []byte
	}{
		"cut off":            {"vote.json", vote[:len(vote)/2]},
		"empty":              {"vote.json", nil},
		"of another release": {"vote.json", p.file(t, receipted, "vote.json")},
		"with more":          {"vote.json", append(append([]byte{}, vote...), 'x')},
		"task cut off":       {"task.json", task[:len(task)-1]},
		"task of another":    {"task.json", p.file(t, receipted, "task.json")},
	} {
		t.Run(what, func(t *testing.T) {
			good := p.file(t, owed, damage.file)
			if damage.file == "task.json" { // the vote would be read in its place
				if err := os.Rename(p.path(owed, "vote.json"), p.path(owed, "kept")); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = os.Rename(p.path(owed, "kept"), p.path(owed, "vote.json")) }()
			}
			if err := os.WriteFile(p.path(owed, damage.file), damage.data, 0o600); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = os.WriteFile(p.path(owed, damage.file), good, 0o600) }()
			_, err := rebuilder.OpenSpool(p.spool)
			if err == nil || !strings.Contains(err.Error(), damage.file+" of release "+owed.release.String()+" is damaged") {
				t.Errorf("got %v", err)
			}
		})
	}
	if s := open(t, p.spool); len(s.Pending(0)) != 1 {
		t.Error("the repaired spool owes nothing")
	}
}

// As agents of before have spelled theirs.
func TestAStatementKeptInAnotherSpellingIsSentInTheUsualOne(t *testing.T) {
	p, _, owed := filled(t, newHouse(t, nil))
	usual := p.file(t, owed, "vote.json")
	v, err := bus.DecodeVote(usual)
	if err != nil {
		t.Fatal(err)
	}
	other, err := json.Marshal(v, json.Deterministic(true))
	if err != nil || bytes.Equal(other, usual) {
		t.Fatalf("spelled %s, %v", other, err)
	}
	if err := os.WriteFile(p.path(owed, "vote.json"), other, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, p.spool)
	message, err := s.Message(owed.release)
	if err != nil || !bytes.Equal(message.Data(), usual) {
		t.Errorf("sent %s, %v", message.Data(), err)
	}
	if !s.Waiting(v.Envelope.Digest()) {
		t.Error("the spool owes nothing")
	}
}

func TestCleaningGoesOnBesideADamagedRelease(t *testing.T) {
	p, receipted, _ := filled(t, newHouse(t, nil))
	s := open(t, p.spool)
	damaged := strings.Repeat("0", 64) // the first to be cleaned
	if err := os.Mkdir(filepath.Join(p.spool, damaged), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.spool, damaged, "task.json"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.Clean(receipted.opening.Deadline.Time().Add(1000 * day))
	if err == nil || !strings.Contains(err.Error(), damaged) {
		t.Errorf("got %v", err)
	}
	if p.has(receipted) {
		t.Error("the other release was not cleaned")
	}
}

func TestAReleaseHasOneTaskAndOneStatement(t *testing.T) {
	h := newHouse(t, nil)
	p, receipted, owed := filled(t, h)
	s := open(t, p.spool)
	if err := s.Start(owed.release, owed.Task); err == nil {
		t.Error("started twice")
	}
	vote, err := s.Message(receipted.release)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(owed.release, vote); err == nil {
		t.Error("a second statement was taken")
	}
	if err := s.Put(receipted.release, vote); err == nil {
		t.Error("a second statement was taken after a receipt")
	}
}

func TestHalvesOfACrashAreRemovedAndNeverTakenForInterruptedBuilds(t *testing.T) {
	h := newHouse(t, nil)
	p, receipted, owed := filled(t, h)
	// A crash while the release was removed, and one before its task was durable.
	half := filepath.Join(p.spool, ".removed-"+receipted.release.String())
	if err := os.Rename(p.path(receipted), half); err != nil {
		t.Fatal(err)
	}
	unborn := attest.SHA256([]byte("unborn")).String()
	if err := os.MkdirAll(filepath.Join(p.spool, unborn, "out"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.spool, unborn, ".task.json-123"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, p.spool)
	for _, dir := range []string{half, filepath.Join(p.spool, unborn)} {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is still there", dir)
		}
	}
	interrupted, err := s.Interrupted()
	if err != nil || len(interrupted) != 0 {
		t.Errorf("interrupted: %v, %v", interrupted, err)
	}
	if !p.has(owed) {
		t.Error("another release is gone")
	}
}
