package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/policy"
)

func (a *app) trustCommand() *cobra.Command {
	return group("trust", "Write trust files, for this tool and for others", a.trustNewCommand(), a.trustExportCommand())
}

func (a *app) trustNewCommand() *cobra.Command {
	var witnesses []string
	var quorum int
	cmd := &cobra.Command{
		Use:   "new POLICY --witness KEY,OPERATOR ... --witness-quorum N",
		Short: "Print a trust file with witnesses of your own",
		Long: `Print a trust file: a signed policy, which you were handed by its admins, and the witnesses of the log
that you trust in place of those in the policy. Evidence is then accepted only if so many of them have
cosigned the log, and their times count.

To trust the policy's own witnesses, no such file is needed: the signed policy is a trust file.`,
		Example: `  reprosign trust new policy.json --witness "$W1,example" --witness "$W2,university" --witness-quorum 2 >trust.json`,
		Args:    cobra.ExactArgs(1),
		RunE: a.do(func(_ context.Context, args []string) error {
			p, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			t := evidence.Trust{Policy: p.envelope}
			if t.Witnesses, err = parseWitnesses(witnesses, quorum); err != nil {
				return err
			}
			if p.envelope == nil {
				return usagef("%s: the policy is not signed", args[0])
			}
			data, err := t.Encode()
			if err != nil {
				return err
			}
			if !t.Witnesses.Independent(p.Log.Operator) {
				a.warn("%d of these witnesses may all be of one operator: every verdict will say unwitnessed", quorum)
			}
			_, err = a.stdout.Write(append(data, '\n'))
			return err
		}),
	}
	cmd.Flags().StringArrayVar(&witnesses, "witness", nil, "verifier key and operator of a witness; may be given several times")
	cmd.Flags().IntVar(&quorum, "witness-quorum", 0, "how many must have cosigned")
	required(cmd, "witness")
	required(cmd, "witness-quorum")
	return cmd
}

// parseWitnesses reads witnesses as flags have them: a verifier key and,
// behind a comma, its operator.
func parseWitnesses(list []string, quorum int) (policy.Witnesses, error) {
	w := policy.Witnesses{Quorum: quorum}
	for _, s := range list {
		text, operator, ok := strings.Cut(s, ",")
		key, err := attest.ParseVerifierKey(text)
		switch {
		case err != nil:
			return w, usage(fmt.Errorf("--witness: %w", err))
		case key.Algorithm() != attest.Cosignature:
			return w, usagef("--witness: %s is %v, not a witness's key", key.Name(), key.Algorithm())
		case !ok:
			return w, usagef("--witness: %s: name its operator behind a comma", key.Name())
		}
		w.Keys = append(w.Keys, policy.Witness{Key: key, Operator: operator})
	}
	return w, nil
}

// trust reads the trust file that the settings name.
func (a *app) trust() (evidence.Trust, error) {
	if a.settings.Trust == "" {
		return evidence.Trust{}, hinted(usagef("no trust file"),
			"give --trust FILE: the signed policy that you were handed by the admins, not one that came with the evidence")
	}
	return readTrust(a.settings.Trust)
}

func readTrust(path string) (evidence.Trust, error) {
	data, err := readFile(path, evidence.MaxTrust+1)
	if err != nil {
		return evidence.Trust{}, err
	}
	trust, err := evidence.ParseTrust(data)
	if err != nil {
		return evidence.Trust{}, fmt.Errorf("%s: %w", path, err)
	}
	return trust, nil
}
