package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

func (a *app) natsConfigCommand() *cobra.Command {
	var o bus.ServerOptions
	cmd := &cobra.Command{
		Use:   "nats-config POLICY",
		Short: "Print the NATS configuration for the parties of a policy",
		Long: `Print the configuration of the NATS server for the parties of a policy, signed or in YAML: who may
connect with which nkey, and what each may publish and hear. A new policy needs a new configuration
and a reload of the server.

--accounts-only prints the accounts alone, to be included in the configuration of a cluster; that
must set max_payload to at least 4 MiB + 4 KiB and have a jetstream block.`,
		Example: `  reprosign nats-config policy.json --listen 0.0.0.0:4222 --store-dir /var/lib/nats >/etc/nats/reprosign.conf
  reprosign nats-config policy.json --accounts-only >/etc/nats/accounts.conf`,
		Args: cobra.ExactArgs(1),
		RunE: a.do(func(_ context.Context, args []string) error {
			p, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			if p.envelope == nil {
				a.warn("the policy is not signed; the coordinator will not know these parties")
			} else if _, err := policy.Pin(p.envelope); err != nil {
				return hinted(err, "reprosign policy check %s tells whose signatures are missing", args[0])
			}
			text, err := bus.ServerConfig(&p.Policy, o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.stdout, text)
			return err
		}),
	}
	cmd.Flags().BoolVar(&o.AccountsOnly, "accounts-only", false, "print the accounts alone")
	cmd.Flags().StringVar(&o.Listen, "listen", "", "address for clients, host:port (default 127.0.0.1:4222)")
	cmd.Flags().StringVar(&o.WebSocket, "websocket", "", "address for clients over WebSocket, host:port")
	cmd.Flags().StringVar(&o.StoreDir, "store-dir", "", "directory of the streams")
	cmd.Flags().DurationVar(&o.SyncInterval, "sync-interval", 0, "how long messages may be in memory only; 0 for not at all")
	cmd.Flags().StringVar(&o.TLSCert, "tls-cert", "", "file with the server's TLS certificate (PEM)")
	cmd.Flags().StringVar(&o.TLSKey, "tls-key", "", "file with its key (PEM)")
	cmd.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	return cmd
}
