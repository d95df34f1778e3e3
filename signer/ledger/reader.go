package ledger

import (
	"context"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// Reader serves a log. It is not believed: whatever it returns is verified.
type Reader interface {
	// Read returns the newest published checkpoint, nil if there is none, and
	// entries below it from an index on, as many as it likes. If there are none
	// yet it waits for them, at most as long as it is told to.
	Read(ctx context.Context, from int64, wait time.Duration) (checkpoint []byte, entries []translog.Entry, err error)
	// Policies returns the signed policies of the log, in any order: those before
	// the pinned one are needed to read the entries under them.
	Policies(ctx context.Context) ([]*attest.Envelope, error)
}

// Bus is what reading over the message bus needs.
type Bus interface {
	ReadLog(ctx context.Context, q bus.LogRequest) (bus.LogReply, error)
	Policies(ctx context.Context, q bus.PolicyRequest) (bus.PolicyReply, error)
}

// OverBus returns the reader that asks the coordinators.
func OverBus(b Bus) Reader { return overBus{b} }

type overBus struct{ Bus }

// Read implements [Reader].
func (o overBus) Read(ctx context.Context, from int64, wait time.Duration) ([]byte, []translog.Entry, error) {
	seconds := min(int((wait+time.Second-1)/time.Second), bus.MaxLogWait)
	r, err := o.ReadLog(ctx, bus.LogRequest{From: from, WaitSeconds: seconds})
	return r.Checkpoint, r.Entries, err
}

// Policies implements [Reader].
func (o overBus) Policies(ctx context.Context) ([]*attest.Envelope, error) {
	r, err := o.Bus.Policies(ctx, bus.PolicyRequest{})
	return r.Policies, err
}
