package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/internal/program"
	"github.com/reprosign/reprosign/signer"
	"github.com/reprosign/reprosign/signer/ledger"
	"github.com/reprosign/reprosign/signer/promise"
)

// settings are the signer's; deploy/config/signer.toml explains each.
type settings struct {
	Name   string      `toml:"name" help:"name of the statement key in the policy"`
	Policy string      `toml:"policy" help:"file with the pinned, signed policy"`
	Key    string      `toml:"key" help:"file with the statement key"`
	State  string      `toml:"state" help:"directory for the signer's promises and its copy of the log"`
	Listen string      `toml:"listen" help:"address for metrics and health"`
	Log    program.Log `toml:"log"`
	NATS   program.Bus `toml:"nats"`
	NetHSM struct {
		URL        string `toml:"url" help:"address of the NetHSM"`
		Trust      string `toml:"trust" help:"sha256:<pin>, system or insecure-plain-http"`
		User       string `toml:"user" help:"operator on the NetHSM"`
		Passphrase string `toml:"passphrase" help:"file with the operator's passphrase"`
		Workers    int    `toml:"workers" help:"signatures in work at one time, 1 to 4"`
	} `toml:"nethsm"`
	Softkey struct {
		Directory string `toml:"directory" help:"directory of software keys, for development"`
		Insecure  bool   `toml:"insecure" help:"permit software keys, which protect nothing"`
	} `toml:"softkey"`
	// Certificates are in the file alone: a list of tables has no flag.
	Certificates []certificate `toml:"certificate"`
}

// certificate is an OpenPGP certificate and the id of its key in the device.
type certificate struct {
	File string `toml:"file"`
	Key  string `toml:"key"`
}

func defaults() settings {
	var s settings
	s.Log = program.DefaultLog
	s.NetHSM.Workers = 2
	return s
}

func newCommand(environ []string) *cobra.Command {
	cmd := program.Command(environ, "reprosign-signer", "Decide which releases may be signed, and have the device sign them", defaults(), serve)
	cmd.AddCommand(certifyCommand(environ))
	return cmd
}

func serve(ctx context.Context, s settings) error {
	p, err := program.New(s.Log, s.Listen)
	if err != nil {
		return err
	}
	trust, err := config.LoadPolicy(s.Policy)
	if err != nil {
		return err
	}
	statementKey, err := config.LoadKey(s.Key, s.Name)
	if err != nil {
		return err
	}
	if s.State == "" {
		return errors.New("no state directory is configured: set state, for the signer's promises and its copy of the log")
	}
	connect, following := p.Bus(bus.RoleSigner, s.Name), p.Expect("log")
	return p.Run(ctx, func(ctx context.Context, ready func()) error {
		device, err := openDevice(s, p.Log)
		if err != nil {
			return err
		}
		defer device.Close()
		certificates, err := openCertificates(ctx, device, s.Certificates)
		if err != nil {
			return err
		}
		conn, err := connect(ctx, s.NATS)
		if err != nil {
			return err
		}
		defer conn.Close()
		used, err := ledger.Begun(s.State)
		if err != nil {
			return err
		}
		book, err := promise.Open(promise.Config{Directory: s.State, Used: used, Log: p.Log})
		if err != nil {
			return err
		}
		defer book.Close()
		memory, err := ledger.Open(ledger.Config{Directory: s.State, Trust: trust, Reader: ledger.OverBus(conn), Log: p.Log})
		if err != nil {
			return err
		}
		defer memory.Close()
		following(memory.Ready)
		service, err := signer.New(signer.Config{
			Trust: trust, Ledger: memory, Promises: book, Key: statementKey, Certificates: certificates, Now: time.Now, Log: p.Log,
		})
		if err != nil {
			return err
		}
		if counted, ok := device.(program.Measured); ok {
			p.Measure(counted)
		}
		p.Measure(service, memory, book, newDeviceCounts(ctx, device, certificates, s.Certificates, p.Log))
		p.Log.InfoContext(ctx, "signer ready", slog.Uint64("policy", trust.Newest().Serial), slog.Int("certificates", len(certificates)))
		ready()
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return memory.Run(ctx) })
		group.Go(func() error { return book.Watch(ctx) })
		group.Go(func() error { return conn.ServeSigner(ctx, service) })
		return group.Wait()
	})
}
