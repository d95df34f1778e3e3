package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// options are the flags.
type options struct {
	once bool
	dir  string
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "reprosign-demo",
		Short: "Run the whole signing cycle on this machine",
		Long: `Run the whole signing cycle on this machine.

Four rebuilders of four operators rebuild three releases; three of the four
must agree before the (software) HSM signs. Then the demo tries to cheat. The
dashboard stays open until it is interrupted.

What a verifier needs is left in the directory: artifacts/, signatures/,
evidence/, trust/, certificate.pgp, logs/ and summary.json. Keys and database
lie in a directory of their own below /tmp, which goes when the demo ends.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := o.openDir()
			if err != nil {
				return err
			}
			return run(cmd.Context(), newScreen(os.Stdout), dir, o.once)
		},
	}
	cmd.Flags().BoolVar(&o.once, "once", false, "exit when done; status 0 only if everything verified")
	cmd.Flags().StringVar(&o.dir, "dir", "", "empty or new directory for the results (default: a temporary one)")
	return cmd
}

// openDir returns the directory of the results.
func (o options) openDir() (string, error) {
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "reprosign-demo-results-")
		if err != nil {
			return "", fmt.Errorf("making a directory for the results: %w", err)
		}
		return dir, nil
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return "", fmt.Errorf("directory for the results: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: nothing secret is put there
		return "", fmt.Errorf("directory for the results: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("directory for the results: %w", err)
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("directory %s is not empty; name a new one, so that the results of two runs do not mix", dir)
	}
	return dir, nil
}
