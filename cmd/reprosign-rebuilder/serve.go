package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/internal/program"
	"github.com/reprosign/reprosign/rebuilder"
)

// settings are the agent's; deploy/config/rebuilder.toml explains each.
type settings struct {
	Name    string          `toml:"name" help:"the rebuilder's name in the policy"`
	Policy  string          `toml:"policy" help:"file with the pinned, signed policy"`
	Key     string          `toml:"key" help:"file with the attestation key"`
	Spool   string          `toml:"spool" help:"directory of this agent's spool"`
	Slots   int             `toml:"slots" help:"builds at one time"`
	Timeout config.Duration `toml:"timeout" help:"longest time of one build"`
	Drain   config.Duration `toml:"drain" help:"how long builds may go on after the agent was told to stop"`
	Listen  string          `toml:"listen" help:"address for metrics and health"`
	Replay  bool            `toml:"replay" help:"ask for all receipts again and resend what the coordinator lost; for one start after a restore"`
	Log     program.Log     `toml:"log"`
	NATS    program.Bus     `toml:"nats"`
	Sandbox struct {
		Level    string   `toml:"level" help:"auto, bwrap, userns, uid or none"`
		Insecure bool     `toml:"insecure" help:"permit level none; such votes never count"`
		WorkDir  string   `toml:"work_dir" help:"directory for builds"`
		Secrets  []string `toml:"secrets" help:"further files that no build may read"`
		ReadOnly []string `toml:"read_only" help:"further host directories that builds may read"`
		UIDBase  int      `toml:"uid_base" help:"first user id of builds, for an agent that is root"`
		UIDCount int      `toml:"uid_count" help:"number of user ids of builds"`
	} `toml:"sandbox"`
	Sources struct {
		FileRoots []string `toml:"file_roots" help:"directories that file URLs of sources may name, in Debian and command recipes"`
	} `toml:"sources"`
	Debian struct {
		Enabled bool `toml:"enabled" help:"build Debian source packages"`
	} `toml:"debian"`
	Golang struct {
		Go    string `toml:"go" help:"the go command; empty disables the back-end"`
		Proxy string `toml:"proxy" help:"GOPROXY for fetching modules"`
		SumDB string `toml:"sumdb" help:"GOSUMDB for fetching modules"`
		Cache string `toml:"cache" help:"directory for compiled packages; empty builds cold"`
	} `toml:"golang"`
	// Commands are in the file alone: a list of tables has no flag.
	Commands []command `toml:"command"`
}

// command is an executable of the command back-end, pinned by digest.
type command struct {
	Name    string        `toml:"name"`
	Path    string        `toml:"path"`
	SHA256  attest.Digest `toml:"sha256"`
	Network bool          `toml:"network"`
}

func defaults() settings {
	s := settings{Slots: 1, Drain: config.Duration(time.Minute)}
	s.Log = program.DefaultLog
	s.Sandbox.Level = "auto"
	s.Golang.Proxy, s.Golang.SumDB = "https://proxy.golang.org", "sum.golang.org"
	return s
}

func newCommand(environ []string) *cobra.Command {
	return program.Command(environ, "reprosign-rebuilder", "Build releases and sign what came out", defaults(), serve)
}

func serve(ctx context.Context, s settings) error {
	if err := s.check(); err != nil {
		return err
	}
	p, err := program.New(s.Log, s.Listen)
	if err != nil {
		return err
	}
	trust, err := config.LoadPolicy(s.Policy)
	if err != nil {
		return err
	}
	key, err := config.LoadKey(s.Key, s.Name)
	if err != nil {
		return err
	}
	all, err := backends(s)
	if err != nil {
		return err
	}
	connect := p.Bus(bus.RoleRebuilder, s.Name)
	return p.Run(ctx, func(ctx context.Context, ready func()) error {
		spool, err := openSpool(s)
		if err != nil {
			return err
		}
		defer spool.Close()
		box, err := openSandbox(ctx, s, p.Log)
		if err != nil {
			return err
		}
		// The connection outlives ctx: a draining agent still publishes.
		conn, err := connect(ctx, s.NATS)
		if err != nil {
			return err
		}
		defer conn.Close()
		agent, err := rebuilder.New(rebuilder.Config{
			Name: s.Name, Key: key, Trust: trust, Bus: conn, Spool: spool, Sandbox: box, Slots: s.Slots,
			Backends: all, Timeout: time.Duration(s.Timeout), Drain: time.Duration(s.Drain), Log: p.Log,
		})
		if err != nil {
			return err
		}
		p.Measure(agent)
		p.Log.InfoContext(ctx, "agent ready", slog.String("rebuilder", s.Name), slog.Any("isolation", box.Level()), slog.Int("slots", s.Slots), slog.Uint64("policy", trust.Newest().Serial))
		ready()
		return agent.Run(ctx)
	})
}

func openSpool(s settings) (*rebuilder.Spool, error) {
	spool, err := rebuilder.OpenSpool(s.Spool)
	if err != nil || !s.Replay {
		return spool, err
	}
	if err := spool.Replay(); err != nil {
		return nil, errors.Join(err, spool.Close())
	}
	return spool, nil
}
