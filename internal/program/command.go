package program

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/internal/config"
)

// Main runs a command until it ends by itself, or by SIGINT or SIGTERM. It
// returns the exit status: 0, or 1 after it told standard error why.
func Main(cmd *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "error:", err)
		return 1
	}
	return 0
}

// Command returns a command without arguments that runs with settings: the
// defaults, changed by the TOML file of --config, by the environment and by a
// flag for every setting that may be one (package config). With --print-config
// it prints them instead.
func Command[S any](environ []string, name, short string, defaults S, run func(ctx context.Context, settings S) error) *cobra.Command {
	var file string
	var show bool
	cmd := &cobra.Command{
		Use:           name,
		Short:         short,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (TOML)")
	cmd.Flags().BoolVar(&show, "print-config", false, "print the settings in force, without secrets, and exit")
	if err := config.Flags(cmd.Flags(), defaults); err != nil {
		panic(err) // settings are no struct, seen at the first start
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		settings, err := config.Load(config.Source{File: file, Environ: environ, Flags: cmd.Flags()}, defaults)
		if err != nil {
			return err
		}
		if show {
			text, err := config.Effective(settings)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		}
		return run(cmd.Context(), settings)
	}
	return cmd
}
