package program

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/observe"
)

// Log are the settings of a program's log, which goes to standard error.
type Log struct {
	Format string `toml:"format" help:"text or json"`
	Level  string `toml:"level" help:"debug, info, warn or error"`
}

// DefaultLog is for people, without the details.
var DefaultLog = Log{Format: "text", Level: "info"}

// Bus are the settings of a program's connection to the bus.
type Bus struct {
	URL  string `toml:"url" help:"address of the message bus"`
	Seed string `toml:"seed" help:"file with the nkey seed"`
	CA   string `toml:"ca" help:"file with the certificate authority of the bus"`
}

// Program is a running program that is being put together. Expect, Bus and Measure come
// before Run, or for Measure while it runs.
type Program struct {
	// Log is where the program says what it does.
	Log *slog.Logger

	listen   string
	registry *prometheus.Registry
	ready    []observe.Check
}

// New returns a program that logs as the settings say and serves its metrics and
// health at an address, or nowhere if it is empty.
func New(log Log, listen string) (*Program, error) {
	logger, err := observe.NewLogger(os.Stderr, log.Format, log.Level)
	if err != nil {
		return nil, err
	}
	return &Program{Log: logger, listen: listen, registry: prometheus.NewRegistry()}, nil
}

// Expect makes a condition of being ready: it fails until met is called, and
// then whenever the check does that met was given.
func (p *Program) Expect(name string) (met func(check func(context.Context) error)) {
	var current atomic.Pointer[func(context.Context) error]
	p.ready = append(p.ready, observe.Check{Name: name, Run: func(ctx context.Context) error {
		check := current.Load()
		if check == nil {
			return errors.New("not open")
		}
		return (*check)(ctx)
	}})
	return func(check func(context.Context) error) { current.Store(&check) }
}

// Bus makes the connection to the bus a condition of being ready, and returns
// what connects as a party. The caller closes the connection.
func (p *Program) Bus(role bus.Role, name string) (connect func(context.Context, Bus) (*bus.Conn, error)) {
	met := p.Expect("nats")
	return func(ctx context.Context, s Bus) (*bus.Conn, error) {
		conn, err := bus.Connect(ctx, bus.Config{
			URL: s.URL, CAFile: s.CA, SeedFile: s.Seed, Logger: p.Log,
			Identity: bus.Identity{Role: role, Name: name},
		})
		if err != nil {
			return nil, err
		}
		p.Measure(conn)
		met(func(context.Context) error {
			if !conn.Connected() {
				return errors.New("not connected")
			}
			return nil
		})
		return conn, nil
	}
}

// Measured is a part of a program that counts what it does.
type Measured interface {
	Collectors() []prometheus.Collector
}

// Measure shows what parts count among the metrics.
func (p *Program) Measure(parts ...Measured) {
	for _, part := range parts {
		p.registry.MustRegister(part.Collectors()...)
	}
}

// Run does the work of the program (see [observe.Run]). Work that gives up
// because ctx ended is no error: it was asked to stop.
func (p *Program) Run(ctx context.Context, work func(ctx context.Context, ready func()) error) error {
	o := observe.Options{Listen: p.listen, Registry: p.registry, Ready: p.ready, Logger: p.Log}
	return observe.Run(ctx, o, func(within context.Context, ready func()) error {
		err := work(within, ready)
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	})
}
