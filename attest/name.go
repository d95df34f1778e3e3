package attest

import (
	"strings"
	"unicode/utf8"
)

// Limits on the words in statements.
const (
	// MaxName bounds the name of a party or suite, in bytes.
	MaxName = 64
	// MaxText bounds source names, versions, architectures and the like, in bytes.
	MaxText = 128
	// MaxReason bounds a reason written for people, in bytes.
	MaxReason = 512
)

// CheckName reports why s cannot name a party, a suite or a back-end. Names
// are lower-case letters, digits and inner hyphens: each is also one token of a
// NATS subject and one path element.
func CheckName(s string) error {
	if s == "" || len(s) > MaxName {
		return malformed("name %q has %d bytes, 1 to %d allowed", clip(s), len(s), MaxName)
	}
	for i := range len(s) {
		c := s[i]
		inner := i > 0 && i < len(s)-1
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' && inner) {
			return malformed("name %q holds other characters than lower-case letters, digits and inner hyphens", clip(s))
		}
	}
	return nil
}

// checkText admits printable ASCII without spaces: enough for every version
// and architecture of the distributions, and nothing a page or a terminal could misread.
func checkText(what, s string) error {
	if s == "" || len(s) > MaxText {
		return malformed("%s has %d bytes, 1 to %d allowed", what, len(s), MaxText)
	}
	if !printableASCII(s) {
		return malformed("%s %q holds a space or a character outside printable ASCII", what, clip(s))
	}
	return nil
}

// checkReason admits printable text in any script.
func checkReason(s string) error {
	if len(s) > MaxReason {
		return malformed("reason has %d bytes, at most %d allowed", len(s), MaxReason)
	}
	if !printable(s) {
		return malformed("reason is not UTF-8 or holds a control character")
	}
	return nil
}

// printable reports whether s is UTF-8 without the characters that rewrite the
// terminal or page they are shown on.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, isControl)
}

// isControl picks controls, line separators and marks that turn the direction
// of writing or show nothing. The list is spelled out because the tables of
// package unicode change between Go versions, and what is valid must not.
func isControl(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x61c || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e ||
		r >= 0x2060 && r <= 0x206f || r == 0xfeff || r >= 0xfff9 && r <= 0xfffb
}

// printableASCII reports whether s has nothing but visible ASCII, spaces excluded.
func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// clip keeps hostile words from filling a log line.
func clip(s string) string {
	const most = 240
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// CleanReason makes any text, an error's for one, fit to be a reason: control
// characters become spaces and what is too long is cut.
func CleanReason(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || isControl(r) {
			return ' '
		}
		return r
	}, s)
	for len(s) > MaxReason {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	if s == "" {
		return "no reason given"
	}
	return s
}
