package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/internal/observe"
	"github.com/reprosign/reprosign/signer"
)

// settings are the signer's; deploy/config/signer.toml explains each.
type settings struct {
	Name   string `toml:"name" help:"name of the statement key in the policy"`
	Policy string `toml:"policy" help:"file with the pinned, signed policy"`
	Key    string `toml:"key" help:"file with the statement key"`
	Listen string `toml:"listen" help:"address for metrics and health"`
	Log    struct {
		Format string `toml:"format" help:"text or json"`
		Level  string `toml:"level" help:"debug, info, warn or error"`
	} `toml:"log"`
	NATS struct {
		URL  string `toml:"url" help:"address of the message bus"`
		Seed string `toml:"seed" help:"file with the nkey seed"`
		CA   string `toml:"ca" help:"file with the certificate authority of the bus"`
	} `toml:"nats"`
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
	s.Log.Format, s.Log.Level = "text", "info"
	s.NetHSM.Workers = 2
	return s
}

func newCommand(environ []string) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:           "reprosign-signer",
		Short:         "Decide which releases may be signed, and have the device sign them",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (TOML)")
	if err := config.Flags(cmd.Flags(), defaults()); err != nil {
		panic(err) // a wrong tag in settings, seen at the first start
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := config.Load(config.Source{File: file, Environ: environ, Flags: cmd.Flags()}, defaults())
		if err != nil {
			return err
		}
		return serve(cmd.Context(), s)
	}
	cmd.AddCommand(certifyCommand(environ))
	return cmd
}

func serve(ctx context.Context, s settings) error {
	log, err := observe.NewLogger(os.Stderr, s.Log.Format, s.Log.Level)
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
	registry := prometheus.NewRegistry()
	var link atomic.Pointer[bus.Conn]
	connected := observe.Check{Name: "nats", Run: func(context.Context) error {
		if conn := link.Load(); conn == nil || !conn.Connected() {
			return errors.New("not connected")
		}
		return nil
	}}
	return observe.Run(ctx, observe.Options{
		Listen: s.Listen, Registry: registry, Ready: []observe.Check{connected}, Logger: log,
	}, func(ctx context.Context, ready func()) error {
		device, collectors, err := openDevice(s, log)
		if err != nil {
			return err
		}
		defer device.Close()
		certificates, err := openCertificates(ctx, device, s.Certificates)
		if err != nil {
			return err
		}
		service, err := signer.New(signer.Config{
			Trust: trust, Key: statementKey, Certificates: certificates, Now: time.Now, Log: log,
		})
		if err != nil {
			return err
		}
		conn, err := bus.Connect(ctx, bus.Config{
			URL: s.NATS.URL, CAFile: s.NATS.CA, SeedFile: s.NATS.Seed, Logger: log,
			Identity: bus.Identity{Role: bus.RoleSigner, Name: s.Name},
		})
		if err != nil {
			return err
		}
		defer conn.Close()
		link.Store(conn)
		registry.MustRegister(append(append(collectors, service.Collectors()...), conn.Collectors()...)...)
		log.InfoContext(ctx, "signer ready", slog.Uint64("policy", trust.Newest().Serial), slog.Int("certificates", len(certificates)))
		ready()
		return conn.ServeSigner(ctx, service)
	})
}
