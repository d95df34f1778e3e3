package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/rebuilder"
	"github.com/reprosign/reprosign/rebuilder/backend"
	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

// check refuses settings that the packages behind them would not notice, or
// only at the first task.
func (s settings) check() error {
	for _, required := range []struct{ setting, value, what string }{
		{"name", s.Name, "the rebuilder's name in the policy"},
		{"policy", s.Policy, "the file with the pinned, signed policy"},
		{"key", s.Key, "the file with the attestation key"},
		{"spool", s.Spool, "a directory of this agent alone"},
		{"nats.url", s.NATS.URL, "the address of the message bus"},
		{"nats.seed", s.NATS.Seed, "the file with the nkey seed"},
		{"sandbox.work_dir", s.Sandbox.WorkDir, "a directory for builds and nothing else"},
	} {
		if required.value == "" {
			return fmt.Errorf("setting %s is missing: it names %s", required.setting, required.what)
		}
	}
	if s.Slots < 1 || s.Slots > rebuilder.MaxSlots {
		return fmt.Errorf("setting slots is %d: an agent has 1 to %d", s.Slots, rebuilder.MaxSlots)
	}
	if s.Timeout < 0 || s.Drain < 0 {
		return errors.New("setting timeout or drain is negative")
	}
	for setting, value := range map[string]int{"sandbox.uid_base": s.Sandbox.UIDBase, "sandbox.uid_count": s.Sandbox.UIDCount} {
		if value < 0 || value > math.MaxInt32 {
			return fmt.Errorf("setting %s is %d: no user id", setting, value)
		}
	}
	uids := s.Sandbox.UIDCount
	if uids == 0 {
		uids = sandbox.DefaultUIDCount
	}
	if os.Geteuid() == 0 && s.Slots > uids {
		return fmt.Errorf("setting slots is %d, and sandbox.uid_count %d: each build needs a user id of its own", s.Slots, uids)
	}
	return nil
}

// openSandbox probes with all that the agent has to hide.
func openSandbox(ctx context.Context, s settings, log *slog.Logger) (*sandbox.Sandbox, error) {
	level := sandbox.Auto
	if s.Sandbox.Level != "auto" {
		level = attest.Isolation(s.Sandbox.Level)
	}
	secrets, err := s.secrets()
	if err != nil {
		return nil, err
	}
	return sandbox.Open(ctx, sandbox.Config{
		Level: level, Insecure: s.Sandbox.Insecure, WorkDir: s.Sandbox.WorkDir, Secrets: secrets,
		ReadOnly: s.Sandbox.ReadOnly, UIDBase: uint32(s.Sandbox.UIDBase), UIDCount: uint32(s.Sandbox.UIDCount), Log: log,
	})
}

// secrets are the files and directories that no build may read, by absolute
// path: a build has another working directory, and would miss them.
func (s settings) secrets() ([]string, error) {
	secrets := append([]string{s.Spool}, s.Sandbox.Secrets...)
	for _, setting := range []string{s.Key, s.NATS.Seed} {
		file, err := config.SecretFile(setting)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, file)
	}
	for i, name := range secrets {
		var err error
		if secrets[i], err = filepath.Abs(name); err != nil {
			return nil, fmt.Errorf("finding what builds must not read: %w", err)
		}
	}
	return secrets, nil
}

func backends(s settings) ([]backend.Backend, error) {
	fetcher := backend.Fetcher{FileRoots: s.Sources.FileRoots}
	var all []backend.Backend
	if s.Debian.Enabled {
		all = append(all, backend.Debian(fetcher))
	}
	if s.Golang.Go != "" {
		all = append(all, backend.Golang(backend.GolangConfig{
			Go: s.Golang.Go, Proxy: s.Golang.Proxy, SumDB: s.Golang.SumDB, Cache: s.Golang.Cache,
		}))
	}
	if len(s.Commands) > 0 {
		executables := map[string]backend.Executable{}
		for _, c := range s.Commands {
			if _, twice := executables[c.Name]; twice || c.Name == "" {
				return nil, fmt.Errorf("command %q: each needs a name of its own", c.Name)
			}
			exe := backend.Executable{Path: c.Path, SHA256: c.SHA256, Network: c.Network}
			if err := exe.Check(); err != nil {
				return nil, fmt.Errorf("command %q: %w", c.Name, err)
			}
			executables[c.Name] = exe
		}
		all = append(all, backend.Command(fetcher, executables))
	}
	if len(all) == 0 {
		return nil, errors.New("no back-end is configured, the agent could build nothing: enable debian, name a go command, or install a command")
	}
	return all, nil
}
