package bus_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/micro"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/internal/bus"
)

// fakeAPI is a coordinator that knows one release.
type fakeAPI struct {
	submit   func(publisher string) bus.SubmitReply
	status   func(ctx context.Context, q bus.StatusRequest) bus.StatusReply
	policies func(after uint64) bus.PolicyReply
}

func (f *fakeAPI) Submit(_ context.Context, publisher string, _ bus.SubmitRequest) bus.SubmitReply {
	return f.submit(publisher)
}

func (f *fakeAPI) Status(ctx context.Context, q bus.StatusRequest) bus.StatusReply {
	if f.status == nil {
		return bus.StatusReply{}
	}
	return f.status(ctx, q)
}

func (f *fakeAPI) Policies(_ context.Context, q bus.PolicyRequest) bus.PolicyReply {
	if f.policies == nil {
		return bus.PolicyReply{Policies: []*attest.Envelope{}}
	}
	return f.policies(q.After)
}

func (f *fakeAPI) Receipts(_ context.Context, rebuilder string, _ bus.ReceiptsRequest) bus.ReceiptsReply {
	return bus.ReceiptsReply{Error: bus.Errorf(bus.KindNotFound, "none for %s", rebuilder)}
}

func (f *fakeAPI) Withdraw(context.Context, bus.WithdrawRequest) bus.WithdrawReply {
	return bus.WithdrawReply{Release: digestOf("withdrawn")}
}

func (f *fakeAPI) Complain(_ context.Context, rebuilder string, q bus.ComplainRequest) bus.ComplainReply {
	if q.Complaint == nil {
		return bus.ComplainReply{Error: bus.Errorf(bus.KindInvalid, "nothing to complain about for %s", rebuilder)}
	}
	return bus.ComplainReply{Complaint: q.Complaint.Digest()}
}

// serveAPI serves and returns when the service answers.
func serveAPI(t *testing.T, h *house, id bus.Identity, api bus.API) {
	t.Helper()
	c := h.connect(t, id)
	run(t, func(ctx context.Context) error { return c.ServeAPI(ctx, api) })
	a := h.connect(t, alpha)
	if _, err := available(t, func() (bus.WithdrawReply, error) { return a.Withdraw(within(t), bus.WithdrawRequest{}) }); err != nil {
		t.Fatal(err)
	}
}

func TestRequestsReachTheAPIWithTheirSender(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	serveAPI(t, h, one, &fakeAPI{submit: func(publisher string) bus.SubmitReply {
		return bus.SubmitReply{Release: digestOf(publisher), Attempt: 1}
	}})
	for _, id := range []bus.Identity{press, other} {
		r, err := h.connect(t, id).Submit(within(t), id.Name, bus.SubmitRequest{})
		if err != nil || r.Release != digestOf(id.Name) {
			t.Errorf("submit of %v: got %v, %v", id, r, err)
		}
	}
	_, err := h.connect(t, beta).AskReceipts(within(t), "beta", bus.ReceiptsRequest{})
	wantKind(t, err, bus.KindNotFound, "none for beta")
	_, err = h.connect(t, beta).Complain(within(t), "beta", bus.ComplainRequest{})
	wantKind(t, err, bus.KindInvalid, "about for beta")
	complaint := envelope(t, "complaint")
	if r, err := h.connect(t, beta).Complain(within(t), "beta", bus.ComplainRequest{Complaint: complaint}); err != nil || r.Complaint != complaint.Digest() {
		t.Errorf("complaint: got %v, %v", r, err)
	}
	if r, err := h.connect(t, press).Policies(within(t), bus.PolicyRequest{After: 3}); err != nil || r.Policies == nil {
		t.Errorf("policies: got %v, %v", r, err)
	}
}

func TestBadRequestsAreAnsweredInvalid(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	serveAPI(t, h, one, &fakeAPI{})
	p := h.connect(t, press)
	digest := digestOf("x").String()
	for name, data := range map[string]string{
		"nothing":          "",
		"no JSON":          "hello",
		"null letter case": `{"Release":"` + digest + `"}`,
		"unknown member":   `{"release":"` + digest + `","more":1}`,
		"repeated member":  `{"release":"` + digest + `","release":"` + digest + `"}`,
		"trailing data":    `{"release":"` + digest + `"} {}`,
		"no key":           `{}`,
		"two keys":         `{"release":"` + digest + `","request":"` + digest + `"}`,
		"waits too long":   `{"release":"` + digest + `","waitSeconds":56}`,
		"waits negatively": `{"release":"` + digest + `","waitSeconds":-1}`,
		"too large":        `{"release":"` + strings.Repeat(" ", bus.MaxRequest) + `"}`,
	} {
		m, err := p.Raw().RequestWithContext(within(t), "api.v1.status", []byte(data))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := m.Header.Get(micro.ErrorCodeHeader); got != "invalid" {
			t.Errorf("%s: got code %q", name, got)
		}
		if m.Header.Get(micro.ErrorHeader) == "" || !strings.Contains(string(m.Data), `"kind":"invalid"`) {
			t.Errorf("%s: got %v %s", name, m.Header, m.Data)
		}
	}
}

func TestPanicInAHandlerIsAnInternalErrorAndNoCrash(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	serveAPI(t, h, one, &fakeAPI{submit: func(string) bus.SubmitReply { panic("secret detail") }})
	p := h.connect(t, press)
	for range 2 * 16 { // more than may run at one time: slots are given back
		_, err := p.Submit(within(t), "press", bus.SubmitRequest{})
		wantKind(t, err, bus.KindInternal)
		if strings.Contains(err.Error(), "secret detail") {
			t.Fatalf("the panic reached the other side: %v", err)
		}
	}
}

// Room for messages is used again: none may hold anything of another one.
func TestManyWhoAskAtOnceGetTheAnswersToTheirOwnQuestions(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	answer := func(release attest.Digest) []byte { // of 32 bytes to 64 KiB
		return bytes.Repeat(release[:], 1<<(release[0]%12))
	}
	serveAPI(t, h, one, &fakeAPI{status: func(_ context.Context, q bus.StatusRequest) bus.StatusReply {
		return bus.StatusReply{Evidence: answer(q.Release)}
	}})
	c := h.connect(t, alpha)
	var all sync.WaitGroup
	for asker := range 8 {
		all.Go(func() {
			for n := range 32 {
				text := fmt.Sprint(asker, n)
				q := bus.StatusRequest{Release: digestOf(text)}
				if r, err := c.Status(within(t), q); err != nil || !bytes.Equal(r.Evidence, answer(q.Release)) {
					t.Errorf("status: got %d bytes beginning with %.8x, %v", len(r.Evidence), r.Evidence, err)
				}
				complaint := &attest.Envelope{Payload: answer(q.Release)}
				if r, err := c.Complain(within(t), "alpha", bus.ComplainRequest{Complaint: complaint}); err != nil || r.Complaint != complaint.Digest() {
					t.Errorf("complaint: got %v, %v", r.Complaint, err)
				}
			}
		})
	}
	all.Wait()
}

func TestTooLargeAnswerIsAnError(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	serveAPI(t, h, one, &fakeAPI{status: func(context.Context, bus.StatusRequest) bus.StatusReply {
		return bus.StatusReply{Evidence: make([]byte, bus.MaxMessage)}
	}})
	_, err := h.connect(t, press).Status(within(t), bus.StatusRequest{Release: digestOf("x")})
	wantKind(t, err, bus.KindInternal, "too large")
}

func TestPoliciesAreAskedForUntilAllAreThere(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t, evidencetest.Options{})
	var all []*attest.Envelope
	for serial := range uint64(5) {
		p := w.Policy
		if p.Serial = serial + 1; serial > 0 {
			p.Previous = all[serial-1].Digest()
		}
		all = append(all, w.Seal(t, p))
	}
	for name, test := range map[string]struct {
		policies func(after uint64) bus.PolicyReply
		refused  string
	}{
		"two at a time": {func(after uint64) bus.PolicyReply {
			last := min(after+2, uint64(len(all)))
			return bus.PolicyReply{Policies: all[after:last], More: last < uint64(len(all))}
		}, ""},
		"the same again and again": {func(uint64) bus.PolicyReply { return bus.PolicyReply{Policies: all[:2], More: true} }, "end with policy 2"},
		"more of nothing":          {func(uint64) bus.PolicyReply { return bus.PolicyReply{More: true} }, "without policies"},
		"no policy":                {func(uint64) bus.PolicyReply { return bus.PolicyReply{Policies: []*attest.Envelope{all[0], nil}} }, "a policy that is none"},
		"more without end": {func(after uint64) bus.PolicyReply {
			p := w.Policy
			p.Serial, p.Previous = after+2, w.Version.Digest
			return bus.PolicyReply{Policies: []*attest.Envelope{w.Seal(t, p)}, More: true}
		}, "more than 16 answers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHouse(t)
			serveAPI(t, h, one, &fakeAPI{policies: test.policies})
			r, err := h.connect(t, press).Policies(within(t), bus.PolicyRequest{})
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("got %v, want …%s…", err, test.refused)
				}
				return
			}
			if err != nil || len(r.Policies) != len(all) || r.More {
				t.Errorf("%d policies of %d, %v", len(r.Policies), len(all), err)
			}
		})
	}
}

func TestStatusWaitsUntilTheStateOrTheEnd(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	var asked atomic.Int32
	answers := []bus.StatusReply{
		{Release: &bus.ReleaseStatus{State: "building"}},
		{Error: bus.Errorf(bus.KindUnavailable, "restarting")},
		{Release: &bus.ReleaseStatus{State: "agreed"}},
		{Release: &bus.ReleaseStatus{State: "signed"}},
	}
	serveAPI(t, h, one, &fakeAPI{status: func(_ context.Context, q bus.StatusRequest) bus.StatusReply {
		if q.WaitSeconds != bus.MaxWait || q.WaitFor != "logged" {
			t.Errorf("got %+v", q)
		}
		return answers[min(int(asked.Add(1)), len(answers))-1]
	}})
	p := h.connect(t, press)
	r, err := p.Status(within(t), bus.StatusRequest{Release: digestOf("x"), WaitFor: "logged"})
	if err != nil || r.Release.State != "signed" || asked.Load() != 4 {
		t.Errorf("got %+v, %v after %d questions", r.Release, err, asked.Load())
	}
}

func TestStatusReturnsAFinalRelease(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	serveAPI(t, h, one, &fakeAPI{status: func(context.Context, bus.StatusRequest) bus.StatusReply {
		return bus.StatusReply{Release: &bus.ReleaseStatus{State: "conflict", Final: true, Votes: []bus.VoteStatus{}}}
	}})
	r, err := h.connect(t, press).Status(within(t), bus.StatusRequest{Release: digestOf("x"), WaitFor: "signed"})
	if err != nil || r.Release.State != "conflict" {
		t.Errorf("got %+v, %v", r.Release, err)
	}
}

func TestReachedFollowsTheWayOfASignedRelease(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		state, wanted string
		want          bool
	}{
		{"building", "building", true},
		{"building", "agreed", false},
		{"signed", "logged", true},
		{"logged", "signed", false},
		{"held", "signed", false},
		{"held", "held", true},
		{"expired", "building", false},
		{"signed", "conflict", false},
		{"", "signed", false},
	} {
		if got := bus.Reached(test.state, test.wanted); got != test.want {
			t.Errorf("Reached(%q, %q): got %v", test.state, test.wanted, got)
		}
	}
}

// device is a signer whose answers name the question.
type device struct{}

func (device) Decide(_ context.Context, q bus.DecideRequest) bus.DecideReply {
	var r bus.DecideReply
	for _, c := range q.Cases {
		if len(c.Votes) == 0 {
			r.Results = append(r.Results, bus.DecideResult{Error: bus.Errorf(bus.KindNotReady, "no votes for %q", c.Opening.Payload)})
			continue
		}
		r.Results = append(r.Results, bus.DecideResult{Decision: c.Votes[0]})
	}
	return r
}

func (device) Sign(_ context.Context, q bus.SignRequest) bus.SignReply {
	if q.Certificate == "" {
		return bus.SignReply{Error: bus.Errorf(bus.KindNotReady, "not in the log yet")}
	}
	return bus.SignReply{Signatures: [][]byte{[]byte(q.Certificate)}}
}

func TestSignersAnswerCoordinators(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c := h.connect(t, one)
	_, err := c.Sign(within(t), bus.SignRequest{})
	wantKind(t, err, bus.KindUnavailable, "nobody is there")

	s := h.connect(t, hsm)
	stop := run(t, func(ctx context.Context) error { return s.ServeSigner(ctx, device{}) })
	voted := bus.DecideCase{Opening: envelope(t, "opening"), Request: envelope(t, "request"), Votes: []*attest.Envelope{envelope(t, "vote")}}
	silent := bus.DecideCase{Opening: envelope(t, "<other> \"opening\""), Request: envelope(t, "request")}
	d, err := available(t, func() (bus.DecideReply, error) {
		return c.Decide(within(t), bus.DecideRequest{Cases: []bus.DecideCase{voted, silent}})
	})
	want := bus.DecideReply{Results: []bus.DecideResult{
		{Decision: envelope(t, "vote")}, {Error: bus.Errorf(bus.KindNotReady, `no votes for "<other> \"opening\""`)},
	}}
	if diff := cmp.Diff(want, d); err != nil || diff != "" {
		t.Errorf("decide: %v (-want +got):\n%s", err, diff)
	}
	_, err = c.Decide(within(t), bus.DecideRequest{Cases: make([]bus.DecideCase, 1)})
	wantKind(t, err, bus.KindInvalid, "lacks")
	r, err := c.Sign(within(t), bus.SignRequest{Certificate: "A1"})
	if err != nil || len(r.Signatures) != 1 || string(r.Signatures[0]) != "A1" {
		t.Errorf("sign: got %v, %v", r, err)
	}
	_, err = c.Sign(within(t), bus.SignRequest{})
	wantKind(t, err, bus.KindNotReady, "not in the log yet")
	_, err = c.Sign(within(t), bus.SignRequest{States: make([]attest.State, bus.MaxMessage/2)})
	wantKind(t, err, bus.KindInvalid, "at most 4194304")
	stop()
	_, err = c.Sign(within(t), bus.SignRequest{})
	wantKind(t, err, bus.KindUnavailable)
}
