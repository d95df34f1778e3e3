package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"
)

const (
	// prefix of the environment variables that are settings.
	prefix = "REPROSIGN_"
	// maxFile bounds a configuration file, in bytes.
	maxFile = 1 << 20
)

// Source is where settings come from.
type Source struct {
	File    string         // TOML; empty means none
	Environ []string       // as os.Environ gives it
	Flags   *pflag.FlagSet // as Flags defined it, and parsed; nil means none
}

// Load reads the settings of a program into a copy of defaults.
func Load[T any](s Source, defaults T) (T, error) {
	cfg := defaults
	if s.File != "" {
		if err := loadFile(s.File, &cfg); err != nil {
			return defaults, err
		}
	}
	settings, err := settingsOf(&cfg)
	if err != nil {
		return defaults, err
	}
	if err := loadEnvironment(s.Environ, settings); err != nil {
		return defaults, err
	}
	if err := loadFlags(s.Flags, settings); err != nil {
		return defaults, err
	}
	return cfg, nil
}

func loadFile(path string, into any) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return fmt.Errorf("reading the configuration: %s is no regular file of at most %d bytes", path, maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	err = toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(into)
	var unknown *toml.StrictMissingError
	var broken *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		var all []error
		for _, e := range unknown.Errors {
			line, _ := e.Position()
			all = append(all, fmt.Errorf("%s:%d: no such setting: %s", path, line, strings.Join(e.Key(), ".")))
		}
		return fmt.Errorf("reading the configuration: %w", errors.Join(all...))
	case errors.As(err, &broken):
		// Not the library's long form, which quotes lines: they may hold a secret.
		line, _ := broken.Position()
		return fmt.Errorf("reading the configuration: %s:%d: %s", path, line, strings.TrimPrefix(broken.Error(), "toml: "))
	case err != nil:
		return fmt.Errorf("reading the configuration: %s: %w", path, err)
	}
	return nil
}

func loadEnvironment(environ []string, settings []setting) error {
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		i := slices.IndexFunc(settings, func(s setting) bool { return s.variable() == name })
		if i < 0 {
			return fmt.Errorf("reading the environment: %s: no such setting", name)
		}
		if settings[i].secret {
			return fmt.Errorf("reading the environment: %s: setting %s may hold a secret and is taken from the configuration file alone", name, settings[i].key)
		}
		if err := settings[i].set(value); err != nil {
			return fmt.Errorf("reading the environment: %s: %w", name, err)
		}
	}
	return nil
}

// Flags defines a flag for every setting that may be one.
func Flags[T any](flags *pflag.FlagSet, defaults T) error {
	settings, err := settingsOf(&defaults)
	if err != nil {
		return err
	}
	for _, s := range settings {
		if s.secret {
			continue
		}
		if s.isBool() {
			flags.Bool(s.flag(), s.value.Bool(), s.help)
		} else {
			flags.String(s.flag(), s.text(), s.help)
		}
	}
	return nil
}

func loadFlags(flags *pflag.FlagSet, settings []setting) error {
	if flags == nil {
		return nil
	}
	for _, s := range settings {
		f := flags.Lookup(s.flag())
		if f == nil || !f.Changed || s.secret {
			continue
		}
		if err := s.set(f.Value.String()); err != nil {
			return fmt.Errorf("reading flag --%s: %w", f.Name, err)
		}
	}
	return nil
}
