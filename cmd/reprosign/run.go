package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// app is one run of the command.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string

	config       string // --config
	settings     settings
	settingFlags *pflag.FlagSet
	begun        bool // the arguments were understood
}

// run runs the command with what a process would be given, and returns its
// exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, environ: environ, settings: defaults()}
	root, err := a.root()
	if err == nil {
		root.SetArgs(args)
		root.SetIn(stdin)
		root.SetOut(stdout)
		root.SetErr(stderr)
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		return exitOK
	}
	if !a.begun {
		err = usage(err)
	}
	a.report(err)
	return exitCode(err)
}

func (a *app) root() (*cobra.Command, error) {
	if err := a.defineSettings(); err != nil {
		return nil, err
	}
	root := &cobra.Command{
		Use:   "reprosign",
		Short: "Submit, follow and verify releases that are signed by quorum",
		Long: `Submit, follow and verify releases that are signed by quorum.

Settings come from a file (--config, else $XDG_CONFIG_HOME/reprosign/config.toml, else
/etc/reprosign/config.toml), then from REPROSIGN_ variables, then from flags; what comes
later wins. The setting [nats] url is the variable REPROSIGN_NATS_URL and the flag --nats-url.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(*cobra.Command, []string) error { return usagef("no command; reprosign --help lists them") },
	}
	root.PersistentFlags().StringVar(&a.config, "config", "", "configuration file (TOML)")
	root.PersistentFlags().AddFlag(a.settingFlags.Lookup("color"))
	root.AddCommand(
		a.submitCommand(), a.statusCommand(), a.waitCommand(), a.withdrawCommand(),
		a.verifyCommand(), a.evidenceCommand(), a.trustCommand(),
		a.policyCommand(), a.keygenCommand(), a.natsConfigCommand(), a.recipeCommand(),
		a.logCommand(), a.witnessCommand(),
		a.versionCommand(), exitCodesTopic(),
	)
	return root, nil
}

// do makes a command's action of a function that has the settings. What fails
// before it is a matter of usage.
func (a *app) do(action func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := a.loadSettings(); err != nil {
			return err
		}
		a.begun = true
		return action(cmd.Context(), args)
	}
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("no command; %s --help lists them", cmd.CommandPath())
		},
	}
	g.AddCommand(commands...)
	return g
}

// takes gives a command the flags of these settings.
func (a *app) takes(cmd *cobra.Command, settings ...string) {
	for _, name := range settings {
		f := a.settingFlags.Lookup(name)
		if f == nil {
			panic(fmt.Sprintf("reprosign %s takes a setting %q that there is not", cmd.Name(), name))
		}
		cmd.Flags().AddFlag(f)
	}
}
