package canonical

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Hex goes through bytes in hexadecimal, such as a digest.
func (w *Walk) Hex(before string, b []byte) {
	w.Text(before)
	w.Text(`"`)
	if w.reading {
		_, _ = hex.Decode(b, w.ahead(0, hex.EncodedLen(len(b))))
	}
	w.hexAgain(b)
}

// HexAgain goes through a digest that was said before, up to the quote.
func (w *Walk) HexAgain(before string, b []byte) {
	w.Text(before)
	w.hexAgain(b)
}

func (w *Walk) hexAgain(b []byte) {
	var spelling [2*64 + 1]byte
	w.Spelling(append(hex.AppendEncode(spelling[:0], b), '"'))
}

// HexUnlessZero goes through a digest, unless it is zero, and reports whether
// it is not; before ends with the quote.
func (w *Walk) HexUnlessZero(before string, b []byte) bool {
	if w.reading {
		clear(b)
		if w.next(before) {
			_, _ = hex.Decode(b, w.ahead(len(before), len(before)+hex.EncodedLen(len(b))))
		}
	}
	there := slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
	if there {
		w.HexAgain(before, b)
	}
	return there
}

// Truth goes through a truth value.
func (w *Walk) Truth(before string, b *bool) {
	w.Text(before)
	if w.reading {
		*b = w.next("true")
	}
	w.Text(strconv.FormatBool(*b))
}

var strict = base64.StdEncoding.Strict()

// Base64 goes through bytes in base64. That has one spelling, but for line ends,
// which decoding skips and the length tells.
func (w *Walk) Base64(before string, b *[]byte) {
	w.Text(before)
	w.Text(`"`)
	switch {
	case w.err != nil:
	case !w.reading:
		w.data = strict.AppendEncode(w.data, *b)
	default:
		text, _, _ := bytes.Cut(w.data, []byte(`"`))
		decoded, err := strict.AppendDecode(nil, text)
		if err != nil || strict.EncodedLen(len(decoded)) != len(text) {
			w.wrong(0, "base64 in its one spelling")
			return
		}
		*b, w.data = decoded, w.data[len(text):]
	}
	w.Text(`"`)
}

// Number goes through a whole number from zero on that JSON keeps exact.
func Number[N int | int64 | uint64](w *Walk, before string, n *N) {
	w.Text(before)
	if w.reading {
		digits := len(w.data) - len(bytes.TrimLeft(w.data, "0123456789"))
		guess, _ := strconv.ParseUint(string(w.ahead(0, min(digits, 16))), 10, 53)
		*n = N(guess)
	}
	var spelling [20]byte
	w.Spelling(strconv.AppendInt(spelling[:0], int64(*n), 10))
}

// Word goes through a text: a name, or a word from a list.
func Word[S ~string](w *Walk, before string, s *S) {
	w.Text(before)
	switch {
	case w.err != nil:
	case !w.reading:
		if plain(*s) == len(*s) {
			w.data = append(append(append(w.data, '"'), *s...), '"')
			return
		}
		data, err := jsontext.AppendQuote(w.data, *s)
		w.data = data
		w.Fail(err)
	default:
		text, spelling := w.quoted()
		if spelling == nil || !bytes.HasPrefix(w.data, spelling) {
			w.wrong(0, "a text in its one spelling")
			return
		}
		*s, w.data = S(text), w.data[len(spelling):]
	}
}

// quoted returns the text that is next to be read, if one is, and how it has to
// be spelled.
func (w *Walk) quoted() (text, spelling []byte) {
	if len(w.data) == 0 || w.data[0] != '"' {
		return nil, nil
	}
	end := 1 + plain(w.data[1:])
	if end < len(w.data) && w.data[end] == '"' {
		return w.data[1:end], w.data[:end+1]
	}
	for ; end < len(w.data) && w.data[end] != '"'; end++ {
		if w.data[end] == '\\' {
			end++
		}
	}
	text, err := jsontext.AppendUnquote(nil, w.data[:min(end+1, len(w.data))])
	if err != nil {
		return nil, nil
	}
	spelling, _ = jsontext.AppendQuote(nil, text)
	return text, spelling
}

// plain returns how many bytes at the beginning of a text are spelled by themselves.
func plain[T ~string | ~[]byte](s T) int {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return i
		}
	}
	return len(s)
}

// List goes through an array.
func List[T any](w *Walk, before string, items *[]T, step func(*T)) {
	w.Text(before)
	w.Text(`[`)
	if w.reading {
		*items = []T{}
	}
	for i := 0; w.more(`]`, i, len(*items)); i++ {
		if w.reading {
			*items = append(*items, *new(T))
		}
		step(&(*items)[i])
	}
	w.Text(`]`)
}

// Words goes through an object of texts. Its names are in the order of their bytes,
// which is that of RFC 8785 for ASCII: whoever walks words must refuse other names.
func (w *Walk) Words(before string, m *map[string]string) {
	w.Text(before)
	w.Text(`{`)
	names := slices.Sorted(maps.Keys(*m))
	if w.reading {
		*m = map[string]string{}
	}
	for i := 0; w.more(`}`, i, len(names)); i++ {
		if w.reading {
			names = append(names, "")
		}
		Word(w, "", &names[i])
		if i > 0 && names[i] <= names[i-1] {
			w.refuse("a later name")
		}
		value := (*m)[names[i]]
		Word(w, `:`, &value)
		if w.reading { // whoever writes may share the map
			(*m)[names[i]] = value
		}
	}
	w.Text(`}`)
}
