package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/internal/observe"
	"github.com/reprosign/reprosign/internal/program"
	"github.com/reprosign/reprosign/witness"
)

// Bounds of the witness's HTTP server. A request is some kilobytes, an answer less.
const (
	witnessRequestTimeout = 15 * time.Second
	witnessIdleTimeout    = 5 * time.Minute // logs keep their connections
)

// witnessSettings are the witness's; deploy/config/witness.toml explains each.
type witnessSettings struct {
	Name    string      `toml:"name" help:"name that the key cosigns under"`
	Key     string      `toml:"key" help:"file with the witness key"`
	Logs    []string    `toml:"logs" help:"verifier keys of the logs to cosign"`
	State   string      `toml:"state" help:"directory with what was cosigned"`
	Listen  string      `toml:"listen" help:"public address, host:port"`
	Metrics string      `toml:"metrics" help:"address for metrics and health"`
	Log     program.Log `toml:"log"`
}

func witnessDefaults() witnessSettings {
	return witnessSettings{Listen: "127.0.0.1:8081", Log: program.DefaultLog}
}

func (a *app) witnessCommand() *cobra.Command {
	cmd := program.Command(environOf(a, witnessDefaults()), "witness", "Cosign the checkpoints of logs", witnessDefaults(),
		func(ctx context.Context, s witnessSettings) error {
			a.begun = true
			return runWitness(ctx, s)
		})
	cmd.Long = `Cosign the checkpoints of logs (C2SP tlog-witness), for any log that asks and is in the settings.

A witness remembers, durably and before it answers, the largest tree of each log that it cosigned, and
cosigns only what continues it. Anybody may run one; it is worth most where those who run the log have
no say. Its memory is made once, with witness init; it must never be put back from a backup.`
	cmd.Example = `  reprosign keygen --role witness --name witness.example.net --out witness.pem
  reprosign witness init --config witness.toml
  reprosign witness --config witness.toml`
	begin := program.Command(environOf(a, witnessDefaults()), "init", "Make the memory of a witness whose key has cosigned nothing yet", witnessDefaults(),
		func(_ context.Context, s witnessSettings) error {
			a.begun = true
			return a.initWitness(s)
		})
	begin.Example = `  reprosign witness init --config witness.toml`
	cmd.AddCommand(begin)
	return cmd
}

func (a *app) initWitness(s witnessSettings) error {
	key, err := config.LoadWitnessKey(s.Key, s.Name)
	if err != nil {
		return err
	}
	if err := witness.Create(s.State, key.VerifierKey); err != nil {
		return err
	}
	a.print("%v", key.VerifierKey)
	a.hint("%s is the memory of this key from now on; never put it back from a backup", s.State)
	return nil
}

func runWitness(ctx context.Context, s witnessSettings) error {
	p, err := program.New(s.Log, s.Metrics)
	if err != nil {
		return err
	}
	key, err := config.LoadWitnessKey(s.Key, s.Name)
	if err != nil {
		return err
	}
	logs := make([]attest.VerifierKey, len(s.Logs))
	for i, text := range s.Logs {
		if logs[i], err = attest.ParseVerifierKey(text); err != nil {
			return fmt.Errorf("setting logs: %w", err)
		}
	}
	return p.Run(ctx, func(ctx context.Context, ready func()) error {
		w, err := witness.Open(witness.Config{Key: key, Logs: logs, Dir: s.State, Logger: p.Log})
		if err != nil {
			return err
		}
		defer w.Close()
		p.Measure(w)
		return observe.Public{
			What: "the witness", Address: s.Listen, Handler: w.Handler(),
			ReadTimeout: witnessRequestTimeout, WriteTimeout: witnessRequestTimeout, IdleTimeout: witnessIdleTimeout,
		}.Serve(ctx, p.Log, ready)
	})
}
