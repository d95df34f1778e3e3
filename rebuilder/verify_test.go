package rebuilder_test

import (
	"sync"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

func TestTasksThatCouldNeverBeDecidedAreRefusedAndNothingIsBuilt(t *testing.T) {
	h := newHouse(t, func(p *policy.Policy) {
		// Two suites more: one without this rebuilder, one that the publisher may not use.
		closed, foreign := p.Suites[0], p.Suites[0]
		closed.Name, foreign.Name = "closed", "foreign"
		closed.Rebuilders = []string{"rebuilder-2", "rebuilder-3"}
		closed.Certificates = []policy.Certificate{{Fingerprint: evidencetest.Certify(t, "closed").Fingerprint(), Use: policy.UseArtifacts}}
		foreign.Certificates = []policy.Certificate{{Fingerprint: evidencetest.Certify(t, "foreign").Fingerprint(), Use: policy.UseArtifacts}}
		p.Suites = append([]policy.Suite{closed, foreign}, p.Suites...)
		p.Publishers[0].Suites = []string{"closed", evidencetest.Suite}
	})
	other := evidencetest.P256Key(t, "coordinator", "other")
	impostor := evidencetest.P256Key(t, "impostor", h.Coordinator.Name())
	stranger := evidencetest.Ed25519Key(t, "stranger", h.Publisher.Name())
	cases := map[string]struct {
		change func(*order)
		why    string
	}{
		"coordinator that the policy does not know": {func(o *order) {
			o.opening.Coordinator, o.Request = other.Name(), seal(t, h.Publisher, o.request)
			o.opening.Request = o.Request.Digest()
			o.Opening = seal(t, other, o.opening)
		}, "coordinator \\\"other\\\""},
		"foreign key under the coordinator's name": {func(o *order) {
			o.Request = seal(t, h.Publisher, o.request)
			o.opening.Request = o.Request.Digest()
			o.Opening = seal(t, impostor, o.opening)
		}, "signature"},
		"foreign key under the publisher's name": {func(o *order) { o.Request = seal(t, stranger, o.request) }, "signature"},
		"opening of another request":             {func(o *order) { o.opening.Request = attest.SHA256([]byte("other")) }, "opening is of another request"},
		"request instead of an opening":          {func(o *order) { o.Opening = seal(t, h.Publisher, o.request) }, "opening"},
		"policy that does not follow": {func(o *order) {
			o.opening.Policy = attest.SHA256([]byte("policy"))
		}, "does not follow from the pinned one"},
		"back-end not admitted":      {func(o *order) { o.request.Recipe.Backend = "debian" }, "does not build with back-end"},
		"suite not the publisher's":  {func(o *order) { o.request.Suite = "foreign" }, "may not request releases of suite"},
		"suite not this rebuilder's": {func(o *order) { o.request.Suite = "closed" }, "does not vote on amd64 in suite closed"},
		"architecture of nobody":     {func(o *order) { o.request.Architecture = "s390x" }, "s390x"},
		"deadline passed": {func(o *order) {
			o.opening.Opened, o.opening.Deadline = o.opening.Opened-100, o.opening.Opened-1
		}, "has passed"},
		"deadline later than the suite's": {func(o *order) { o.opening.Deadline += 2 }, "is later than suite"},
	}
	p := h.party(t)
	var mu sync.Mutex
	deliveries := map[attest.Digest]int{}
	p.line.delivered = func(m bus.TaskMessage) {
		mu.Lock()
		defer mu.Unlock()
		deliveries[m.Opening.Digest()]++
	}
	p.start(t)
	orders := map[string]*order{}
	for what, c := range cases {
		orders[what] = h.sent(t, c.change)
	}
	last := h.sent(t)
	h.wantOutcome(t, last, attest.Built)
	for what, c := range cases {
		o := orders[what]
		eventually(t, "refusal: "+what, func() bool { return p.log.has("task refused", o.release.String(), c.why) })
		if n := p.quick.count(o); n != 0 || p.has(o) || len(h.statements(t, o.release)) != 0 {
			t.Errorf("%s: built %d times, in the spool %v", what, n, p.has(o))
		}
		mu.Lock()
		if n := deliveries[o.release]; n != 1 {
			t.Errorf("%s: delivered %d times, want once", what, n)
		}
		mu.Unlock()
	}
}

// successor signs a changed policy that follows the house's.
func (h *house) successor(t *testing.T, change func(*policy.Policy)) *attest.Envelope {
	t.Helper()
	next := h.Policy
	next.Serial, next.Previous = next.Serial+1, h.Version.Digest
	if change != nil {
		change(&next)
	}
	return h.Seal(t, next)
}

func TestAnUnknownPolicyIsAskedForUntilItIsKnownAndThenTheOnlyOne(t *testing.T) {
	h := newHouse(t, nil)
	p := h.party(t)
	p.Patience = patience
	p.start(t)
	eventually(t, "the agent's first question for policies", func() bool { return h.questions() > 0 })
	before, successor := h.order(t), h.successor(t, nil)
	h.mu.Lock()
	h.policies, h.mute = []*attest.Envelope{successor}, 1
	h.mu.Unlock()
	o := h.sent(t, func(o *order) { o.opening.Policy, o.opening.PolicySerial = successor.Digest(), 2 })
	h.wantOutcome(t, o, attest.Built)
	if !p.log.has("task put back", o.release.String(), "database is away") || h.questions() < 3 {
		t.Errorf("%d questions for policies", h.questions())
	}

	// What the old policy's keys open is void from now on.
	h.send(t, before)
	eventually(t, "refusal", func() bool { return p.log.has("task refused", before.release.String(), "superseded by policy 2") })
	if p.quick.count(before) != 0 {
		t.Error("a release under a superseded policy was built")
	}
}

func TestAnAgentRefusesWhatItsOwnKeyCannotVoteOn(t *testing.T) {
	now := attest.At(time.Now())
	for what, c := range map[string]struct {
		change func(*policy.Policy)
		why    string
	}{
		"another key in the policy": {func(p *policy.Policy) {
			p.Rebuilders[0].Key = evidencetest.Ed25519Key(t, "new", name).VerifierKey
		}, "not by this agent's"},
		"key not valid any more": {func(p *policy.Policy) { p.Rebuilders[0].ValidUntil = now - 1 }, "lets rebuilder rebuilder-1 vote from"},
		"policy expired":         {func(p *policy.Policy) { p.Expires = now - 1 }, "expired"},
	} {
		t.Run(what, func(t *testing.T) {
			h := newHouse(t, c.change)
			p := h.party(t).start(t)
			o := h.sent(t)
			eventually(t, "refusal", func() bool { return p.log.has("task refused", o.release.String(), c.why) })
			if p.quick.count(o) != 0 {
				t.Error("built all the same")
			}
		})
	}
}
