package backend

import (
	"maps"
	"regexp"
	"slices"
)

// parameter is what a back-end accepts under one name.
type parameter struct {
	pattern  *regexp.Regexp
	required bool
}

// whole makes a pattern that must match the whole value.
func whole(expr string) *regexp.Regexp { return regexp.MustCompile(`\A(?:` + expr + `)\z`) }

// checkParameters refuses every parameter that is not listed, is missing or does not match: a misspelt parameter that is
// passed over would give rebuilders different builds of one recipe.
func checkParameters(given map[string]string, known map[string]parameter) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		p, ok := known[name]
		if !ok {
			return refuse("unknown parameter %q", name)
		}
		if !p.pattern.MatchString(given[name]) {
			return refuse("parameter %q has the value %q, which does not match %s", name, given[name], p.pattern)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if _, ok := given[name]; !ok && known[name].required {
			return refuse("parameter %q is missing", name)
		}
	}
	return nil
}
