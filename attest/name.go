package attest

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
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return malformed("%s %q holds a character outside printable ASCII", what, clip(s))
		}
	}
	return nil
}

// checkReason admits printable text in any script; control characters would
// let a reason rewrite the terminal it is shown on.
func checkReason(s string) error {
	if len(s) > MaxReason {
		return malformed("reason has %d bytes, at most %d allowed", len(s), MaxReason)
	}
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return malformed("reason holds a control character")
		}
	}
	return nil
}

// clip keeps hostile words from filling a log line.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
