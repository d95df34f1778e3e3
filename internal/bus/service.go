package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// handler answers one request. A nil error with a reply that holds an Error is
// an answer too.
type handler func(ctx context.Context, subject string, data []byte) (reply any, problem *Error)

// endpoint is one subject of a service.
type endpoint struct {
	name    string
	subject string
	handle  handler
	// limit bounds a request in bytes, atOnce the requests handled at one time.
	// Further ones wait in the connection's buffer, so their senders may give up.
	limit  int
	atOnce int
	// guests, if not zero, bounds the requests of other accounts that are handled
	// at one time, beside those of the house. Further ones are refused: else one party
	// that lets many questions wait would keep the house waiting behind them.
	guests int
	time   time.Duration // bounds the handling of one request
	// asker, if set, is the one role within the house that may ask here.
	asker Role
}

// service runs handlers for requests. Requests and replies are JSON; a problem
// is both in the reply's member "error" and, for the tools of NATS, in the
// headers that its micro services use.
type service struct {
	conn    *Conn
	ctx     context.Context //nolint:containedctx // requests come from NATS, which knows no contexts
	mu      sync.Mutex
	ended   bool // no request is begun any more
	running sync.WaitGroup
}

// begin runs do beside others, unless the service has ended.
func (s *service) begin(do func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.running.Go(do)
	return true
}

// end waits for the requests in hand.
func (s *service) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.running.Wait()
}

// receiver returns the function that takes the requests of an endpoint.
func (s *service) receiver(e endpoint) func(subject, reply string, data []byte) {
	house, guests := make(chan struct{}, e.atOnce), make(chan struct{}, e.guests)
	return func(subject, reply string, data []byte) {
		s.conn.metrics.count(received, subject, len(data))
		if !e.answerable(reply) {
			return
		}
		slots := house
		if e.guests > 0 && fromOutside(reply) {
			slots = guests
			if len(guests) == e.guests { // nobody else fills it
				s.refuse(subject, reply, "too many ask at this moment; ask again")
				return
			}
		}
		select {
		case slots <- struct{}{}:
		case <-s.ctx.Done():
		}
		if s.ctx.Err() != nil {
			s.refuse(subject, reply, stopping)
			return
		}
		begun := s.begin(func() {
			defer func() { <-slots }()
			s.answer(e, subject, reply, data)
		})
		if !begun {
			s.refuse(subject, reply, stopping)
		}
	}
}

const stopping = "service is stopping; ask again"

// refuse answers what cannot be handled now: the other side asks again, and
// does not wait for its time-out first.
func (s *service) refuse(subject, reply, why string) {
	problem := Errorf(KindUnavailable, "%s", why)
	data, _ := encode(problemReply{problem}, MaxMessage) // cannot be too large
	s.send(subject, &nats.Msg{Subject: reply, Data: data}, problem)
}

// answerable admits the replies of other accounts and inboxes, where the house
// has one role that asks, only those of that role. The reply subject is the
// sender's word: an answer must not become a message on any subject that this
// party happens to be allowed.
func (e *endpoint) answerable(reply string) bool {
	inbox := "_INBOX_"
	if e.asker != "" {
		inbox += string(e.asker) + "_"
	}
	return strings.HasPrefix(reply, inbox) || fromOutside(reply)
}

// fromOutside reports whether a reply is to another account: the server has put
// its own subject in the place of the sender's.
func fromOutside(reply string) bool { return strings.HasPrefix(reply, "_R_.") }

func (s *service) answer(e endpoint, subject, reply string, data []byte) {
	ctx, cancel := context.WithTimeout(s.ctx, e.time)
	defer cancel()
	value, problem := s.protect(ctx, e, subject, data)
	answer := s.conn.buffers.get()
	defer s.conn.buffers.put(answer)
	if err := encodeInto(answer, value); err != nil {
		problem = Errorf(KindInternal, "internal error, logged at the other side")
		if answer.Len() > MaxMessage {
			problem = Errorf(KindInternal, "answer is too large for the bus; fetch it over HTTP")
		}
		s.conn.log.ErrorContext(ctx, "answer not encoded", slog.String("endpoint", e.name), slog.Any("error", err))
		answer.Reset()
		_ = encodeInto(answer, problemReply{problem}) // cannot be too large
	}
	s.send(subject, &nats.Msg{Subject: reply, Data: answer.Bytes()}, problem)
}

func (s *service) send(subject string, m *nats.Msg, problem *Error) {
	if problem != nil {
		m.Header = nats.Header{
			micro.ErrorCodeHeader: {string(problem.Kind)},
			micro.ErrorHeader:     {headerText(problem.Message)},
		}
	}
	if err := s.conn.nc.PublishMsg(m); err != nil {
		s.conn.log.Warn("nats answer not sent", slog.String("subject", subject), slog.Any("error", err))
		return
	}
	s.conn.metrics.count(sent, subject, len(m.Data))
}

// protect calls the handler and turns a panic into an error: one request must
// not end the service of the others.
func (s *service) protect(ctx context.Context, e endpoint, subject string, data []byte) (value any, problem *Error) {
	defer func() {
		if p := recover(); p != nil {
			s.conn.log.ErrorContext(ctx, "request handler panicked", slog.String("endpoint", e.name),
				slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			problem = Errorf(KindInternal, "internal error, logged at the other side")
			value = problemReply{problem}
		}
	}()
	if len(data) > e.limit {
		problem = Errorf(KindInvalid, "request of %d bytes, at most %d allowed", len(data), e.limit)
		return problemReply{problem}, problem
	}
	return e.handle(ctx, subject, data)
}

// problemReply is the form that every reply has when it holds nothing but an error.
type problemReply struct {
	Error *Error `json:"error"`
}

// headerText keeps a message to one line of a header.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// respond makes a handler from a typed function. check refuses requests whose
// members make no sense together.
func respond[Q, R any](limit int, call func(ctx context.Context, party string, q Q) R, problemOf func(R) *Error) handler {
	return func(ctx context.Context, subject string, data []byte) (any, *Error) {
		var q Q
		if err := decode(data, limit, &q); err != nil {
			problem := Errorf(KindInvalid, "%v", err)
			return problemReply{problem}, problem
		}
		reply := call(ctx, lastToken(subject), q)
		return &reply, problemOf(reply)
	}
}

// serveQueue serves endpoints as a member of a queue group until ctx ends. Then
// it waits for the requests in hand and refuses those on their way.
func (c *Conn) serveQueue(ctx context.Context, queue string, endpoints []endpoint) error {
	ctx, done := c.guard(ctx, subscribing, "")
	defer done()
	s := &service{conn: c, ctx: ctx}
	defer s.end()
	for _, e := range endpoints {
		receive := s.receiver(e)
		sub, err := c.nc.QueueSubscribe(e.subject, queue, func(m *nats.Msg) { receive(m.Subject, m.Reply, m.Data) })
		if err != nil {
			return c.explain(ctx, err, "serving %s", e.subject)
		}
		defer c.drain(sub)
	}
	return c.untilDone(ctx)
}

// serveMicro serves endpoints as a NATS micro service, which the nats tools can
// find and ask for statistics.
func (c *Conn) serveMicro(ctx context.Context, config micro.Config, endpoints []endpoint) error {
	ctx, done := c.guard(ctx, subscribing, "")
	defer done()
	s := &service{conn: c, ctx: ctx}
	defer s.end()
	service, err := micro.AddService(c.nc, config)
	if err != nil {
		return fmt.Errorf("serving the request API: %w", err)
	}
	defer func() {
		// Stop drains the subscriptions; the flush brings what the server had
		// sent before it heard of that.
		if err := errors.Join(service.Stop(), c.flush()); err != nil && !c.nc.IsClosed() {
			c.log.WarnContext(ctx, "nats service not ended", slog.Any("error", err))
		}
	}()
	for _, e := range endpoints {
		receive := s.receiver(e)
		// Answers are sent by the service itself: micro's Request may not be
		// used after its handler has returned.
		handle := micro.HandlerFunc(func(r micro.Request) { receive(r.Subject(), r.Reply(), r.Data()) })
		if err := service.AddEndpoint(e.name, handle, micro.WithEndpointSubject(e.subject)); err != nil {
			return fmt.Errorf("serving %s: %w", e.subject, err)
		}
	}
	return c.untilDone(ctx)
}

// drain ends a subscription and returns when the messages that were on their
// way to it have been handled.
func (c *Conn) drain(sub *nats.Subscription) {
	drained := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(drained) })
	if err := sub.Drain(); err != nil {
		if !c.nc.IsClosed() {
			c.log.Warn("nats subscription not ended", slog.String("subject", sub.Subject), slog.Any("error", err))
		}
		return
	}
	timer := time.NewTimer(closePatience)
	defer timer.Stop()
	select {
	case <-drained:
	case <-c.closed:
	case <-timer.C:
		c.log.Warn("nats subscription not drained in time", slog.String("subject", sub.Subject))
	}
}

func (c *Conn) untilDone(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-c.closed:
		return failed(nil, KindUnavailable, "serving on the bus: connection closed")
	}
	if err := context.Cause(ctx); KindOf(err) == KindDenied {
		return err
	}
	return nil
}
