package key

import "fmt"

// MaxIDBytes is the longest key id.
const MaxIDBytes = 128

// CheckID accepts the ids a NetHSM accepts, for every device, so that a configuration moves between devices unchanged:
// 1 to [MaxIDBytes] ASCII letters, digits, '_', '.' and '-', beginning with a letter or digit. Such an id is also safe
// inside a URL path and a file name. The error is ErrMisconfigured.
func CheckID(id string) error {
	if len(id) == 0 || len(id) > MaxIDBytes {
		return fmt.Errorf("%w: id of %d bytes, want 1 to %d", ErrMisconfigured, len(id), MaxIDBytes)
	}
	for i, c := range []byte(id) {
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alphanumeric && (i == 0 || c != '_' && c != '.' && c != '-') {
			return fmt.Errorf("%w: id %q, want letters, digits and _ . - after a letter or digit", ErrMisconfigured, id)
		}
	}
	return nil
}
