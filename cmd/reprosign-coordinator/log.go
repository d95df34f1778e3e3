package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/config"
)

// witnessSettings say where a witness of the policy can be reached.
type witnessSettings struct {
	Name string `toml:"name"`
	URL  string `toml:"url"`
}

// openLog returns what keeps the log, under the newest policy's key and witnesses.
func openLog(ctx context.Context, s settings, trust *policy.Chain, w *store.Writer, log *slog.Logger) (*sequencer.Sequencer, error) {
	keyOf := func(want attest.VerifierKey) (attest.SigningKey, error) { return logKey(s, want) }
	key, err := keyOf(trust.Newest().Log.Key)
	if err != nil {
		return nil, err
	}
	c := sequencer.Config{
		Store: w, Key: key, KeyOf: keyOf, Trust: trust, Timeout: time.Duration(s.WitnessTimeout), Log: log,
	}
	for _, at := range s.Witnesses {
		c.Witnesses = append(c.Witnesses, sequencer.Endpoint{Name: at.Name, URL: at.URL})
	}
	for _, k := range trust.Newest().Witnesses.Keys {
		if !slices.ContainsFunc(s.Witnesses, func(at witnessSettings) bool { return at.Name == k.Key.Name() }) {
			log.WarnContext(ctx, "settings give no address of a witness", slog.String("witness", k.Key.Name()))
		}
	}
	return sequencer.Open(c)
}

// logKey finds the private half of a policy's log key among those that the
// settings name. A log changes its key with a policy: for the time around it
// there are two.
func logKey(s settings, want attest.VerifierKey) (attest.SigningKey, error) {
	for _, path := range []string{s.LogKey, s.NextLogKey} {
		if path == "" {
			continue
		}
		key, err := config.LoadKey(path, want.Name())
		if err != nil {
			return attest.SigningKey{}, err
		}
		if key.String() == want.String() {
			return key, nil
		}
	}
	return attest.SigningKey{}, errors.New("neither log_key nor next_log_key is the policy's log key: its checkpoints would be refused by everybody")
}
