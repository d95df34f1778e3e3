package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// connectTimeout bounds one attempt to connect, with its handshakes.
	connectTimeout = 5 * time.Second
	// reconnectWait is the pause between attempts after a connection was lost;
	// NATS adds jitter.
	reconnectWait = 500 * time.Millisecond
	// publishTimeout bounds the wait for JetStream's acknowledgement.
	publishTimeout = 10 * time.Second
	// closePatience bounds the sending of what is left when something ends.
	closePatience = 2 * time.Second
	// maxAsync bounds the unacknowledged messages of one call to publish.
	maxAsync = 256
)

// Config says where the bus is and who is calling.
type Config struct {
	URL      string // nats://, tls://, ws:// or wss://, several separated by commas; no secrets in it
	CAFile   string // PEM roots for TLS; empty means the system's
	SeedFile string // nkey seed, see LoadSeed
	Identity Identity
	Logger   *slog.Logger // nil discards
}

// Conn is a party's connection. It reconnects for ever; calls made meanwhile
// wait as long as their contexts and time-outs let them. All methods may be
// called concurrently.
type Conn struct {
	id      Identity
	log     *slog.Logger
	nc      *nats.Conn
	js      jetstream.JetStream
	denials denials
	metrics *metrics
	buffers buffers
	closed  chan struct{}
	once    sync.Once
}

// Connect connects and proves the identity by its nkey. While the server is
// away it tries again until ctx ends; a key that the server does not know is an
// error at once, of KindDenied.
func Connect(ctx context.Context, cfg Config) (*Conn, error) {
	if err := cfg.Identity.Check(); err != nil {
		return nil, err
	}
	if err := checkURL(cfg.URL); err != nil {
		return nil, err
	}
	seed, err := LoadSeed(cfg.SeedFile)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		id:      cfg.Identity,
		log:     cfg.Logger,
		metrics: newMetrics(),
		closed:  make(chan struct{}),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	options := append(c.options(), nats.Nkey(seed.Public(), seed.sign))
	if cfg.CAFile != "" {
		options = append(options, nats.RootCAs(cfg.CAFile))
	}
	if err := c.dial(ctx, cfg.URL, seed.Public(), options); err != nil {
		return nil, err
	}
	c.js, err = jetstream.NewWithAPIPrefix(c.nc, c.id.api(),
		jetstream.WithPublishAsyncMaxPending(4*maxAsync), jetstream.WithPublishAsyncTimeout(publishTimeout))
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("preparing JetStream: %w", err)
	}
	c.metrics.connected.Set(1)
	return c, nil
}

// checkURL refuses credentials in an address, since addresses are logged.
func checkURL(addresses string) error {
	if addresses == "" {
		return errors.New("connecting to NATS: no address")
	}
	for _, address := range splitAddresses(addresses) {
		u, err := url.Parse(address)
		if err != nil {
			return errors.New("connecting to NATS: the address is no URL") // the parser's error would repeat it
		}
		if u.User != nil {
			return errors.New("connecting to NATS: the address holds a user or password; a party proves itself by its nkey seed file alone")
		}
	}
	return nil
}

func (c *Conn) options() []nats.Option {
	return []nats.Option{
		nats.Name("reprosign " + c.id.String()),
		nats.CustomInboxPrefix(c.id.inbox()),
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		// A server that is being reconfigured may not know the key for a moment.
		nats.IgnoreAuthErrorAbort(),
		nats.ErrorHandler(c.asyncError),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			c.metrics.connected.Set(0)
			if err != nil {
				c.log.Warn("nats connection lost", slog.Any("error", err))
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			c.metrics.connected.Set(1)
			c.metrics.reconnects.Inc()
			c.log.Info("nats connection restored", slog.String("url", nc.ConnectedUrl()))
		}),
		nats.ClosedHandler(func(*nats.Conn) {
			c.metrics.connected.Set(0)
			close(c.closed)
		}),
	}
}

// dial connects, and tries again while there is nobody to answer.
func (c *Conn) dial(ctx context.Context, addresses, public string, options []nats.Option) error {
	waiting := false
	for {
		nc, err := nats.Connect(addresses, options...)
		if err == nil {
			c.nc = nc
			return nil
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return failed(err, KindDenied, "NATS at %s does not know the nkey %s of %s; the policy must name it, and the server must have been given that policy's configuration", addresses, public, c.id)
		}
		if !away(err) {
			return failed(err, KindUnavailable, "connecting to NATS at %s", addresses)
		}
		if !waiting {
			c.log.WarnContext(ctx, "nats is away, waiting for it", slog.String("url", addresses), slog.Any("error", err))
			waiting = true
		}
		if err := pause(ctx, reconnectWait); err != nil {
			return failed(err, KindUnavailable, "connecting to NATS at %s", addresses)
		}
	}
}

// away tells a server that is not there yet from one that will never do.
func away(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, io.EOF)
}

// asyncError receives what the server reports beside the calls.
func (c *Conn) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		c.metrics.violations.Inc()
		c.denials.report(err)
		c.log.Error("nats refused a subject", slog.Any("error", err))
	case errors.Is(err, nats.ErrSlowConsumer):
		// JetStream sends again what was dropped here, after AckWait.
		c.metrics.slow.Inc()
		c.log.Warn("nats messages dropped, reading too slowly", slog.String("subject", subject))
	default:
		c.log.Warn("nats reported an error", slog.String("subject", subject), slog.Any("error", err))
	}
}

// Identity returns who is connected.
func (c *Conn) Identity() Identity { return c.id }

// Connected reports whether there is a connection now: a health check.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Close sends what is still buffered, for at most two seconds, and ends the
// connection. Closing again does nothing.
func (c *Conn) Close() {
	c.once.Do(func() {
		if err := c.flush(); err != nil {
			c.log.Warn("nats connection closed with messages unsent", slog.Any("error", err))
		}
		c.nc.Close()
	})
	<-c.closed
}

// flush waits until the server has all that was sent, and this side all that
// the server had sent before it.
func (c *Conn) flush() error {
	if !c.nc.IsConnected() {
		return nil
	}
	return c.nc.FlushTimeout(closePatience)
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
