package box

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsPatience bounds the start of the embedded NATS server, which includes
// reading its streams back from disk.
const natsPatience = time.Minute

// NATSOptions are what the machine decides about an embedded server. All else
// (users, permissions, limits, TLS, WebSocket) is in the configuration text.
type NATSOptions struct {
	// Dir is where JetStream keeps its streams; required. It replaces
	// store_dir of the configuration, which belongs to another machine.
	Dir string

	// Listen is the client address as host:port; port 0 picks a free one.
	// Empty leaves the configuration's.
	Listen string

	// Logger receives the server's own log. Nil discards it.
	Logger *slog.Logger
}

// NATS is a NATS server with JetStream inside this process.
type NATS struct {
	server *server.Server
	opts   NATSOptions
	log    *natsLog
}

// StartNATS starts a server from a configuration in the NATS configuration
// file format, the same text that configures the nats-server program of a real
// cluster, and returns when it accepts clients. The context bounds the start
// only: the server runs until Shutdown.
//
// The configuration must enable JetStream. Where it does not set sync_interval,
// every message is on disk before it is acknowledged: NATS's own default would
// lose two minutes.
func StartNATS(ctx context.Context, config string, opts NATSOptions) (*NATS, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	n := &NATS{opts: opts, log: &natsLog{output{logger: opts.Logger, server: "nats"}}}
	options, err := n.parse(config)
	if err != nil {
		return nil, err
	}
	n.server, err = server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("preparing the NATS server: %w", err)
	}
	n.server.SetLogger(n.log, options.Debug, options.Trace)

	ctx, cancel := context.WithTimeout(ctx, natsPatience)
	defer cancel()
	abandon := context.AfterFunc(ctx, n.server.Shutdown)
	// Start returns when the server listens, or when it has given up.
	n.server.Start()
	if !abandon() {
		n.Shutdown()
		return nil, fmt.Errorf("starting the NATS server: %w; its last lines:\n%s", ctx.Err(), n.log.last())
	}
	if !n.server.ReadyForConnections(pollInterval) {
		n.Shutdown()
		return nil, fmt.Errorf("starting the NATS server in %s; its last lines:\n%s", opts.Dir, n.log.last())
	}
	return n, nil
}

// parse reads the configuration and adds what the machine decides.
func (n *NATS) parse(config string) (*server.Options, error) {
	options := &server.Options{}
	if err := options.ProcessConfigString(config); err != nil {
		return nil, fmt.Errorf("parsing the NATS configuration: %w", err)
	}
	if !options.JetStream {
		return nil, errors.New("parsing the NATS configuration: no jetstream block")
	}
	if n.opts.Dir == "" {
		return nil, errors.New("starting the NATS server: no directory for its streams")
	}
	options.StoreDir = n.opts.Dir
	if options.SyncInterval == 0 {
		options.SyncAlways = true
	}
	if n.opts.Listen != "" {
		host, port, err := splitListen(n.opts.Listen)
		if err != nil {
			return nil, err
		}
		options.Host, options.Port = host, port
	}
	options.NoSigs = true // signals belong to the owner
	return options, nil
}

// splitListen reads host:port, where NATS spells port 0 its own way.
func splitListen(listen string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("reading the NATS listen address: %w", err)
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("reading the NATS listen address %s: %w", listen, err)
	}
	if number == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(number), nil
}

// ClientURL returns the address for clients, as nats:// or tls:// URL.
func (n *NATS) ClientURL() string { return n.server.ClientURL() }

// Reload applies a changed configuration text without a restart. Users and
// permissions change at once: clients that may no longer connect are closed.
// Changing what cannot change while running is an error and changes nothing.
//
// It is for tests, of what the operator of a cluster does by a signal after a new
// policy. A single box starts its server anew: a reload compares accounts while
// their clients change them.
//
// It applies the text twice: after one reload the service imports of an account
// that is new lead nowhere (nats-server 2.15.2), after the second they work.
func (n *NATS) Reload(config string) error {
	for range 2 {
		options, err := n.parse(config)
		if err != nil {
			return err
		}
		if err := n.server.ReloadOptions(options); err != nil {
			return fmt.Errorf("reloading the NATS configuration: %w", err)
		}
	}
	return nil
}

// Shutdown closes all clients, writes the streams out and stops the server.
// Shutting down again does nothing.
func (n *NATS) Shutdown() {
	n.server.Shutdown()
	n.server.WaitForShutdown()
}

// natsLog brings the server's log lines to slog, errors and warnings at their
// levels and all else at debug level.
type natsLog struct{ output }

var _ server.Logger = (*natsLog)(nil)

func (l *natsLog) Noticef(format string, v ...any) { l.line(format, v) }
func (l *natsLog) Debugf(format string, v ...any)  { l.line(format, v) }
func (l *natsLog) Tracef(format string, v ...any)  { l.line(format, v) }

func (l *natsLog) Warnf(format string, v ...any) {
	l.line(format, v)
	l.logger.Warn("nats warning", slog.String("line", fmt.Sprintf(format, v...)))
}

func (l *natsLog) Errorf(format string, v ...any) {
	l.line(format, v)
	l.logger.Error("nats error", slog.String("line", fmt.Sprintf(format, v...)))
}

// Fatalf only logs: the server gives up by itself after it, and StartNATS
// reports that with this line.
func (l *natsLog) Fatalf(format string, v ...any) { l.Errorf(format, v...) }

// line cannot fail, as output.Write does not.
func (l *natsLog) line(format string, v []any) {
	_, _ = l.Write([]byte(strings.ReplaceAll(fmt.Sprintf(format, v...), "\n", " ") + "\n"))
}
