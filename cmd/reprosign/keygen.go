package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
)

// keyAlgorithms are the kinds of keys by role: opening and statement keys are
// P-256, so that stock cosign can check what they sign.
var keyAlgorithms = map[string]attest.Algorithm{
	"admin":       attest.Ed25519,
	"coordinator": attest.ECDSAP256,
	"log":         attest.Ed25519,
	"publisher":   attest.Ed25519,
	"rebuilder":   attest.Ed25519,
	"signer":      attest.ECDSAP256,
	"witness":     attest.Cosignature,
}

func (a *app) keygenCommand() *cobra.Command {
	var role, name, out string
	var nats bool
	cmd := &cobra.Command{
		Use:   "keygen (--role ROLE --name NAME | --nats) --out FILE",
		Short: "Make a key",
		Long: `Make a key: the private half goes to a new file that only you can read, the public half, which the
policy names, to standard output. The log's key is named by its origin, a bare host name; a witness's
by whatever tells it from all other witnesses, best a host name too.

An existing file is never replaced. Make each key on the machine that will use it.`,
		Example: `  reprosign keygen --role rebuilder --name gamma --out rebuilder.pem
  reprosign keygen --role log --name log.example.org --out log.pem
  reprosign keygen --nats --out nats.seed`,
		Args: cobra.NoArgs,
		RunE: a.do(func(context.Context, []string) error {
			if nats {
				return a.generateNKey(out)
			}
			return a.generateKey(role, name, out)
		}),
	}
	cmd.Flags().StringVar(&role, "role", "", "admin, coordinator, log, publisher, rebuilder, signer or witness")
	cmd.Flags().StringVar(&name, "name", "", "name that the key signs under")
	cmd.Flags().BoolVar(&nats, "nats", false, "make an nkey, which a party connects to the bus with")
	cmd.Flags().StringVar(&out, "out", "", "file for the private key, which must not exist")
	cmd.MarkFlagsOneRequired("role", "nats")
	cmd.MarkFlagsMutuallyExclusive("role", "nats")
	cmd.MarkFlagsMutuallyExclusive("name", "nats")
	cmd.MarkFlagsRequiredTogether("role", "name")
	required(cmd, "out")
	complete(cmd, "role", "admin", "coordinator", "log", "publisher", "rebuilder", "signer", "witness")
	return cmd
}

func (a *app) generateKey(role, name, out string) error {
	alg, known := keyAlgorithms[role]
	if !known {
		return usagef("--role is %q, must be admin, coordinator, log, publisher, rebuilder, signer or witness", role)
	}
	if role != "log" && role != "witness" { // the policy checks the form of these names
		if err := attest.CheckName(name); err != nil {
			return usage(fmt.Errorf("--name: %w", err))
		}
	}
	private, err := config.GenerateKey(alg)
	if err != nil {
		return err
	}
	public, err := config.PublicKey(alg, name, private)
	if err != nil {
		return usage(fmt.Errorf("--name: %w", err))
	}
	if err := config.WriteKey(out, private); err != nil {
		return err
	}
	a.print("%v", public)
	a.hint("%s holds the private key; the line on standard output is for the policy", out)
	return nil
}

func (a *app) generateNKey(out string) error {
	seed, public, err := bus.GenerateNKey()
	if err != nil {
		return err
	}
	defer clear(seed)
	if err := config.WriteSecretFile(out, append(seed, '\n')); err != nil {
		return err
	}
	a.print("%s", public)
	a.hint("%s holds the seed; the line on standard output is for the policy", out)
	return nil
}

// required marks flags without which a command does nothing.
func required(cmd *cobra.Command, flags ...string) {
	for _, f := range flags {
		if err := cmd.MarkFlagRequired(f); err != nil {
			panic(err) // there is no such flag
		}
	}
}

// complete offers the words of a flag to the shell.
func complete(cmd *cobra.Command, flag string, words ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag, or it has completions already
	}
}
