package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/internal/observe"
	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

const (
	// graceTimeout is how long requests may go on after a signal; the longest, generating an RSA key, is not worth more.
	graceTimeout = 5 * time.Second

	headerTimeout = 10 * time.Second
	idleTimeout   = 5 * time.Minute
)

// options are the flags.
type options struct {
	listen string
	plain  bool
	state  string
}

func newCommand() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:   "reprosign-softhsm --listen ADDRESS",
		Short: "Serve a soft NetHSM that protects nothing",
		Long: `Serve a soft NetHSM, for development and demonstrations.

It begins unprovisioned, as a device from the factory does, and keeps its contents in memory, or with
--state in a file from which the next start continues in the state left behind, unlocked if it was.
Keys lie there unencrypted: it protects nothing.

Once it listens it prints one line on standard output: "listening", the URL, and what a client is to
trust, which is the SHA-256 pin of the self-signed certificate, or insecure-plain-http with --plain.
SIGTERM and SIGINT end it.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			return serve(command.Context(), o, command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.listen, "listen", "", "address to listen on, host:port; port 0 is a free one (required)")
	flags.BoolVar(&o.plain, "plain", false, "serve HTTP instead of HTTPS")
	flags.StringVar(&o.state, "state", "", "file that keeps the contents, private keys included, unencrypted")
	return command
}

// serve answers until ctx is done, and then lets running requests finish.
func serve(ctx context.Context, o options, stdout, stderr io.Writer) error {
	if o.listen == "" {
		return errors.New("no address to listen on: name one with --listen, for example --listen 127.0.0.1:8443")
	}
	device := nethsmtest.New()
	if o.state != "" {
		loaded, err := nethsmtest.Load(o.state)
		if err != nil {
			return err
		}
		device = loaded
	}
	server := &http.Server{
		Handler:           device,
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(slog.NewTextHandler(stderr, nil), slog.LevelWarn),
	}
	server.Protocols.SetHTTP1(true) // the device speaks nothing newer
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", o.listen, err)
	}
	url, trust := "http://"+listener.Addr().String(), "insecure-plain-http"
	if !o.plain {
		certificate, err := device.Certificate()
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		url, trust = "https://"+listener.Addr().String(), "sha256:"+nethsmtest.Pin(certificate)
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	}
	fmt.Fprintf(stderr, "warning: this is a soft HSM at %s (%s): it protects nothing\n", url, trust)
	if o.state != "" {
		fmt.Fprintf(stderr, "warning: %s holds its private keys unencrypted\n", o.state)
	}
	if _, err := fmt.Fprintf(stdout, "listening %s %s\n", url, trust); err != nil {
		return errors.Join(fmt.Errorf("printing the address: %w", err), listener.Close())
	}
	if err := observe.ServeHTTP(ctx, server, listener, graceTimeout); err != nil {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}
