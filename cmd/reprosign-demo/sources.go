package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// aptSource is one entry of the machine's package sources: where its Debian
// mirror is and whose signature apt accepts there.
type aptSource struct {
	uris   []string
	suites []string
	// verbatim are further fields in the deb822 spelling, continuation lines
	// included: Signed-By may hold a whole key.
	verbatim []string
}

// keptFields are the fields of an entry that say how to reach and trust a mirror.
var keptFields = []string{"signed-by", "trusted", "check-valid-until"}

// defaultSource is where Debian's packages are when the machine names no mirror.
func defaultSource(codename string) aptSource {
	return aptSource{
		uris: []string{"http://deb.debian.org/debian"}, suites: []string{codename},
		verbatim: []string{"Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg"},
	}
}

// archiveSources returns the entries below dir (/etc/apt) that serve the Debian
// release with this code name. Other archives a machine may use are left out.
func archiveSources(dir, codename string) ([]aptSource, error) {
	var all []aptSource
	for _, pattern := range []string{"sources.list", "sources.list.d/*.list", "sources.list.d/*.sources"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, fmt.Errorf("looking for package sources: %w", err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("reading package sources: %w", err)
			}
			parse := parseOneLine
			if strings.HasSuffix(file, ".sources") {
				parse = parseDeb822
			}
			all = append(all, parse(string(data), codename)...)
		}
	}
	if len(all) == 0 {
		all = append(all, defaultSource(codename))
	}
	return all, nil
}

// ofRelease keeps the suites of a Debian release: itself, its updates and its
// security fixes, by code name or by rank.
func ofRelease(suites []string, codename string) []string {
	return slices.DeleteFunc(slices.Clone(suites), func(suite string) bool {
		name := strings.TrimSuffix(strings.TrimSuffix(suite, "-updates"), "-security")
		return !slices.Contains([]string{codename, "stable", "oldstable", "testing", "unstable", "sid"}, name)
	})
}

const mainComponent = "main"

// parseOneLine reads the older form: deb [option=value …] URI suite component…
func parseOneLine(text, codename string) []aptSource {
	var out []aptSource
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		rest, ok := strings.CutPrefix(line, "deb ")
		if !ok {
			continue
		}
		var s aptSource
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			var options string
			if options, rest, ok = strings.Cut(rest[1:], "]"); !ok {
				continue
			}
			for option := range strings.FieldsSeq(options) {
				name, value, _ := strings.Cut(option, "=")
				if slices.Contains(keptFields, strings.ToLower(name)) {
					s.verbatim = append(s.verbatim, name+": "+strings.ReplaceAll(value, ",", " "))
				}
			}
		}
		words := strings.Fields(rest)
		if len(words) < 3 || !slices.Contains(words[2:], mainComponent) {
			continue
		}
		s.uris, s.suites = words[:1], ofRelease(words[1:2], codename)
		if len(s.suites) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// parseDeb822 reads stanzas of fields (sources.list(5)).
func parseDeb822(text, codename string) []aptSource {
	var out []aptSource
	for stanza := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		fields := fieldsOf(stanza)
		words := func(name string) []string { return strings.Fields(fields[name]) }
		s := aptSource{uris: words("uris"), suites: ofRelease(words("suites"), codename)}
		if !slices.Contains(words("types"), "deb") || strings.TrimSpace(fields["enabled"]) == "no" ||
			!slices.Contains(words("components"), mainComponent) || len(s.uris) == 0 || len(s.suites) == 0 {
			continue
		}
		for _, name := range keptFields {
			if value, ok := fields[name]; ok {
				s.verbatim = append(s.verbatim, name+":"+strings.TrimSuffix(value, "\n"))
			}
		}
		out = append(out, s)
	}
	return out
}

// fieldsOf returns the fields of a stanza by lower-case name, as they stand.
func fieldsOf(stanza string) map[string]string {
	fields, name := map[string]string{}, ""
	for line := range strings.Lines(stanza) {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"):
			fields[name] += line
		default:
			var value string
			name, value, _ = strings.Cut(line, ":")
			name = strings.ToLower(strings.TrimSpace(name))
			fields[name] = value
		}
	}
	return fields
}

// stanza writes the entry for apt, with sources as well as binaries.
func (s aptSource) stanza() string {
	lines := append([]string{
		"Types: deb deb-src",
		"URIs: " + strings.Join(s.uris, " "),
		"Suites: " + strings.Join(s.suites, " "),
		"Components: " + mainComponent,
	}, s.verbatim...)
	return strings.Join(lines, "\n") + "\n\n"
}
