package bus

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// deed is what the server may refuse, in its own words.
type deed string

const (
	publishing  deed = "Publish"
	subscribing deed = "Subscription"
)

// A refusal reads: Permissions Violation for Publish to "vote.beta".
var refusal = regexp.MustCompile(`(?i)violation for (Publish|Subscription) to "([^"]+)"`)

// denials passes refusals of the server on to the calls that they concern.
// The server reports them beside the calls, which would otherwise end in a
// time-out that says nothing.
type denials struct {
	mu       sync.Mutex
	watchers map[*watcher]struct{}
}

type watcher struct {
	deed   deed
	prefix string // of the subject
	tell   func(error)
}

// report tells everybody concerned about a refusal.
func (d *denials) report(err error) {
	match := refusal.FindStringSubmatch(err.Error())
	if match == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for w := range d.watchers {
		if strings.EqualFold(match[1], string(w.deed)) && strings.HasPrefix(match[2], w.prefix) {
			w.tell(err)
		}
	}
}

func (d *denials) watch(w *watcher) (stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watchers == nil {
		d.watchers = make(map[*watcher]struct{})
	}
	d.watchers[w] = struct{}{}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watchers, w)
	}
}

// guard returns a context that ends, with an error of KindDenied as its cause,
// as soon as the server refuses the deed on a subject with the prefix.
func (c *Conn) guard(ctx context.Context, what deed, prefix string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	verb := "publish to"
	if what == subscribing {
		verb = "subscribe to"
	}
	stop := c.denials.watch(&watcher{what, prefix, func(err error) {
		cancel(failed(err, KindDenied, "NATS does not let %s %s %s", c.id, verb, prefix))
	}})
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// explain turns what NATS or the context say about a call into an error with a
// kind. ctx is the guarded context of the call.
func (c *Conn) explain(ctx context.Context, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	var known *Error
	if errors.As(context.Cause(ctx), &known) {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	var api *jetstream.APIError
	// Codes of JetStream; the second is that of every limit of a stream.
	const tooLargeForStream, notStored = 10054, 10077
	switch {
	case errors.As(err, &known):
		return fmt.Errorf("%s: %w", what, err)
	case errors.Is(err, nats.ErrMaxPayload), errors.As(err, &api) && api.ErrorCode == tooLargeForStream:
		return failed(err, KindInvalid, "%s: message is too large", what)
	case errors.As(err, &api) && api.ErrorCode == notStored && strings.Contains(api.Description, "per subject"):
		return failed(err, KindUnavailable, "%s: as many votes of this rebuilder as may wait for a coordinator already do, no more are taken until it has stored some", what)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return failed(err, KindUnavailable, "%s: nobody is there to answer", what)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return failed(err, KindUnavailable, "%s", what)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout), errors.Is(err, jetstream.ErrAsyncPublishTimeout):
		state := "connected"
		if !c.nc.IsConnected() {
			state = "not connected"
		}
		return failed(err, KindUnavailable, "%s: no answer in time (%s)", what, state)
	}
	return failed(err, KindUnavailable, "%s", what)
}
