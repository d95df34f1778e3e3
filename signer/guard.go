package signer

import (
	"context"
	"log/slog"
	"runtime/debug"

	"github.com/reprosign/reprosign/internal/bus"
)

// guard turns a panic into an error. The bus does so for the goroutine that
// handles a request; a request that has more of them needs it in each, or one bad
// message would end the signer, and again after each start.
func (s *Signer) guard(ctx context.Context, do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "work on a request panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = refusal(bus.KindInternal, "internal error, logged by the signer")
		}
	}()
	return do()
}
