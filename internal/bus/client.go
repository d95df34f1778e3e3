package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/micro"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

const (
	// requestTimeout bounds the wait for an answer of the API, beyond the time
	// that a status request itself asks to wait.
	requestTimeout = 20 * time.Second
	// maxPolicyPages bounds the answers that make one list of policies.
	maxPolicyPages = 16
)

// Submit sends a release request or a policy as a publisher.
func (c *Conn) Submit(ctx context.Context, publisher string, q SubmitRequest) (SubmitReply, error) {
	r, err := ask[SubmitReply](ctx, c, submitSubject(publisher), requestTimeout, q)
	return r, orProblem(err, r.Error)
}

// Policies asks for the policies after a serial, oldest first, until it has all.
func (c *Conn) Policies(ctx context.Context, q PolicyRequest) (PolicyReply, error) {
	all := PolicyReply{Policies: []*attest.Envelope{}}
	for range maxPolicyPages {
		r, err := ask[PolicyReply](ctx, c, subjectPolicy, requestTimeout, q)
		if err := orProblem(err, r.Error); err != nil {
			return r, err
		}
		if slices.Contains(r.Policies, nil) {
			return PolicyReply{}, errors.New("answer holds a policy that is none")
		}
		all.Policies = append(all.Policies, r.Policies...)
		if !r.More {
			return all, nil
		}
		if q.After, err = serialAfter(q.After, r.Policies); err != nil {
			return PolicyReply{}, err
		}
	}
	return PolicyReply{}, fmt.Errorf("the policies fill more than %d answers", maxPolicyPages)
}

// serialAfter returns the serial of the last policy, from which the next answer goes on.
func serialAfter(before uint64, policies []*attest.Envelope) (uint64, error) {
	if len(policies) == 0 {
		return 0, errors.New("answer without policies says that there are more")
	}
	last, err := policy.Parse(policies[len(policies)-1].Payload)
	if err != nil {
		return 0, err
	}
	if last.Serial <= before {
		return 0, fmt.Errorf("policies after %d end with policy %d", before, last.Serial)
	}
	return last.Serial, nil
}

// AskReceipts asks, as a rebuilder, what became of its statements.
func (c *Conn) AskReceipts(ctx context.Context, rebuilder string, q ReceiptsRequest) (ReceiptsReply, error) {
	r, err := ask[ReceiptsReply](ctx, c, receiptsSubject(rebuilder), requestTimeout, q)
	return r, orProblem(err, r.Error)
}

// Complain delivers, as a rebuilder, a complaint with what shows that it is
// justified.
func (c *Conn) Complain(ctx context.Context, rebuilder string, q ComplainRequest) (ComplainReply, error) {
	r, err := ask[ComplainReply](ctx, c, complainSubject(rebuilder), requestTimeout, q)
	return r, orProblem(err, r.Error)
}

// Withdraw delivers a withdrawal, whoever signed it.
func (c *Conn) Withdraw(ctx context.Context, q WithdrawRequest) (WithdrawReply, error) {
	r, err := ask[WithdrawReply](ctx, c, subjectWithdraw, requestTimeout, q)
	return r, orProblem(err, r.Error)
}

// Status asks for a release. With WaitFor it asks again and again until the
// release has reached that state or can reach it no more, WaitSeconds have
// passed (more than MaxWait is allowed here; zero means without end), or ctx
// ends. A coordinator that is away for a while does not end the waiting. When
// the time is over it returns the status as it is.
func (c *Conn) Status(ctx context.Context, q StatusRequest) (StatusReply, error) {
	if q.WaitFor == "" {
		return c.statusOnce(ctx, q)
	}
	var over <-chan time.Time
	end := time.Time{}
	if q.WaitSeconds > 0 {
		d := time.Duration(q.WaitSeconds) * time.Second
		end = time.Now().Add(d)
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	var wait backoff
	for {
		q.WaitSeconds = MaxWait
		if !end.IsZero() {
			q.WaitSeconds = min(MaxWait, max(0, int(time.Until(end)/time.Second)))
		}
		r, err := c.statusOnce(ctx, q)
		switch {
		case KindOf(err) == KindUnavailable && ctx.Err() == nil:
		case err != nil, r.Release == nil, r.Release.Final, Reached(r.Release.State, q.WaitFor):
			return r, err
		case q.WaitSeconds == MaxWait:
			wait.reset() // the coordinator did the waiting
		}
		select {
		case <-over:
			return r, err
		default:
		}
		if wait.pause(ctx) != nil {
			return r, c.explain(ctx, ctx.Err(), "waiting for a release to be %s", q.WaitFor)
		}
	}
}

func (c *Conn) statusOnce(ctx context.Context, q StatusRequest) (StatusReply, error) {
	patience := requestTimeout + time.Duration(q.WaitSeconds)*time.Second
	r, err := ask[StatusReply](ctx, c, subjectStatus, patience, q)
	return r, orProblem(err, r.Error)
}

// way is the order of the states that every signed release passes.
var way = [...]string{"building", "agreed", "logged", "signed"}

// Reached reports whether a release in state has reached, or passed, wanted.
func Reached(state, wanted string) bool {
	if state == wanted {
		return true
	}
	passed := false
	for _, s := range way {
		if s == wanted {
			passed = true
		}
		if s == state {
			return passed
		}
	}
	return false
}

// Decide asks a signer for verdicts. The whole request has to fit MaxMessage.
func (c *Conn) Decide(ctx context.Context, q DecideRequest) (DecideReply, error) {
	return ask[DecideReply](ctx, c, subjectDecide, MaxSignerTime, q)
}

// Sign asks a signer for signatures.
func (c *Conn) Sign(ctx context.Context, q SignRequest) (SignReply, error) {
	r, err := ask[SignReply](ctx, c, subjectSign, MaxSignerTime, q)
	return r, orProblem(err, r.Error)
}

// orProblem returns the error of a call: that of the transport, else the one
// in the reply.
func orProblem(err error, problem *Error) error {
	if err == nil && problem != nil {
		return problem
	}
	return err
}

// ask sends a request and reads the answer.
func ask[R, Q any](ctx context.Context, c *Conn, subject string, patience time.Duration, q Q) (R, error) {
	var reply R
	question := c.buffers.get()
	defer c.buffers.put(question)
	if err := encodeInto(question, &q); err != nil {
		return reply, c.explain(ctx, err, "asking %s", subject)
	}
	ctx, done := c.guard(ctx, publishing, subject)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m, err := c.nc.RequestWithContext(ctx, subject, question.Bytes())
	if err != nil {
		return reply, c.explain(ctx, err, "asking %s", subject)
	}
	c.metrics.count(sent, subject, question.Len())
	c.metrics.count(received, subject, len(m.Data))
	if m.Header.Get(micro.ErrorCodeHeader) != "" {
		// Whatever else the reply holds, this is the same in all of them.
		var p problemReply
		if err := json.Unmarshal(m.Data, &p); err == nil && p.Error != nil {
			return reply, c.explain(ctx, p.Error, "asking %s", subject)
		}
	}
	if err := decode(m.Data, MaxMessage, &reply); err != nil {
		return reply, c.explain(ctx, err, "reading the answer of %s", subject)
	}
	return reply, nil
}
