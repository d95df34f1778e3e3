package rebuilder_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/rebuilder"
)

// decision is what a signer might decide on an order, with the votes given.
func (h *house) decision(t *testing.T, o *order, votes ...attest.Digest) *attest.Envelope {
	t.Helper()
	a, _, err := attest.HashArtifact(bytes.NewReader([]byte("decided")), "thing.deb", "deb")
	if err != nil {
		t.Fatal(err)
	}
	set := attest.Artifacts{a}
	d := attest.Decision{
		Signer: h.Signer.Name(), Release: o.release, Request: o.Request.Digest(), Policy: h.Version.Digest, PolicySerial: h.Version.Serial,
		Decided: attest.At(time.Now()), Ground: attest.GroundQuorum, Artifacts: attest.AgreedOf(set), Threshold: 2, Operators: 3,
		Votes: append([]attest.Digest{attest.SHA256([]byte("one")), attest.SHA256([]byte("two"))}, votes...), Blind: true,
	}
	if d.Set, err = set.SetDigest(); err != nil {
		t.Fatal(err)
	}
	attest.SortDigests(d.Votes)
	return seal(t, h.Signer, d)
}

// decide logs a decision on an order, with the votes given.
func (h *house) decide(t *testing.T, o *order, votes ...attest.Digest) *attest.Envelope {
	t.Helper()
	e := h.decision(t, o, votes...)
	h.log(t, func(l *evidencetest.Log) { l.Append(t, e, h.Signer.VerifierKey) })
	return e
}

// complained returns the complaints that came, each time that they came.
func (h *house) complained() []bus.ComplainRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.complaints)
}

// hasRead waits until the agent has read and confirmed the whole log.
func (p *party) hasRead(t *testing.T, h *house) {
	t.Helper()
	eventually(t, "the log read", func() bool {
		h.mu.Lock()
		size := len(h.Log.Entries)
		h.mu.Unlock()
		return p.place(t) == int64(size)
	})
}

// place is how far the agent says it has read, -1 if it does not say.
func (p *party) place(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(p.spool, "place.json"))
	if err != nil {
		return -1
	}
	var place struct{ Size int64 }
	if err := json.Unmarshal(data, &place); err != nil {
		t.Fatal(err)
	}
	return place.Size
}

// judge says whether a complaint about an order is justified.
func (h *house) judge(o *order, decision *attest.Envelope, q bus.ComplainRequest) error {
	_, err := policy.Dispute{
		Policy: h.Version, Opening: o.Opening, Request: o.Request, Decision: decision,
		Complaint: q.Complaint, Receipt: q.Receipt, Statement: q.Statement,
	}.Judge()
	return err
}

func TestADecisionWithoutACountedVoteIsComplainedAboutUntilTheLogShowsIt(t *testing.T) {
	h := newHouse(t, nil)
	h.log(t, func(l *evidencetest.Log) { l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope) })
	p := h.party(t)
	p.Patience = moment
	p.start(t)
	p.hasRead(t, h)
	o := h.sent(t)
	statement := digest(t, h.statement(t, o))
	h.push(t, h.receipt(t, statement))
	eventually(t, "receipt", func() bool { return p.has(o, "receipt.json") })
	decision := h.decide(t, o)
	eventually(t, "complaints, repeated", func() bool { return len(h.complained()) >= 3 })
	first := h.complained()[0]
	if err := h.judge(o, decision, first); err != nil {
		t.Fatal(err)
	}
	if !p.log.has("level=ERROR", "lacks our statement", o.release.String()) {
		t.Error("the log does not say it")
	}
	p.stop()

	p = h.partyOf(t, p.spool)
	p.Patience = moment
	before := len(h.complained())
	p.start(t)
	eventually(t, "the complaint again", func() bool { return len(h.complained()) > before })
	for _, again := range h.complained() {
		if !slices.Equal(again.Complaint.Signatures[0].Sig, first.Complaint.Signatures[0].Sig) || again.Complaint.Digest() != first.Complaint.Digest() {
			t.Fatal("the agent signed two complaints about one decision")
		}
	}

	// A record that only looks like it is none: the agent goes on.
	stranger := evidencetest.P256Key(t, "impostor", h.Coordinator.Name())
	h.log(t, func(l *evidencetest.Log) {
		l.Record(t, attest.RecordComplaint, stranger, first.Complaint, first.Receipt, first.Statement)
		l.Record(t, attest.RecordComplaint, h.Coordinator, first.Complaint, first.Receipt, decision)
	})
	p.hasRead(t, h)
	if p.has(o, "published.json") || len(p.Spool.Unheard()) != 1 {
		t.Error("the agent believed a record that shows nothing")
	}
	h.log(t, func(l *evidencetest.Log) {
		l.Record(t, attest.RecordComplaint, h.Coordinator, first.Complaint, first.Receipt, first.Statement)
	})
	eventually(t, "the complaint found in the log", func() bool { return p.has(o, "published.json") && len(p.Spool.Unheard()) == 0 })
	p.stop()
	p = h.partyOf(t, p.spool).start(t)
	p.hasRead(t, h)
	if n := len(p.Spool.Unheard()); n != 0 {
		t.Errorf("%d complaints unpublished after a restart", n)
	}
}

func TestDecisionsInOrderAreNotComplainedAbout(t *testing.T) {
	h := newHouse(t, nil)
	h.log(t, func(l *evidencetest.Log) { l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope) })
	p := h.party(t).start(t)
	p.hasRead(t, h)
	listed, late, rejected, unanswered := h.sent(t), h.sent(t), h.sent(t), h.sent(t)
	statement := digest(t, h.statement(t, listed))
	h.push(t, h.receipt(t, statement))
	h.push(t, seal(t, h.Coordinator, attest.Receipt{
		Coordinator: h.Coordinator.Name(), Rebuilder: name, Issued: attest.At(time.Now()), Late: []attest.Digest{digest(t, h.statement(t, late))},
	}))
	h.push(t, h.rejection(t, name, digest(t, h.statement(t, rejected))))
	h.statement(t, unanswered)
	eventually(t, "receipts", func() bool {
		return p.has(listed, "receipt.json") && p.has(late, "receipt.json") && p.has(rejected, "receipt.json")
	})
	h.decide(t, listed, statement)
	for _, o := range []*order{late, rejected, unanswered, h.order(t)} { // the last one nobody has built
		h.decide(t, o)
	}
	// One that no signer made lists nothing of anybody.
	forger := evidencetest.P256Key(t, "impostor", h.Signer.Name())
	forged, err := attest.ParseDecision(h.decision(t, listed).Payload)
	if err != nil {
		t.Fatal(err)
	}
	h.log(t, func(l *evidencetest.Log) { l.Append(t, seal(t, forger, forged), forger.VerifierKey) })
	p.hasRead(t, h)
	if !p.log.has("level=ERROR", "not what it pretends to be", listed.release.String()) {
		t.Error("a forged decision was passed over in silence")
	}
	for _, o := range []*order{listed, late, rejected, unanswered} {
		if p.has(o, "complaint.json") {
			t.Errorf("complaint about %s", o.request.Version)
		}
	}
	if p.has(late, "decision.json") || p.has(listed, "decision.json") || !p.has(unanswered, "decision.json") {
		t.Error("kept is not exactly the decision for which a receipt may still come")
	}
	if len(h.complained()) != 0 {
		t.Errorf("%d complaints", len(h.complained()))
	}
}

func TestAReceiptThatComesAfterTheDecisionIsEnoughToComplain(t *testing.T) {
	h := newHouse(t, nil)
	h.log(t, func(l *evidencetest.Log) { l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope) })
	p := h.party(t).start(t)
	p.hasRead(t, h)
	o, second := h.sent(t), h.sent(t)
	receipts := []*attest.Envelope{h.receipt(t, digest(t, h.statement(t, o))), h.receipt(t, digest(t, h.statement(t, second)))}
	decision := h.decide(t, o)
	h.decide(t, second)
	p.hasRead(t, h)
	h.push(t, receipts[0])
	eventually(t, "complaint", func() bool { return len(h.complained()) == 1 })
	if err := h.judge(o, decision, h.complained()[0]); err != nil {
		t.Error(err)
	}
	p.stop()
	// The receipt came, and then the agent crashed.
	data, err := receipts[1].Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.path(second, "receipt.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	p = h.partyOf(t, p.spool).start(t)
	eventually(t, "second complaint", func() bool { return p.has(second, "complaint.json") })
}

func TestASuppressedComplaintStaysForItsOperatorToPublish(t *testing.T) {
	h := newHouse(t, nil)
	h.deaf = bus.Errorf(bus.KindDenied, "nobody complains here")
	h.log(t, func(l *evidencetest.Log) { l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope) })
	p := h.party(t)
	p.Patience = moment
	p.start(t)
	p.hasRead(t, h)
	o := h.sent(t)
	h.push(t, h.receipt(t, digest(t, h.statement(t, o))))
	eventually(t, "receipt", func() bool { return p.has(o, "receipt.json") })
	decision := h.decide(t, o)
	eventually(t, "the refusal in the log", func() bool {
		return p.log.has("level=WARN", "complaints not delivered", p.path(o, "complaint.json"), "nobody complains here")
	})
	p.stop()

	spool := open(t, p.spool)
	old := time.Now().Add(-2 * rebuilder.KeepStatements)
	if err := os.Chtimes(p.path(o, "receipt.json"), old, old); err != nil {
		t.Fatal(err)
	}
	if err := spool.Clean(time.Now()); err != nil {
		t.Fatal(err)
	}
	q, err := spool.Complaint(o.release)
	if err != nil {
		t.Fatalf("the complaint is gone: %v", err)
	}
	if err := h.judge(o, decision, q); err != nil {
		t.Error(err)
	}
	if err := spool.Heard(o.release, q.Complaint.Digest(), 7); err != nil {
		t.Fatal(err)
	}
	if err := spool.Clean(time.Now()); err != nil {
		t.Fatal(err)
	}
	if p.has(o) {
		t.Error("a complaint that the log shows is kept for ever")
	}
}

func TestAnAgentBeginsAtTheNewestEntryAndGoesOnWhereItStopped(t *testing.T) {
	h := newHouse(t, nil)
	h.log(t, func(l *evidencetest.Log) {
		for range 300 { // more than a tile
			l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope)
		}
	})
	p := h.party(t).start(t)
	p.hasRead(t, h)
	for range 3 {
		h.log(t, func(l *evidencetest.Log) { l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope) })
		p.hasRead(t, h)
	}
	p.stop()
	h.log(t, func(l *evidencetest.Log) { l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope) })
	p = h.partyOf(t, p.spool).start(t)
	p.hasRead(t, h)
	h.mu.Lock()
	defer h.mu.Unlock()
	// The question of the agent that had stopped by then was answered too.
	for i, q := range slices.Compact(h.reads) {
		if want := int64(299 + i); q.From != want || q.Newest != (i == 0) {
			t.Errorf("question %d: %+v, want from %d on", i, q, want)
		}
	}
	if p.log.has("level=ERROR") {
		t.Error("an honest log raised an alarm")
	}
}

func TestAnEmptyLogIsReadFromItsFirstEntry(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t).start(t)
	eventually(t, "the beginning", func() bool { return p.log.has("reading the log", "entry=0") })
	h.log(t, func(l *evidencetest.Log) { l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope) })
	p.hasRead(t, h)
}

func TestALogThatNoHonestCoordinatorServesIsAnAlarm(t *testing.T) {
	other := func(t *testing.T, h *house) *evidencetest.Log { // another history of the same log
		t.Helper()
		l := &evidencetest.Log{Key: h.Log.Key}
		for range len(h.Log.Entries) {
			l.Record(t, attest.RecordWithdrawal, h.Coordinator, h.Envelope)
		}
		return l
	}
	for name, test := range map[string]struct {
		doctor    func(t *testing.T, h *house, r *bus.LogReply)
		want      string
		confirmed int64 // entries that are in order all the same
	}{
		"other entries than signed": {func(t *testing.T, h *house, r *bus.LogReply) {
			l := other(t, h)
			for i := range r.Entries {
				r.Entries[i] = l.Entries[r.Entries[i].Index]
			}
		}, "signed over other entries", 0},
		"two histories": {func(t *testing.T, h *house, r *bus.LogReply) {
			r.Checkpoint = other(t, h).Checkpoint(t)
		}, "signed over other entries", 0},
		"a log that shrinks": {func(t *testing.T, h *house, r *bus.LogReply) {
			l := &evidencetest.Log{Key: h.Log.Key}
			l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope)
			r.Checkpoint, r.Entries = l.Checkpoint(t), nil
		}, "shrunk from 3 entries to 1", 0},
		"no checkpoint any more": {func(_ *testing.T, _ *house, r *bus.LogReply) {
			r.Checkpoint, r.Entries = nil, nil
		}, "log without checkpoint", 0},
		"a missing envelope": {func(_ *testing.T, _ *house, r *bus.LogReply) {
			r.Entries[0].Envelope = nil
		}, "is missing, or another one served", 0},
		"another envelope": {func(_ *testing.T, h *house, r *bus.LogReply) {
			r.Entries[0].Envelope = h.Log.Entries[0].Envelope
		}, "is missing, or another one served", 0},
		"a gap": {func(_ *testing.T, _ *house, r *bus.LogReply) {
			r.Entries = r.Entries[1:]
		}, "entry 4 came where entry 3", 0},
		"entries beyond the checkpoint": {func(_ *testing.T, _ *house, r *bus.LogReply) {
			r.Entries = append(r.Entries, translog.Entry{Index: 5, Leaf: []byte("leaf")})
		}, "entry 5 came where", 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nil)
			grow := func(n int) {
				var decisions []*attest.Envelope
				for range n {
					decisions = append(decisions, h.decision(t, h.order(t)))
				}
				h.log(t, func(l *evidencetest.Log) {
					for _, d := range decisions {
						l.Append(t, d, h.Signer.VerifierKey)
					}
				})
			}
			grow(3)
			p := h.party(t).start(t)
			p.hasRead(t, h)
			h.mu.Lock()
			h.doctor = func(r *bus.LogReply) { test.doctor(t, h, r) } // under the lock
			h.mu.Unlock()
			grow(2)
			eventually(t, "alarm", func() bool { return p.log.has("level=ERROR", "not what an honest log is", test.want) })
			if at := p.place(t); at != 3+test.confirmed {
				t.Errorf("the agent went on to entry %d", at)
			}
			h.mu.Lock()
			h.doctor = nil
			h.mu.Unlock()
			p.hasRead(t, h) // a fault that is mended
		})
	}
}

func TestACheckpointOfAnotherKeyIsNotRead(t *testing.T) {
	h := newHouse(t, nil)
	h.log(t, func(l *evidencetest.Log) { l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope) })
	forger := &evidencetest.Log{Key: evidencetest.Ed25519Key(t, "impostor", evidencetest.Origin)}
	forger.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope)
	h.doctor = func(r *bus.LogReply) { r.Checkpoint = forger.Checkpoint(t) }
	p := h.party(t).start(t)
	eventually(t, "refusal", func() bool { return p.log.has("level=WARN", "subscription=log", "signature") })
	if p.place(t) != -1 {
		t.Error("an agent read a log of another key")
	}
}

func TestWitnessesThatThePolicyNamesMustHaveCosigned(t *testing.T) {
	witnesses := []attest.SigningKey{evidencetest.WitnessKey(t, "witness-1"), evidencetest.WitnessKey(t, "witness-2")}
	h := newHouse(t, func(p *policy.Policy) {
		p.Log.Operator, p.Witnesses = "log-operator", evidencetest.WitnessesOf(witnesses...)
	})
	h.Log.Witnesses, h.Log.Now = witnesses[:1], attest.At(time.Now())
	h.log(t, func(l *evidencetest.Log) { l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope) })
	p := h.party(t).start(t)
	eventually(t, "refusal", func() bool { return p.log.has("level=WARN", "subscription=log", "not cosigned by enough witnesses") })
	h.log(t, func(l *evidencetest.Log) {
		l.Witnesses = witnesses
		l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope)
	})
	p.hasRead(t, h)
}

func TestALogThatAdminsReplaceIsReadFromItsFirstEntry(t *testing.T) {
	h := newHouse(t, nil)
	h.log(t, func(l *evidencetest.Log) {
		for range 3 {
			l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope)
		}
	})
	p := h.party(t).start(t)
	p.hasRead(t, h)
	o := h.sent(t)
	h.push(t, h.receipt(t, digest(t, h.statement(t, o))))
	eventually(t, "receipt", func() bool { return p.has(o, "receipt.json") })
	decision := h.decision(t, o)
	next := evidencetest.Ed25519Key(t, "log", "log-2.example.org")
	h.mu.Lock()
	h.policies = []*attest.Envelope{h.successor(t, func(p *policy.Policy) { p.Log.Origin, p.Log.Key = next.Name(), next.VerifierKey })}
	h.mu.Unlock()
	h.log(t, func(l *evidencetest.Log) {
		*l = evidencetest.Log{Key: next}
		l.Append(t, decision, h.Signer.VerifierKey)
		for range 4 {
			l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope)
		}
	})
	eventually(t, "complaint about the first entry", func() bool { return len(h.complained()) > 0 })
	p.hasRead(t, h)
	if p.log.has("level=ERROR", "honest log") || !p.log.has("names another log", "log=log-2.example.org") {
		t.Error("a new log is taken for a fault of the old one")
	}
}

func TestEachAgentOfARebuilderComplainsAboutItsOwnStatementAlone(t *testing.T) {
	h := newHouse(t, nil)
	h.log(t, func(l *evidencetest.Log) { l.Record(t, attest.RecordPolicy, h.Coordinator, h.Envelope) })
	o := h.order(t)
	var agents []*party
	var said []attest.Digest
	for i := range 2 {
		p := h.party(t)
		spool := open(t, p.spool)
		r := attest.Rebuild{
			Release: o.release, Rebuilder: name, Outcome: attest.BuildFailed, Source: attest.SHA256([]byte("source")), Isolation: attest.IsolationUID,
			Started: o.opening.Opened, Finished: o.opening.Opened + attest.Time(i), // so that they differ
		}
		e := seal(t, h.Rebuilders[0], r)
		if err := errors.Join(spool.Start(o.release, o.Task), spool.Put(o.release, encoded(t, bus.Vote{Envelope: e})), spool.Close()); err != nil {
			t.Fatal(err)
		}
		said = append(said, e.Digest())
		h.mu.Lock()
		h.answers[e.Digest()] = h.receipt(t, said...) // the second one names both
		h.mu.Unlock()
		p.Patience = moment
		agents = append(agents, p.start(t))
	}
	for _, p := range agents {
		p.hasRead(t, h)
		eventually(t, "receipt", func() bool { return p.has(o, "receipt.json") })
	}
	h.decide(t, o, said[0])
	eventually(t, "complaint", func() bool { return agents[1].has(o, "complaint.json") && len(h.complained()) > 0 })
	agents[0].hasRead(t, h)
	if agents[0].has(o, "complaint.json") {
		t.Error("the agent whose statement is listed complains for the other one")
	}
	for _, q := range h.complained() {
		if q.Statement.Digest() != said[1] {
			t.Error("complaint about a statement that the decision lists")
		}
	}
}
