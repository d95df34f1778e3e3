package attest

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrMalformed is wrapped by every error that says: these bytes are not a
// well-formed message. Asking again with the same bytes cannot help.
var ErrMalformed = errors.New("malformed")

var errNotCanonical = errors.New("not the canonical form (RFC 8785) of what it says")

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
	if encodesCanonically(reflect.TypeOf(v)) && isPlain(data) {
		return data, nil
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
	same, err := isCanonicalOf(data, v)
	if err != nil {
		return quoted(err)
	}
	if !same {
		return fmt.Errorf("%w: %w", ErrMalformed, errNotCanonical)
	}
	return nil
}

// isCanonicalOf reports whether data is what [MarshalCanonical] writes for v. As
// a rule it need not be written down: plain data can be the canonical form of
// nothing that is encoded otherwise, since what makes an encoding not plain, a
// character beyond ASCII or a long number, is there in its canonical form too.
func isCanonicalOf(data []byte, v any) (bool, error) {
	if !encodesCanonically(reflect.TypeOf(v)) || !isPlain(data) {
		again, err := MarshalCanonical(v)
		return bytes.Equal(data, again), err
	}
	c := comparison{rest: data}
	if err := json.MarshalWrite(&c, v, deterministic); err != nil && !c.differs {
		return false, err
	}
	return !c.differs && len(c.rest) == 0, nil
}

// comparison takes the bytes that it expects and refuses all others.
type comparison struct {
	rest    []byte
	differs bool
}

// Write implements io.Writer.
func (c *comparison) Write(p []byte) (int, error) {
	rest, same := bytes.CutPrefix(c.rest, p)
	if !same {
		c.differs = true
		return 0, errNotCanonical
	}
	c.rest = rest
	return len(p), nil
}

// canonicalTypes remembers what [encodesCanonically] found out of a type. It is
// a cache that can be lost at any time.
var canonicalTypes sync.Map // reflect.Type → bool

// encodesCanonically reports whether the encoding of every value of a type is
// canonical as it is, if it is plain: then another pass over it, which costs as
// much as the encoding, is spared. So it is for types whose structs declare
// their members in canonical order and that hold nothing but strings, truth
// values and whole numbers.
func encodesCanonically(t reflect.Type) bool {
	if answer, ok := canonicalTypes.Load(t); ok {
		return answer == true
	}
	answer := declaredInOrder(t)
	canonicalTypes.Store(t, answer)
	return answer
}

func declaredInOrder(t reflect.Type) bool {
	if t == nil || implements[json.Marshaler](t) || implements[json.MarshalerTo](t) {
		return false
	}
	if implements[encoding.TextMarshaler](t) {
		return true
	}
	switch t.Kind() { //nolint:exhaustive // all others may differ
	case reflect.String, reflect.Bool,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	case reflect.Pointer:
		return declaredInOrder(t.Elem())
	case reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8 || declaredInOrder(t.Elem())
	case reflect.Map:
		return t.Key().Kind() == reflect.String && declaredInOrder(t.Elem())
	case reflect.Struct:
		return membersInOrder(t)
	}
	return false
}

func membersInOrder(t reflect.Type) bool {
	before := ""
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name <= before || options != "" && options != "omitzero" || !declaredInOrder(f.Type) {
			return false
		}
		before = name
	}
	return true
}

func implements[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || reflect.PointerTo(t).Implements(i)
}

// isPlain reports whether JSON is ASCII and has no number of more than 15
// digits. Names beyond ASCII have another order in UTF-8 than in RFC 8785, and
// larger numbers another spelling there.
func isPlain(data []byte) bool {
	const exact = 15 // digits that a float64 always keeps
	if !isASCII(data) {
		return false
	}
	digits := 0
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			i += endOfText(data[i:])
		case '0' <= c && c <= '9':
			if digits++; digits > exact {
				return false
			}
		default:
			digits = 0
		}
	}
	return true
}

func isASCII(data []byte) bool {
	const beyond = 0x8080808080808080
	for ; len(data) >= 8; data = data[8:] {
		if binary.LittleEndian.Uint64(data)&beyond != 0 {
			return false
		}
	}
	for _, c := range data {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// endOfText returns where the quote is that ends the text at the head of data.
func endOfText(data []byte) int {
	for end := 1; ; end++ {
		next := bytes.IndexByte(data[end:], '"')
		if next < 0 {
			return len(data)
		}
		end += next
		before := bytes.TrimRight(data[:end], `\`)
		if (end-len(before))%2 == 0 {
			return end // an even number of backslashes escape one another, not the quote
		}
	}
}

// quoted bounds an error that may quote the input at any length, an unknown
// member's name for one: hostile bytes must not fill logs and rejections.
func quoted(err error) error { return malformed("%s", clip(err.Error())) }

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}
