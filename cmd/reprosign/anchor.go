package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/internal/config"
)

func (a *app) evidenceAnchorCommand() *cobra.Command {
	var key, origin string
	cmd := &cobra.Command{
		Use:   "anchor ANCHOR BUNDLE --key FILE --origin NAME",
		Short: "Check that another log holds a decision",
		Long: `Check that another transparency log holds the decision of an evidence bundle. The anchor is what the
release's page links to: a Sigstore bundle with the other log's proof. The key is that log's public key
(PEM), and the origin the first line of its checkpoints, both from its operators. The bundle is verified
first, all but the files.`,
		Example: `  reprosign evidence anchor hello.anchor.sigstore.json hello.evidence.json --trust policy.json \
    --key rekor.pem --origin rekor.example.org`,
		Args: cobra.ExactArgs(2),
		RunE: a.do(func(_ context.Context, args []string) error {
			trust, err := a.trust()
			if err != nil {
				return err
			}
			log, err := config.LoadPublicKey(key, origin)
			if err != nil {
				return err
			}
			b, err := readBundle(args[1])
			if err != nil {
				return err
			}
			report, err := evidence.Verify(b, trust)
			if err != nil {
				return err
			}
			data, err := readFile(args[0], evidence.MaxAnchor)
			if err != nil {
				return err
			}
			at, err := report.CheckAnchor(data, log)
			if err != nil {
				return err
			}
			a.print("the decision on release %s is entry %d of %s, in a tree of %d", report.Release.Short(), at.Index, at.Log, at.TreeSize)
			return nil
		}),
	}
	cmd.Flags().StringVar(&key, "key", "", "file with the other log's public key (PEM)")
	cmd.Flags().StringVar(&origin, "origin", "", "origin of the other log")
	a.takes(cmd, "trust")
	required(cmd, "key", "origin")
	return cmd
}
