package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/term"

	"github.com/reprosign/reprosign/attest"
)

// colors of the words that begin a line; without color the words stay.
var colors = map[string]string{"error": "31", "warning": "33", "hint": "36", "ok": "32"}

// say writes one line for a person to standard error.
func (a *app) say(word, text string) {
	fmt.Fprintf(a.stderr, "%s %s\n", a.paint(a.stderr, word), plain(text))
}

// print writes a line of the result. What it prints came from others:
// nothing in it may move the cursor.
func (a *app) print(format string, args ...any) {
	fmt.Fprintln(a.stdout, plain(fmt.Sprintf(format, args...)))
}

// printStep writes a result that begins with a word such as ok.
func (a *app) printStep(word, text string) {
	fmt.Fprintf(a.stdout, "%s %s\n", a.paint(a.stdout, word), plain(text))
}

// paint returns the word with its colon, colored if w shows colors.
func (a *app) paint(w io.Writer, word string) string {
	if code := colors[word]; code != "" && a.colored(w) {
		return "\x1b[" + code + "m" + word + ":\x1b[0m"
	}
	return word + ":"
}

func (a *app) colored(w io.Writer) bool {
	switch a.settings.Color {
	case "always":
		return true
	case "never":
		return false
	}
	// https://no-color.org: any value but the empty one.
	off := slices.ContainsFunc(a.environ, func(v string) bool { return strings.HasPrefix(v, "NO_COLOR=") && v != "NO_COLOR=" })
	return !off && isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// plain takes out what would rewrite the terminal it is shown on: controls and
// marks that turn the direction of writing.
func plain(s string) string {
	var out strings.Builder
	for len(s) > 0 {
		n := min(len(s), attest.MaxReason)
		for n < len(s) && n > 0 && s[n]&0xc0 == 0x80 { // not within a character
			n--
		}
		if n == 0 {
			n = min(len(s), attest.MaxReason)
		}
		out.WriteString(attest.CleanReason(s[:n]))
		s = s[n:]
	}
	return out.String()
}

// printJSON writes a result for programs.
func (a *app) printJSON(v any) error {
	data, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	_, err = fmt.Fprintln(a.stdout, string(data))
	return err
}

// oneOf checks the value of a flag that names one of a few.
func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return usagef("--%s is %q, must be %s", flag, value, strings.Join(allowed, " or "))
}
