package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/internal/program"
)

// databasePause is the time between two attempts to reach the database.
const databasePause = time.Second

func migrateCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "migrate --owner FILE",
		Short: "Bring the database's schema up to date",
		Long: `Bring the schema of the database to the version of this program, as the owner of the schema. Run it before
the first start and before each start of a new version; running it again changes nothing. Coordinators
that wait for it go on by themselves.

The owner can undo what protects the tables. The coordinator never needs that login: keep the file away
from its user, and off its machine if you can.

FILE holds the owner's connection string and is a secret: mode 0600, or credential:NAME for a systemd credential.`,
		Example: `  reprosign-coordinator migrate --owner /root/reprosign-owner.dsn
  systemctl start reprosign-migrate    # the same, by deploy/systemd`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.Flags().StringVar(&file, "owner", "", "file with the connection string of the schema's owner")
	if err := cmd.MarkFlagRequired("owner"); err != nil {
		panic(err) // there is no such flag
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		owner, err := config.ReadSecretFile(file)
		if err != nil {
			return err
		}
		p, err := program.New(program.DefaultLog, "")
		if err != nil {
			return err
		}
		if err := migrate(cmd.Context(), string(owner), p.Log); err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "the schema is up to date")
		return err
	}
	return cmd
}

// migrate waits for a database that is not there yet: at boot it may be later than we are.
func migrate(ctx context.Context, owner string, log *slog.Logger) error {
	return await(ctx, log, func() error { return store.Migrate(ctx, owner) }, coordinator.ErrUnavailable)
}

// awaitSchema waits for a database that is not there yet, and for its owner to
// bring the schema up to date.
func awaitSchema(ctx context.Context, w *store.Writer, log *slog.Logger) error {
	return await(ctx, log, func() error { return w.CheckSchema(ctx) }, coordinator.ErrUnavailable, store.ErrSchemaOld)
}

// await tries again while the error is one of those that pass. It logs each once.
func await(ctx context.Context, log *slog.Logger, try func() error, passing ...error) error {
	for said := ""; ; {
		err := try()
		if !slices.ContainsFunc(passing, func(p error) bool { return errors.Is(err, p) }) {
			return err
		}
		if err.Error() != said {
			said = err.Error()
			log.WarnContext(ctx, "waiting for the database", slog.Any("reason", err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(databasePause):
		}
	}
}
