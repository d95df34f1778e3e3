package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// logChange is what the flags of log rotate and log end say.
type logChange struct {
	policy, key, out string
	force            bool
	ends             bool // the next log has another origin
}

func (a *app) logRotateCommand() *cobra.Command {
	return a.logChangeCommand(logChange{}, cobra.Command{
		Use:   "rotate URL --policy FILE --key KEY",
		Short: "Write the policy that gives a log another key",
		Long: `Write the policy that gives a log another key. FILE is the newest signed policy, URL where its log is read,
and KEY the verifier key that reprosign keygen printed. The result is the next policy, for the admins to sign.

The log goes on under the new key: same origin, same entries, and old evidence stays valid. Nothing changes
before log switch submits the policy. What else is to be done until then is told on standard error, in its order.`,
		Example: `  NEXT=$(reprosign keygen --role log --name log.example.org --out next.pem)
  reprosign log rotate https://log.example.org --policy policy.json --key "$NEXT" --out policy-2.yaml`,
	})
}

func (a *app) logEndCommand() *cobra.Command {
	return a.logChangeCommand(logChange{ends: true}, cobra.Command{
		Use:   "end URL --policy FILE --key KEY",
		Short: "Write the policy that ends a log and opens the next",
		Long: `Write the policy that ends a log and opens the next one, under the origin that KEY is named for. FILE is the
newest signed policy, URL where its log is read. The result is the next policy, for the admins to sign.

The next log takes over the entries of the old one in their places, and goes on under its own name and key. Witnesses
begin anew with it. That is for an origin that has to change, a key that was stolen, or a database that was lost;
to replace a key in peace, use log rotate. Nothing changes before log switch submits the policy.`,
		Example: `  NEXT=$(reprosign keygen --role log --name log2.example.org --out next.pem)
  reprosign log end https://log.example.org --policy policy.json --key "$NEXT" --out policy-2.yaml`,
	})
}

func (a *app) logChangeCommand(c logChange, cmd cobra.Command) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = a.do(func(ctx context.Context, args []string) error { return a.changeLog(ctx, args[0], c) })
	cmd.Flags().StringVar(&c.policy, "policy", "", "the newest signed policy")
	cmd.Flags().StringVar(&c.key, "key", "", "verifier key of the log from then on, named by its origin")
	cmd.Flags().StringVar(&c.out, "out", "", "file for the next policy, in YAML (default standard output)")
	cmd.Flags().BoolVar(&c.force, "force", false, "replace the file if it is there")
	required(&cmd, "policy")
	required(&cmd, "key")
	return &cmd
}

func (a *app) changeLog(ctx context.Context, url string, c logChange) error {
	key, err := attest.ParseVerifierKey(c.key)
	if err != nil {
		return usage(fmt.Errorf("--key: %w", err))
	}
	before, err := readSigned(c.policy, "--policy")
	if err != nil {
		return err
	}
	site, err := openLogSite(url)
	if err != nil {
		return usage(err)
	}
	if err := site.inForce(ctx, before.Policy); err != nil {
		return err
	}
	if _, err := site.checkpoint(ctx, &before.Policy); err != nil {
		return err
	}
	chain, err := site.Chain(ctx, before.envelope)
	if err != nil {
		return fmt.Errorf("policies before policy %d: %w", before.Serial, err)
	}
	next, err := c.next(chain, key, attest.At(time.Now()))
	if err != nil {
		return usage(err)
	}
	text, err := next.YAML()
	if err != nil {
		return err
	}
	if c.out == "" {
		_, err = a.stdout.Write(text)
	} else {
		err = writeFile(anywhere{}, c.out, text, c.force)
	}
	if err != nil {
		return err
	}
	a.tellSteps(url, c, next)
	return nil
}

// readSigned reads a policy that enough of its own admins signed.
func readSigned(path, flag string) (draft, error) {
	p, err := readPolicy(path)
	if err != nil {
		return p, err
	}
	if p.envelope == nil {
		return p, hinted(usagef("%s: %s is not signed", flag, path), "reprosign policy sign does")
	}
	if _, err := policy.Pin(p.envelope); err != nil {
		return p, hinted(fmt.Errorf("%s: %w", path, err), "reprosign policy check %s tells whose signatures are missing", path)
	}
	return p, nil
}

// next is the policy that gives the log the key. It refuses what would come out
// only when everybody has signed: a key or an origin that the log, or anybody, had before.
func (c logChange) next(chain *policy.Chain, key attest.VerifierKey, now attest.Time) (policy.Policy, error) {
	newest := chain.Newest()
	p := newest.Policy
	same := key.Name() == p.Log.Origin
	switch {
	case now >= p.Expires:
		return p, hinted(fmt.Errorf("policy %d expired at %v: what is logged under it cannot be signed any more", p.Serial, p.Expires),
			"renew the policy first, let everything be signed, and then change the log")
	case !c.ends && !same:
		return p, hinted(fmt.Errorf("--key: the key is named %q, the log %q", key.Name(), p.Log.Origin),
			"to give this log another key: reprosign keygen --role log --name %s; to end it and open %s: reprosign log end", p.Log.Origin, key.Name())
	case c.ends && same:
		return p, hinted(fmt.Errorf("--key: the key is named %q, as the log that is to end", key.Name()),
			"the next log needs a name of its own; to give this log another key: reprosign log rotate")
	}
	for _, v := range chain.Since(0) {
		if v.Log.Key.Fingerprint() == key.Fingerprint() {
			return p, hinted(fmt.Errorf("--key: the log signed with this key under policy %d", v.Serial), "make a new one with reprosign keygen --role log")
		}
		if c.ends && v.Log.Origin == key.Name() {
			return p, hinted(fmt.Errorf("--key: %s was the log of policy %d, and has ended", key.Name(), v.Serial),
				"witnesses remember it: the next log needs a name that none had")
		}
	}
	p.Serial, p.Previous = newest.Serial+1, newest.Digest
	p.Issued, p.Expires = now, now+(newest.Expires-newest.Issued)
	p.Log.Key, p.Log.Origin = key, key.Name()
	if err := p.Check(); err != nil {
		return p, fmt.Errorf("--key: %w", err)
	}
	return p, nil
}

// tellSteps says what is left to do, in the order in which it has to be done.
func (a *app) tellSteps(url string, c logChange, next policy.Policy) {
	typed, signed := c.out, fmt.Sprintf("policy-%d.json", next.Serial)
	if typed == "" {
		typed = fmt.Sprintf("policy-%d.yaml", next.Serial)
	} else if ext := filepath.Ext(typed); ext != ".json" {
		signed = strings.TrimSuffix(typed, ext) + ".json"
	}
	steps := []string{"coordinators: the new key's file as next_log_key, and a restart, one after the other"}
	if !next.Witnesses.IsZero() {
		names := make([]string, len(next.Witnesses.Keys))
		for i, w := range next.Witnesses.Keys {
			names[i] = fmt.Sprintf("%s (%s)", w.Key.Name(), w.Operator)
		}
		steps = append(steps, fmt.Sprintf("witnesses: %s beside the old key in logs, and a restart; %d must: %s", next.Log.Key, next.Witnesses.Quorum, strings.Join(names, ", ")))
	}
	steps = append(steps,
		fmt.Sprintf("admins, %d of %s: reprosign policy sign %s --previous %s --key ADMIN.pem --out %s", next.Admins.Threshold, keyNames(next.Admins.Keys), typed, c.policy, signed),
		fmt.Sprintf("publishers wait, and then: reprosign log switch %s --policy %s --next %s --dir DIR --wait", url, c.policy, signed))
	for i, step := range steps {
		a.hint("%d. %s", i+1, step)
	}
}
