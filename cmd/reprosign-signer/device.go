package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/signer"
	"github.com/reprosign/reprosign/signer/key"
	"github.com/reprosign/reprosign/signer/nethsm"
	"github.com/reprosign/reprosign/signer/softkey"
)

// openDevice opens the one device that is configured.
func openDevice(s settings, log *slog.Logger) (key.Device, error) {
	switch {
	case s.NetHSM.URL != "" && s.Softkey.Directory != "":
		return nil, errors.New("both a NetHSM and software keys are configured; choose one")
	case s.NetHSM.URL != "":
		trust, err := nethsm.ParseTrust(s.NetHSM.Trust)
		if err != nil {
			return nil, fmt.Errorf("setting nethsm.trust: %w", err)
		}
		device, err := nethsm.Open(nethsm.Config{
			URL: s.NetHSM.URL, Trust: trust, User: s.NetHSM.User, Passphrase: passphrase(s.NetHSM.Passphrase),
			Workers: s.NetHSM.Workers, Logger: log,
		})
		if err != nil {
			return nil, err
		}
		return device, nil
	case s.Softkey.Directory != "":
		device, err := softkey.Open(softkey.Config{Directory: s.Softkey.Directory, Insecure: s.Softkey.Insecure})
		return device, err
	}
	return nil, errors.New("no device is configured; set nethsm.url, or softkey.directory for development")
}

// passphrase reads the operator's passphrase each time it is needed, so that it
// can be replaced while the signer runs.
func passphrase(path string) func() (string, error) {
	return func() (string, error) {
		data, err := config.ReadSecretFile(path)
		if err != nil {
			return "", fmt.Errorf("%w: passphrase of the device's operator: %w", key.ErrMisconfigured, err)
		}
		return string(data), nil
	}
}

func openCertificates(ctx context.Context, device key.Device, list []certificate) ([]signer.Certificate, error) {
	if len(list) == 0 {
		return nil, errors.New("no certificate is configured: the signer could sign nothing")
	}
	out := make([]signer.Certificate, 0, len(list))
	for _, c := range list {
		data, err := os.ReadFile(c.File)
		if err != nil {
			return nil, fmt.Errorf("reading certificate: %w", err)
		}
		parsed, err := openpgp.ParseCertificate(data)
		if err != nil {
			return nil, fmt.Errorf("certificate %s: %w", c.File, err)
		}
		k, err := device.Open(ctx, c.Key)
		if err != nil {
			return nil, err
		}
		out = append(out, signer.Certificate{Certificate: parsed, Key: k})
	}
	return out, nil
}
