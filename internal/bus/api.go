package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/micro"
)

const (
	// MaxRequest bounds a request to the API, in bytes.
	MaxRequest = 1 << 20

	// maxRequests bounds the requests that a coordinator handles at one time,
	// for each endpoint, and maxWaits the status requests, most of which wait.
	maxRequests = 16
	maxWaits    = 2048

	apiName    = "reprosign"
	apiVersion = "1.0.0"
)

// API is what a coordinator answers. The implementation verifies every
// envelope; publisher and rebuilder are the parties that the NATS server has
// admitted to the subject. Problems are in the Error of the reply, with a
// message fit for the other side. Methods are called concurrently and must end
// with their context.
type API interface {
	Submit(ctx context.Context, publisher string, q SubmitRequest) SubmitReply
	// Status answers at once, or waits as the request asks, at most MaxWait seconds.
	Status(ctx context.Context, q StatusRequest) StatusReply
	Policies(ctx context.Context, q PolicyRequest) PolicyReply
	Receipts(ctx context.Context, rebuilder string, q ReceiptsRequest) ReceiptsReply
	Withdraw(ctx context.Context, q WithdrawRequest) WithdrawReply
	Complain(ctx context.Context, rebuilder string, q ComplainRequest) ComplainReply
}

// ServeAPI answers requests until ctx ends; coordinators share them. A handler
// that panics answers with KindInternal.
func (c *Conn) ServeAPI(ctx context.Context, api API) error {
	serve := func(name, subject string, atOnce int, handle handler) endpoint {
		return endpoint{
			name: name, subject: subject, handle: handle, limit: MaxRequest, atOnce: atOnce, time: MaxAPITime - 10*time.Second, asker: RoleSigner,
		}
	}
	return c.serveMicro(ctx, micro.Config{
		Name: apiName, Version: apiVersion, Description: "release requests, their status, and receipts",
	}, []endpoint{
		serve("submit", submitSubject("*"), maxRequests,
			respond(MaxRequest, api.Submit, func(r SubmitReply) *Error { return r.Error })),
		serve("status", subjectStatus, maxWaits,
			respond(MaxRequest, func(ctx context.Context, _ string, q StatusRequest) StatusReply {
				if problem := q.check(); problem != nil {
					return StatusReply{Error: problem}
				}
				return api.Status(ctx, q)
			}, func(r StatusReply) *Error { return r.Error })),
		serve("policy", subjectPolicy, maxRequests,
			respond(MaxRequest, func(ctx context.Context, _ string, q PolicyRequest) PolicyReply { return api.Policies(ctx, q) },
				func(r PolicyReply) *Error { return r.Error })),
		serve("receipts", receiptsSubject("*"), maxRequests,
			respond(MaxRequest, api.Receipts, func(r ReceiptsReply) *Error { return r.Error })),
		serve("withdraw", subjectWithdraw, maxRequests,
			respond(MaxRequest, func(ctx context.Context, _ string, q WithdrawRequest) WithdrawReply { return api.Withdraw(ctx, q) },
				func(r WithdrawReply) *Error { return r.Error })),
		serve("complain", complainSubject("*"), maxRequests,
			respond(MaxRequest, api.Complain, func(r ComplainReply) *Error { return r.Error })),
	})
}

// check reports why the request asks for nothing or for too much.
func (q StatusRequest) check() *Error {
	keys := 0
	for _, given := range []bool{!q.Release.IsZero(), !q.Request.IsZero(), !q.Artifact.IsZero()} {
		if given {
			keys++
		}
	}
	if keys != 1 {
		return Errorf(KindInvalid, "status request names %d of release, request and artifact, must name one", keys)
	}
	if q.WaitSeconds < 0 || q.WaitSeconds > MaxWait {
		return Errorf(KindInvalid, "status request waits %d seconds, at most %d allowed", q.WaitSeconds, MaxWait)
	}
	return nil
}

// Signer is what answers a coordinator's questions for verdicts and
// signatures. Methods are called concurrently.
type Signer interface {
	Decide(ctx context.Context, q DecideRequest) DecideReply
	Sign(ctx context.Context, q SignRequest) SignReply
}

// maxSignerRequests bounds the requests that a signer handles at one time.
const maxSignerRequests = 4

// ServeSigner answers coordinators until ctx ends; signers share the requests.
func (c *Conn) ServeSigner(ctx context.Context, signer Signer) error {
	const patience = MaxSignerTime - 10*time.Second
	serve := func(name, subject string, handle handler) endpoint {
		return endpoint{
			name: name, subject: subject, handle: handle, limit: MaxMessage, atOnce: maxSignerRequests, time: patience, asker: RoleCoordinator,
		}
	}
	return c.serveQueue(ctx, signerQueue, []endpoint{
		serve("decide", subjectDecide, respond(MaxMessage,
			func(ctx context.Context, _ string, q DecideRequest) DecideReply { return signer.Decide(ctx, q) },
			func(DecideReply) *Error { return nil })),
		serve("sign", subjectSign, respond(MaxMessage,
			func(ctx context.Context, _ string, q SignRequest) SignReply { return signer.Sign(ctx, q) },
			func(r SignReply) *Error { return r.Error })),
	})
}
