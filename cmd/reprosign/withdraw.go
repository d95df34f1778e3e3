package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
)

func (a *app) withdrawCommand() *cobra.Command {
	var reason, role, by string
	cmd := &cobra.Command{
		Use:   "withdraw RELEASE --reason TEXT --as admin|publisher --key FILE",
		Short: "Stop a release for good",
		Long: `Stop a release and all further attempts at its request, as one admin or as the publisher that
requested it. The reason is public. What is withdrawn is never signed; signatures that exist remain.

Any party of the bus delivers it: --key is the author's, the connection is that of the settings.
Without --by, the author is found by the key: in the pinned policy of --trust and those after it.`,
		Example: `  reprosign withdraw "$RELEASE" --reason "tampered source" --as admin --key alice.pem
  reprosign withdraw "$RELEASE" --reason "superseded" --as publisher --by press --key press.pem`,
		Args: cobra.ExactArgs(1),
		RunE: a.do(func(ctx context.Context, args []string) error {
			if err := oneOf("as", role, string(attest.RoleAdmin), string(attest.RolePublisher)); err != nil {
				return err
			}
			release, err := attest.ParseDigest(args[0])
			if err != nil {
				return usage(fmt.Errorf("release id: %w", err))
			}
			w := attest.Withdrawal{
				Role: attest.Role(role), By: by, Release: release, Reason: reason, At: attest.At(time.Now()),
			}
			return a.withdraw(ctx, w)
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people; public")
	cmd.Flags().StringVar(&role, "as", "", "role of the author: admin or publisher")
	cmd.Flags().StringVar(&by, "by", "", "name of the author in the policy")
	a.takes(cmd, append(connection, "key", "trust")...)
	required(cmd, "reason", "as")
	complete(cmd, "as", string(attest.RoleAdmin), string(attest.RolePublisher))
	return cmd
}

func (a *app) withdraw(ctx context.Context, w attest.Withdrawal) error {
	if a.settings.Key == "" {
		return usagef("no key; give the author's with --key FILE")
	}
	// The key is named when it is known whose it is.
	key, err := config.LoadKey(a.settings.Key, "author")
	if err != nil {
		return err
	}
	conn, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if w.By == "" {
		if w.By, err = a.author(ctx, conn, w.Role, key.VerifierKey); err != nil {
			return err
		}
	}
	if key, err = config.LoadKey(a.settings.Key, w.By); err != nil {
		return err
	}
	if err := w.Check(); err != nil {
		return usage(err)
	}
	sealed, err := w.Seal(key)
	if err != nil {
		return err
	}
	if _, err := conn.Withdraw(ctx, bus.WithdrawRequest{Withdrawal: sealed}); err != nil {
		return hinted(err, "the release is as it was")
	}
	a.print("%v", w.Release)
	a.hint("withdrawn by %s %s; it will not be signed, and there is no further attempt", w.Role, w.By)
	return nil
}

// author finds the name of a key's owner in the newest policy.
func (a *app) author(ctx context.Context, conn *bus.Conn, role attest.Role, key attest.VerifierKey) (string, error) {
	newest, err := a.newestPolicy(ctx, conn)
	if err != nil {
		return "", err
	}
	keys := newest.Admins.Keys
	if role == attest.RolePublisher {
		keys = nil
		for i := range newest.Publishers {
			keys = append(keys, newest.Publishers[i].Key)
		}
	}
	for _, k := range keys {
		if k.Fingerprint() == key.Fingerprint() {
			return k.Name(), nil
		}
	}
	return "", fmt.Errorf("the key in %s is no %s's of policy %d", a.settings.Key, role, newest.Serial)
}

// newestPolicy walks from the pinned policy to the newest one that the
// coordinator has.
func (a *app) newestPolicy(ctx context.Context, conn *bus.Conn) (*policy.Version, error) {
	trust, err := a.trust()
	if err != nil {
		return nil, err
	}
	chain, err := policy.Pin(trust.Policy)
	if err != nil {
		return nil, err
	}
	reply, err := conn.Policies(ctx, bus.PolicyRequest{After: chain.Newest().Serial})
	if err != nil {
		return nil, err
	}
	for _, e := range reply.Policies {
		if err := chain.Add(e); err != nil {
			return nil, err
		}
	}
	return chain.Newest(), nil
}
