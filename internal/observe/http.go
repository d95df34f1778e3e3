package observe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// ServeHTTP answers requests until ctx ends, and then those that are under way,
// for at most patience. It returns nil if all of them were answered, and closes
// the listener in any case.
func ServeHTTP(ctx context.Context, server *http.Server, listener net.Listener, patience time.Duration) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// A context of its own: that of the process has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
