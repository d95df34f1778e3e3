package rebuilder_test

import (
	"bytes"
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/rebuilder"
)

// rejection says no to a statement of a rebuilder.
func (h *house) rejection(t *testing.T, rebuilder string, statement attest.Digest) *attest.Envelope {
	t.Helper()
	return seal(t, h.Coordinator, attest.Rejection{
		Coordinator: h.Coordinator.Name(), Rebuilder: rebuilder, Issued: attest.At(time.Now()),
		Statement: statement, Code: attest.RejectedNotAllowed, Reason: "for the test",
	})
}

func TestOnlyAWordOfACoordinatorToThisRebuilderEndsTheDuty(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t).start(t)
	o := h.sent(t)
	statement := digest(t, h.statement(t, o))
	h.wantOutcome(t, o, attest.Built)

	good := attest.Receipt{Coordinator: h.Coordinator.Name(), Rebuilder: name, Issued: attest.At(time.Now()), Counted: []attest.Digest{statement}}
	others, unknown := good, good
	others.Rebuilder, unknown.Coordinator = "rebuilder-2", "other"
	spoiled := *seal(t, h.Coordinator, good)
	spoiled.Signatures = []attest.Signature{{KeyID: spoiled.Signatures[0].KeyID, Sig: append([]byte{}, spoiled.Signatures[0].Sig...)}}
	spoiled.Signatures[0].Sig[10] ^= 1
	for _, forged := range []*attest.Envelope{
		seal(t, evidencetest.P256Key(t, "impostor", h.Coordinator.Name()), good),
		seal(t, evidencetest.P256Key(t, "coordinator", "other"), unknown),
		&spoiled,
		seal(t, h.Coordinator, others),
		h.rejection(t, "rebuilder-2", statement), // somebody else sent our bytes
		h.order(t).Opening,
		seal(t, h.Coordinator, attest.Receipt{ // true, and about another statement
			Coordinator: h.Coordinator.Name(), Rebuilder: name, Issued: attest.At(time.Now()), Counted: []attest.Digest{attest.SHA256([]byte("x"))},
		}),
	} {
		h.push(t, forged)
	}
	// Receipts come in order: when the next one has worked, those before have not.
	second := h.sent(t)
	h.push(t, h.receipt(t, digest(t, h.statement(t, second))))
	eventually(t, "second receipt", func() bool { return p.has(second, "receipt.json") })
	if !p.Spool.Waiting(statement) || p.has(o, "receipt.json") {
		t.Error("a forged receipt ended the duty")
	}
	h.push(t, seal(t, h.Coordinator, good))
	eventually(t, "receipt", func() bool { return !p.Spool.Waiting(statement) && p.has(o, "receipt.json") })
}

func TestARejectionEndsTheDutyAndIsLogged(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t).start(t)
	o := h.sent(t)
	h.push(t, h.rejection(t, name, digest(t, h.statement(t, o))))
	eventually(t, "rejection", func() bool { return p.has(o, "receipt.json") })
	eventually(t, "reason in the log", func() bool { return p.log.has("level=WARN", "rejected", "not-allowed", "for the test") })

	// One that the coordinator could not read is named by the message.
	unreadable := h.sent(t)
	h.statement(t, unreadable)
	h.mu.Lock()
	message := attest.SHA256(h.messages[len(h.messages)-1].Data)
	h.mu.Unlock()
	h.push(t, h.rejection(t, name, message))
	eventually(t, "rejection of the message", func() bool { return p.has(unreadable, "receipt.json") && len(p.Spool.Pending(0)) == 0 })
}

func TestAnAgentAsksForReceiptsAndSendsAgainWhatIsUnknown(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t)
	p.Patience = moment
	p.start(t)
	known, lost := h.sent(t), h.sent(t)
	statement := digest(t, h.statement(t, known))
	h.mu.Lock()
	h.answers[statement] = h.receipt(t, statement)
	h.mu.Unlock()
	eventually(t, "the asked-for receipt", func() bool { return p.has(known, "receipt.json") })
	eventually(t, "the lost statement again", func() bool { return len(h.statements(t, lost.release)) >= 3 })
	if !h.wasAsked(digest(t, h.statement(t, lost))) {
		t.Error("sent again without a question")
	}
	if n := p.quick.count(lost); n != 1 {
		t.Errorf("built %d times", n)
	}
	h.push(t, h.receipt(t, digest(t, h.statement(t, lost))))
	eventually(t, "end of the duty", func() bool { return len(p.Spool.Pending(0)) == 0 })
}

func TestWhatTheCoordinatorKnowsIsNotSentAgain(t *testing.T) {
	h := newHouse(t, nil)
	h.answer = func(d attest.Digest) *attest.Envelope { return h.receipt(t, d) }
	p := h.party(t)
	p.Patience = moment
	p.start(t)
	var orders []*order
	for range 3 { // the next is sent after the round that asked for the one before
		o := h.sent(t)
		eventually(t, "the asked-for receipt", func() bool { return p.has(o, "receipt.json") })
		orders = append(orders, o)
	}
	h.statement(t, orders[2])
	for _, o := range orders[:2] {
		if n := len(h.statements(t, o.release)); n != 1 {
			t.Errorf("sent %d times", n)
		}
	}
}

// again delivers each task a second time, when the test says so.
type again struct {
	rebuilder.Bus

	now, ended chan struct{}
}

func (b *again) Tasks(ctx context.Context, name string, slots int, handle func(context.Context, bus.TaskMessage)) error {
	return b.Bus.Tasks(ctx, name, slots, func(ctx context.Context, m bus.TaskMessage) {
		handle(ctx, m)
		<-b.now
		handle(ctx, m)
		b.ended <- struct{}{}
	})
}

func TestATaskThatComesAgainAfterTheReceiptIsNotAnsweredAgain(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t)
	b := &again{p.line.Bus, make(chan struct{}), make(chan struct{}, 2)}
	p.line.Bus = b
	p.start(t)
	first := h.sent(t)
	h.push(t, h.receipt(t, digest(t, h.statement(t, first))))
	eventually(t, "receipt", func() bool { return len(p.Spool.Pending(0)) == 0 })
	close(b.now)
	<-b.ended
	h.statement(t, h.sent(t))
	if n := len(h.statements(t, first.release)); n != 1 || p.quick.count(first) != 1 {
		t.Errorf("sent %d times, built %d times", n, p.quick.count(first))
	}
}

func TestAStatementThatTheBusRefusedIsSentLater(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t)
	p.Patience = moment
	var attempts atomic.Int64
	p.line.publish = func(_ bus.EncodedVote, send func() error) error {
		if attempts.Add(1) <= 3 {
			return bus.Errorf(bus.KindUnavailable, "bus is away")
		}
		return send()
	}
	p.start(t)
	o := h.sent(t)
	h.wantOutcome(t, o, attest.Built)
	if n := p.quick.count(o); n != 1 {
		t.Errorf("built %d times", n)
	}
}

func TestWhatIsSentIsWhatTheSpoolHolds(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t)
	p.Patience = moment
	p.start(t)
	o := h.sent(t)
	h.wantOutcome(t, o, attest.Built)
	// Without a receipt it comes once more, from the disk.
	eventually(t, "statement sent again", func() bool { return len(h.statements(t, o.release)) > 1 })
	kept := p.file(t, o, "vote.json")
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.messages {
		if !bytes.Equal(m.Data, kept) {
			t.Errorf("sent %s, kept %s", m.Data, kept)
		}
	}
}

func TestOneStatementThatCannotBeSentDoesNotKeepTheOthers(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t)
	p.Patience = moment
	bad := h.order(t)
	var mu sync.Mutex
	first := map[attest.Digest]bool{}
	p.line.publish = func(m bus.EncodedVote, send func() error) error {
		mu.Lock()
		defer mu.Unlock()
		v, err := bus.DecodeVote(m.Data())
		if err != nil {
			return err
		}
		r, err := attest.ParseRebuild(v.Envelope.Payload)
		if err != nil || r.Release == bad.release || !first[r.Release] {
			first[r.Release] = true
			return bus.Errorf(bus.KindInvalid, "too large for the test")
		}
		return send()
	}
	p.start(t)
	good := []*order{h.order(t), h.order(t), h.order(t)}
	h.send(t, append(good, bad)...)
	for _, o := range good {
		h.wantOutcome(t, o, attest.Built)
	}
}

func TestReceiptsOfANewCoordinatorCountOnceThePolicyNamesIt(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t)
	p.Patience = moment
	p.start(t)
	o := h.sent(t)
	statement := digest(t, h.statement(t, o))
	next := evidencetest.P256Key(t, "coordinator", "next")
	h.mu.Lock()
	h.policies = []*attest.Envelope{h.successor(t, func(pol *policy.Policy) {
		pol.Coordinators = []policy.Party{{Key: next.VerifierKey, NATS: pol.Coordinators[0].NATS}}
	})}
	h.answers[statement] = seal(t, next, attest.Receipt{
		Coordinator: next.Name(), Rebuilder: name, Issued: attest.At(time.Now()), Counted: []attest.Digest{statement},
	})
	h.mu.Unlock()
	eventually(t, "receipt of the new coordinator", func() bool { return p.has(o, "receipt.json") })
}

func TestAgentsOfOneRebuilderShareReceiptsHarmlessly(t *testing.T) {
	h := newHouse(t, nil)
	parties := []*party{h.party(t), h.party(t)}
	begun, open := make(chan string, 2), make(chan struct{})
	for _, p := range parties {
		p.Patience = moment
		b, o := p.quick.gate()
		go func() {
			select {
			case v := <-b:
				begun <- v
			case <-t.Context().Done():
			}
			select {
			case <-open:
				close(o)
			case <-t.Context().Done():
			}
		}()
		p.start(t)
	}
	orders := []*order{h.sent(t), h.sent(t)}
	<-begun
	<-begun
	close(open) // each agent has one of the two
	for _, o := range orders {
		h.wantOutcome(t, o, attest.Built)
	}
	// Whichever agent gets a pushed receipt, the other one asks.
	for _, o := range orders {
		d := digest(t, h.statement(t, o))
		e := h.receipt(t, d)
		h.mu.Lock()
		h.answers[d] = e
		h.mu.Unlock()
		h.push(t, e)
	}
	for _, p := range parties {
		eventually(t, "end of both duties", func() bool { return len(p.Spool.Pending(0)) == 0 })
		if p.quick.count(orders[0])+p.quick.count(orders[1]) != 1 {
			t.Error("the agents did not share the work")
		}
		if p.log.has("level=ERROR") || p.log.has("ignored") {
			t.Error("another agent's receipt is trouble")
		}
	}
}

func TestAfterARestoreTheStatementsAreReplayed(t *testing.T) {
	h := newHouse(t, nil)
	spool := filepath.Join(t.TempDir(), "spool")
	p := h.partyOf(t, spool).start(t)
	o := h.sent(t)
	statement := digest(t, h.statement(t, o))
	h.push(t, h.receipt(t, statement))
	eventually(t, "receipt", func() bool { return p.has(o, "receipt.json") })
	receipt := string(p.file(t, o, "receipt.json"))
	p.stop()

	p = h.partyOf(t, spool).start(t) // an ordinary restart owes nothing
	if n := len(p.Spool.Pending(0)); n != 0 {
		t.Errorf("%d statements pending after a receipt", n)
	}
	if err := p.Spool.Replay(); err != nil {
		t.Fatal(err)
	}
	p.stop()
	p = h.partyOf(t, spool)
	p.Patience = moment
	p.start(t)
	if err := p.Spool.Replay(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the statement again", func() bool { return len(h.statements(t, o.release)) == 2 })
	h.push(t, h.rejection(t, name, statement)) // too late for the restored coordinator
	eventually(t, "end of the duty", func() bool { return len(p.Spool.Pending(0)) == 0 })
	if string(p.file(t, o, "receipt.json")) != receipt {
		t.Error("the first receipt was replaced")
	}
}
