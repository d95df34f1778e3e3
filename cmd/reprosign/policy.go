package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

func (a *app) policyCommand() *cobra.Command {
	return group("policy", "Write, check, sign and show policies",
		a.policyNewCommand(), a.policyCheckCommand(), a.policySignCommand(), a.policyShowCommand())
}

// draft is a policy as it is on a file: typed, or in an envelope with the
// signatures that it has so far.
type draft struct {
	policy.Policy

	envelope *attest.Envelope // nil while it is YAML
}

// readPolicy reads a policy in either form. It verifies no signature.
func readPolicy(path string) (draft, error) {
	data, err := readFile(path, maxEnvelopeFile)
	if err != nil {
		return draft{}, err
	}
	if !bytes.HasPrefix(data, []byte("{")) {
		p, err := policy.ParseYAML(data)
		if err != nil {
			return draft{}, fmt.Errorf("%s: %w", path, err)
		}
		return draft{Policy: p}, nil
	}
	e, err := attest.ParseEnvelope(bytes.TrimSuffix(data, []byte("\n")))
	if err == nil && e.PayloadType != attest.PolicyType {
		err = errors.New("the envelope holds no policy")
	}
	var p policy.Policy
	if err == nil {
		p, err = policy.Parse(e.Payload)
	}
	if err != nil {
		return draft{}, fmt.Errorf("%s: %w", path, err)
	}
	return draft{p, e}, nil
}

func (a *app) policyShowCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "show ENVELOPE",
		Short: "Print what is signed, as YAML or as its canonical JSON",
		Long: `Print a signed policy as admins type it, or as the canonical JSON that is signed. It verifies no
signature: reprosign policy check does.`,
		Example: `  reprosign policy show policy.json
  reprosign policy show policy.json -o json | sha256sum`,
		Args: cobra.ExactArgs(1),
		RunE: a.do(func(_ context.Context, args []string) error {
			if err := oneOf("output", output, "yaml", "json"); err != nil {
				return err
			}
			p, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			text, err := p.YAML()
			if output == "json" {
				text, err = p.Encode()
			}
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		}),
	}
	outputFlag(cmd, &output, "yaml", "json")
	return cmd
}

// missing says whose signatures under e are there and how many are not yet.
type missing struct {
	signed []string // admins that signed
	idle   []string // admins that did not
	count  int      // further signatures needed
}

func missingOf(admins policy.Admins, e *attest.Envelope) missing {
	var m missing
	signed := map[string]bool{}
	if e != nil {
		for _, k := range e.SignedBy(admins.Keys) {
			signed[k.Name()] = true
		}
	}
	for _, k := range admins.Keys {
		if signed[k.Name()] {
			m.signed = append(m.signed, k.Name())
		} else {
			m.idle = append(m.idle, k.Name())
		}
	}
	m.count = max(0, admins.Threshold-len(m.signed))
	return m
}

// serialOf returns the serial of a policy in an envelope.
func serialOf(e *attest.Envelope) (uint64, error) {
	p, err := policy.Parse(e.Payload)
	return p.Serial, err
}
