// Package configtest checks the annotated example of a program's settings,
// whose comments are the manual of that program.
package configtest

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/reprosign/reprosign/internal/config"
)

// Example loads the example with the program's own settings and returns them.
// It fails the test unless every setting is in the file, in the tables and the
// lists of tables too, with a comment right above it.
func Example[T any](t *testing.T, path string, defaults T) T {
	t.Helper()
	settings, err := config.Load(config.Source{File: path}, defaults)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var given map[string]any
	if err := toml.Unmarshal(data, &given); err != nil {
		t.Fatal(err)
	}
	for _, key := range absent(reflect.TypeFor[T](), given) {
		t.Errorf("%s: setting %s is missing", path, key)
	}
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		isSetting := strings.Contains(line, "=") && !strings.HasPrefix(line, "#")
		if isSetting && (i == 0 || !strings.HasPrefix(lines[i-1], "#")) {
			t.Errorf("%s:%d: no comment above %q", path, i+1, line)
		}
	}
	return settings
}

// absent lists the settings of a struct that a table does not give, sorted.
func absent(settings reflect.Type, given map[string]any) []string {
	var missing []string
	for field := range settings.Fields() {
		name := field.Tag.Get("toml")
		if field.Anonymous && name == "" {
			missing = append(missing, absent(field.Type, given)...)
			continue
		}
		value, ok := given[name]
		if !ok {
			missing = append(missing, name)
			continue
		}
		kind := field.Type
		tables, isList := value.([]any)
		if isList && kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct && len(tables) > 0 {
			kind, value = kind.Elem(), tables[0]
		}
		table, isTable := value.(map[string]any)
		if !isTable || kind.Kind() != reflect.Struct {
			continue
		}
		for _, key := range absent(kind, table) {
			missing = append(missing, name+"."+key)
		}
	}
	return slices.Sorted(slices.Values(missing))
}

// Credentials returns the names of the systemd credentials that the settings
// in a file refer to, sorted.
func Credentials(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var given map[string]any
	if err := toml.Unmarshal(data, &given); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	var walk func(any)
	walk = func(value any) {
		switch value := value.(type) {
		case string:
			if id, ok := strings.CutPrefix(value, "credential:"); ok {
				names[id] = true
			}
		case map[string]any:
			for v := range maps.Values(value) {
				walk(v)
			}
		case []any:
			for _, v := range value {
				walk(v)
			}
		}
	}
	walk(given)
	return slices.Sorted(maps.Keys(names))
}
