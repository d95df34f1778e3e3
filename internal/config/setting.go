package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Duration is a time.Duration that is written like 90s or 1h30m.
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("duration %q is not written like 90s or 1h30m", text)
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// setting is one scalar, or list of strings, in a configuration struct. Lists
// of structs and maps are in the file alone.
type setting struct {
	key    string // as in TOML, dotted
	help   string
	secret bool
	value  reflect.Value
}

// settingsOf lists the settings of the struct that into points to.
func settingsOf(into any) ([]setting, error) {
	v := reflect.ValueOf(into).Elem()
	if v.Kind() != reflect.Struct {
		return nil, fmt.Errorf("configuration is a %v, must be a struct", v.Type())
	}
	return walk(v, "", false), nil
}

func walk(v reflect.Value, path string, secret bool) []setting {
	var all []setting
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
		if !field.IsExported() || name == "-" {
			continue
		}
		if field.Anonymous && name == "" { // its settings are those of the struct around it, as in TOML
			all = append(all, walk(v.Field(i), path, secret)...)
			continue
		}
		if name == "" {
			name = strings.ToLower(field.Name)
		}
		s := setting{
			key: path + name, help: field.Tag.Get("help"),
			secret: secret || field.Tag.Get("secret") == "true", value: v.Field(i),
		}
		switch {
		case s.scalar():
			all = append(all, s)
		case s.value.Kind() == reflect.Struct:
			all = append(all, walk(s.value, s.key+".", s.secret)...)
		}
	}
	return all
}

func (s setting) variable() string {
	return prefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.key))
}

func (s setting) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(s.key) }

func (s setting) isBool() bool { return s.value.Kind() == reflect.Bool }

func (s setting) isList() bool {
	return s.value.Kind() == reflect.Slice && s.value.Type().Elem().Kind() == reflect.String
}

func (s setting) unmarshaler() (encoding.TextUnmarshaler, bool) {
	u, ok := s.value.Addr().Interface().(encoding.TextUnmarshaler)
	return u, ok
}

func (s setting) scalar() bool {
	_, text := s.unmarshaler()
	return text || s.isBool() || s.isList() || s.value.Kind() == reflect.String || s.value.CanInt()
}

// set reads a value from the environment or a flag.
func (s setting) set(text string) error {
	if u, ok := s.unmarshaler(); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch {
	case s.isBool():
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		s.value.SetBool(b)
	case s.isList():
		list := reflect.MakeSlice(s.value.Type(), 0, 1)
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = reflect.Append(list, reflect.ValueOf(item).Convert(s.value.Type().Elem()))
			}
		}
		s.value.Set(list)
	case s.value.CanInt():
		n, err := strconv.ParseInt(text, 10, s.value.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a whole number in range", text)
		}
		s.value.SetInt(n)
	default:
		s.value.SetString(text)
	}
	return nil
}

// text writes the value in the form that set reads.
func (s setting) text() string {
	if m, ok := s.value.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			return ""
		}
		return string(text)
	}
	if s.isList() {
		items := make([]string, s.value.Len())
		for i := range items {
			items[i] = s.value.Index(i).String()
		}
		return strings.Join(items, ",")
	}
	return fmt.Sprint(s.value.Interface())
}

// masked stands for a secret that is set.
const masked = "(set, not shown)"

// Effective returns the settings in force as TOML, with secrets masked.
func Effective[T any](cfg T) (string, error) {
	settings, err := settingsOf(&cfg) // a copy: masking must not reach the caller's
	if err != nil {
		return "", err
	}
	for _, s := range settings {
		if !s.secret || s.value.IsZero() {
			continue
		}
		if s.value.Kind() == reflect.String {
			s.value.SetString(masked)
		} else {
			s.value.SetZero()
		}
	}
	data, err := toml.Marshal(cfg)
	if err != nil {
		return "", fmt.Errorf("writing the configuration: %w", err)
	}
	return string(data), nil
}
