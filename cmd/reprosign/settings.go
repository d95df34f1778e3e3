package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
)

// systemConfig is read when the person has no configuration file.
const systemConfig = "/etc/reprosign/config.toml"

// settings are what a person would not like to type each time.
type settings struct {
	Role  string `toml:"role" help:"role on the bus: publisher or rebuilder"`
	Name  string `toml:"name" help:"name on the bus, as in the policy"`
	Key   string `toml:"key" help:"file with the publisher key"`
	Trust string `toml:"trust" help:"trust file: the pinned, signed policy, or what trust new prints"`
	Color string `toml:"color" help:"auto, always or never"`
	NATS  struct {
		URL      string          `toml:"url" help:"address of the bus"`
		Seed     string          `toml:"seed" help:"file with the nkey seed"`
		CA       string          `toml:"ca" help:"file with the certificate authority of the bus"`
		Patience config.Duration `toml:"patience" help:"how long to try to connect"`
	} `toml:"nats"`
}

func defaults() settings {
	s := settings{Role: string(bus.RolePublisher), Color: "auto"}
	s.NATS.Patience = config.Duration(20 * time.Second)
	return s
}

// connection names the settings of commands that talk to the coordinator.
var connection = []string{"role", "name", "nats-url", "nats-seed", "nats-ca", "nats-patience"}

// defineSettings makes the flags of all settings; each command takes those it heeds.
func (a *app) defineSettings() error {
	a.settingFlags = pflag.NewFlagSet("settings", pflag.ContinueOnError)
	return config.Flags(a.settingFlags, defaults())
}

// environOf returns the environment of a command with settings of its own. What
// a person has set for all the other commands is no mistake there.
func environOf[S any](a *app, own S) []string {
	flags := pflag.NewFlagSet("own", pflag.ContinueOnError)
	if err := config.Flags(flags, own); err != nil {
		panic(err) // settings are no struct, seen at the first start
	}
	return slices.DeleteFunc(slices.Clone(a.environ), func(v string) bool {
		name, _, _ := strings.Cut(strings.TrimPrefix(v, "REPROSIGN_"), "=")
		flag := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		return strings.HasPrefix(v, "REPROSIGN_") && flags.Lookup(flag) == nil && a.settingFlags.Lookup(flag) != nil
	})
}

func (a *app) loadSettings() error {
	file, err := a.configFile()
	if err != nil {
		return err
	}
	a.settings, err = config.Load(config.Source{File: file, Environ: a.environ, Flags: a.settingFlags}, defaults())
	if err != nil {
		return err
	}
	return oneOf("color", a.settings.Color, "auto", "always", "never")
}

// configFile returns the file that was named, or the first of the usual ones
// that is there.
func (a *app) configFile() (string, error) {
	if a.config != "" {
		return a.config, nil
	}
	var places []string
	if dir := a.variable("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		places = append(places, filepath.Join(dir, "reprosign", "config.toml"))
	} else if home := a.variable("HOME"); home != "" {
		places = append(places, filepath.Join(home, ".config", "reprosign", "config.toml"))
	}
	for _, place := range append(places, systemConfig) {
		_, err := os.Stat(place)
		if err == nil {
			return place, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("looking for the configuration: %w", err)
		}
	}
	return "", nil
}

// variable returns the last value of an environment variable.
func (a *app) variable(name string) string {
	value := ""
	for _, v := range a.environ {
		if rest, ok := strings.CutPrefix(v, name+"="); ok {
			value = rest
		}
	}
	return value
}

// connect connects to the bus as the party that the settings name.
func (a *app) connect(ctx context.Context) (*bus.Conn, error) {
	s := a.settings
	for setting, value := range map[string]string{"nats-url": s.NATS.URL, "nats-seed": s.NATS.Seed, "name": s.Name} {
		if value == "" {
			return nil, usagef("no setting %s; give --%s or put it into the configuration file", setting, setting)
		}
	}
	if err := oneOf("role", s.Role, string(bus.RolePublisher), string(bus.RoleRebuilder)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.NATS.Patience))
	defer cancel()
	conn, err := bus.Connect(ctx, bus.Config{
		URL: s.NATS.URL, CAFile: s.NATS.CA, SeedFile: s.NATS.Seed,
		Identity: bus.Identity{Role: bus.Role(s.Role), Name: s.Name},
	})
	if bus.KindOf(err) == bus.KindUnavailable {
		return nil, hinted(err, "nothing was changed; is %s the bus, and is it running", s.NATS.URL)
	}
	return conn, err
}
