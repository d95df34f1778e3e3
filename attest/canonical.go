package attest

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/reprosign/reprosign/attest/canonical"
)

// ErrMalformed is wrapped by every error that says: these bytes are not a
// well-formed message. Asking again with the same bytes cannot help.
var ErrMalformed = canonical.ErrMalformed

var (
	deterministic = json.Deterministic(true)
	noUnknown     = json.RejectUnknownMembers(true)
)

// MarshalCanonical encodes v as canonical JSON (RFC 8785).
func MarshalCanonical(v any) ([]byte, error) {
	data, err := json.Marshal(v, deterministic)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", v, err)
	}
	value := jsontext.Value(data)
	if err := value.Canonicalize(); err != nil {
		return nil, fmt.Errorf("canonicalizing %T: %w", v, err)
	}
	return value, nil
}

// UnmarshalStrict decodes canonical JSON of at most limit bytes into v, a
// pointer. It accepts exactly the bytes that [MarshalCanonical] would write for
// the decoded value; every other input is an error that wraps [ErrMalformed].
func UnmarshalStrict(data []byte, limit int, v any) error {
	if len(data) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d allowed", ErrMalformed, len(data), limit)
	}
	if err := json.Unmarshal(data, v, noUnknown); err != nil {
		return quoted(err)
	}
	again, err := MarshalCanonical(v)
	if err != nil {
		return quoted(err)
	}
	if !bytes.Equal(data, again) {
		return fmt.Errorf("%w: %w", ErrMalformed, canonical.ErrNotCanonical)
	}
	return nil
}

// quoted bounds an error that may quote the input at any length, an unknown
// member's name for one: hostile bytes must not fill logs and rejections.
func quoted(err error) error { return malformed("%s", clip(err.Error())) }

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}
