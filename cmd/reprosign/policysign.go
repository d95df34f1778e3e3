package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/config"
)

func (a *app) policySignCommand() *cobra.Command {
	var keys []string
	var previous, out string
	var force bool
	cmd := &cobra.Command{
		Use:   "sign FILE --key KEY…",
		Short: "Sign a policy as an admin",
		Long: `Sign a policy as an admin. FILE is YAML, or an envelope that other admins signed already; the result
is an envelope with one signature more for each key. It says how many are still missing.

A policy needs the signatures of enough of its own admins, and of enough of the admins of the policy
before it, which --previous names.`,
		Example: `  reprosign policy sign policy.yaml --key alice.pem --out policy.json
  reprosign policy sign policy.json --key bob.pem --previous policy-1.json --out policy-2.json`,
		Args: cobra.ExactArgs(1),
		RunE: a.do(func(_ context.Context, args []string) error {
			p, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			admins := []policy.Admins{p.Admins}
			if previous != "" {
				before, err := readPolicy(previous)
				if err != nil {
					return err
				}
				if err := follows(p.Policy, before); err != nil {
					return err
				}
				admins = append(admins, before.Admins)
			}
			for _, file := range keys {
				if err := a.sign(&p, file, admins); err != nil {
					return err
				}
			}
			data, err := p.envelope.Encode()
			if err != nil {
				return err
			}
			if data = append(data, '\n'); out == "" {
				_, err = a.stdout.Write(data)
			} else {
				err = writeFile(anywhere{}, out, data, force)
			}
			if err != nil {
				return err
			}
			a.tellMissing(p, admins)
			return nil
		}),
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "file with an admin's key; may be given several times")
	cmd.Flags().StringVar(&previous, "previous", "", "the signed policy before this one")
	cmd.Flags().StringVar(&out, "out", "", "file for the envelope (default standard output)")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it is there")
	required(cmd, "key")
	return cmd
}

// follows reports why p cannot come after the policy before.
func follows(p policy.Policy, before draft) error {
	if before.envelope == nil {
		return usagef("--previous must be a signed policy, not YAML")
	}
	if p.Serial <= before.Serial {
		return fmt.Errorf("policy %d cannot follow policy %d: serials grow", p.Serial, before.Serial)
	}
	if digest := before.envelope.Digest(); p.Serial == before.Serial+1 && p.Previous != digest {
		return hinted(fmt.Errorf("policy %d does not name policy %d as the one before", p.Serial, before.Serial),
			"set previous to %v", digest)
	}
	return nil
}

// sign adds the signature of the admin whose key is in the file.
func (a *app) sign(p *draft, file string, admins []policy.Admins) error {
	key, err := config.LoadKey(file, "admin")
	if err != nil {
		return err
	}
	owner, err := ownerOf(key.VerifierKey, admins)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	// Only now is it known under which name it signs.
	if key, err = config.LoadKey(file, owner.Name()); err != nil {
		return err
	}
	if p.envelope == nil {
		p.envelope, err = p.Seal(key)
		return err
	}
	if len(p.envelope.SignedBy([]attest.VerifierKey{owner})) > 0 {
		a.warn("%s has signed already", owner.Name())
		return nil
	}
	return p.envelope.AddSignature(key)
}

// ownerOf finds an admin by the bare key, whatever it is called.
func ownerOf(key attest.VerifierKey, admins []policy.Admins) (attest.VerifierKey, error) {
	for _, group := range admins {
		for _, k := range group.Keys {
			if k.Fingerprint() == key.Fingerprint() {
				return k, nil
			}
		}
	}
	return attest.VerifierKey{}, hinted(fmt.Errorf("the key is no admin's of this policy"),
		"an admin of the policy before signs with --previous")
}

// tellMissing says how far the policy is from being valid.
func (a *app) tellMissing(p draft, admins []policy.Admins) {
	whose := []string{"its own admins", "the admins before it"}
	complete := true
	for i, group := range admins {
		m := missingOf(group, p.envelope)
		if m.count > 0 {
			complete = false
			a.hint("policy %d needs %d more of the signatures of %s: %s", p.Serial, m.count, whose[i], strings.Join(m.idle, ", "))
		}
	}
	if !complete {
		return
	}
	if p.Serial > 1 && len(admins) == 1 {
		a.hint("its own admins have signed policy %d; --previous tells whether those of the policy before have", p.Serial)
		return
	}
	a.hint("policy %d has the signatures that it needs; its digest is %v", p.Serial, p.envelope.Digest())
}
