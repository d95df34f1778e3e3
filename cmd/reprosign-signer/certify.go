package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/signer/key"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
	// maxLifetime is far below what overflows; the certificate's own limit is the year 2106.
	maxLifetime = 50 * year
)

// ceremony is what the operator decides about a certificate.
type ceremony struct {
	file          string // of the signer's settings
	key, userID   string
	lifetime, out string
}

func certifyCommand(environ []string) *cobra.Command {
	var c ceremony
	cmd := &cobra.Command{
		Use:   "certify --config FILE --key ID --user-id TEXT --out FILE",
		Short: "Make the OpenPGP certificate of a key in the device",
		Long: `Make the OpenPGP certificate of a key in the device that the settings name. The device signs once: its
own count of signatures then begins with a certificate that no log explains.

The certificate goes to a new file, armored; its fingerprint, which the policy names, to standard output.
Time and user id enter the certificate for good: keep the file, and give it to whoever verifies.`,
		Example:       `  reprosign-signer certify --config /etc/reprosign/signer.toml --key stable --user-id 'Example stable <stable@example.org>' --out stable.asc`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.Flags().StringVar(&c.file, "config", "", "configuration file of the signer (TOML)")
	cmd.Flags().StringVar(&c.key, "key", "", "id of the key in the device")
	cmd.Flags().StringVar(&c.userID, "user-id", "", "whose key it is, by convention Name <address>")
	cmd.Flags().StringVar(&c.lifetime, "lifetime", "2y", "when it expires: days or years from now, as 90d or 2y, or none")
	cmd.Flags().StringVar(&c.out, "out", "", "file for the certificate, which must not exist")
	for _, required := range []string{"config", "key", "user-id", "out"} {
		if err := cmd.MarkFlagRequired(required); err != nil {
			panic(err) // there is no such flag
		}
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.hold(cmd.Context(), environ, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// hold has the device certify its key. The file is made before the device is
// asked: a certificate that could not be written would be a signature for nothing.
func (c ceremony) hold(ctx context.Context, environ []string, stdout, stderr io.Writer) (err error) {
	lifetime, err := parseLifetime(c.lifetime)
	if err != nil {
		return err
	}
	s, err := config.Load(config.Source{File: c.file, Environ: environ}, defaults())
	if err != nil {
		return err
	}
	device, err := openDevice(s, slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		return err
	}
	defer device.Close()
	k, err := device.Open(ctx, c.key)
	if err != nil {
		return err
	}
	const mode = 0o644
	f, err := os.OpenFile(c.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("writing the certificate: %s exists already and is not replaced; signatures may depend on it", c.out)
	}
	if err != nil {
		return fmt.Errorf("writing the certificate: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(c.out))
		}
	}()
	certificate, err := openpgp.Certify(openpgp.NewCertificate{
		UserID: c.userID, Created: time.Now().Truncate(time.Second), Lifetime: lifetime,
	}, key.Signer(ctx, k))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	_, err = f.Write(certificate.Armor())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing the certificate: %w", err)
	}
	fmt.Fprintf(stderr, "%s holds the certificate; the line on standard output is for the policy\n", c.out)
	_, err = fmt.Fprintln(stdout, certificate.Fingerprint())
	return err
}

// parseLifetime reads days or years (of 365 days), or none.
func parseLifetime(text string) (time.Duration, error) {
	if text == "none" {
		return 0, nil
	}
	for suffix, unit := range map[string]time.Duration{"d": day, "y": year} {
		number, ok := strings.CutSuffix(text, suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err == nil && n > 0 && time.Duration(n) <= maxLifetime/unit {
			return time.Duration(n) * unit, nil
		}
	}
	return 0, fmt.Errorf("lifetime %q is neither days or years, like 90d or 2y, up to %dy, nor none", text, maxLifetime/year)
}
