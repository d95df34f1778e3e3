package attest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// walk goes through the canonical JSON (RFC 8785) of a message from its first
// byte to its last. Statements and what carries them describe themselves by one
// walk for both directions:
//
//	func (o *Opening) walk(w *walk) {
//		number(w, beginStatement+`{"attempt":`, &o.Attempt)
//		word(w, `,"coordinator":`, &o.Coordinator)
//		w.time(`,"deadline":`, &o.Deadline)
//		…
//
// Each step goes through a fixed text and then through the one spelling of a
// value. Writing, it appends both. Reading, it first guesses the value from what
// comes next and then wants to see both: a guess that is wrong only fails. So what
// was read is what writing writes, byte for byte, as [UnmarshalStrict] has it,
// which takes many times as long. After a step that fails the others do nothing.
type walk struct {
	reading bool
	data    []byte // written so far, or left to read
	size    int    // of all that is read, in bytes
	err     error
}

// writeWalk returns what a walk writes, which is about size bytes.
func writeWalk(size int, steps func(*walk)) ([]byte, error) {
	w := walk{data: make([]byte, 0, size)}
	steps(&w)
	return w.data, w.err
}

// readWalk has a walk read at most limit bytes to their end.
func readWalk(data []byte, limit int, steps func(*walk)) error {
	if len(data) > limit {
		return malformed("%d bytes, at most %d allowed", len(data), limit)
	}
	w := walk{reading: true, data: data, size: len(data)}
	steps(&w)
	if w.err == nil && len(w.data) > 0 {
		w.refuse("")
	}
	return w.err
}

// refuse says what belongs where the walk has come to, but not what is there: a
// private key may have been named in place of a statement, and errors are logged.
func (w *walk) refuse(want string) {
	const shown = 40
	same := 0
	for same < min(len(w.data), len(want)) && w.data[same] == want[same] {
		same++
	}
	belongs := "nothing more"
	if want = want[same:]; want != "" {
		belongs = fmt.Sprintf("%.*q", shown, want)
	}
	w.fail(malformed("%w: at byte %d of %d belongs %s", errNotCanonical, w.size-len(w.data)+same, w.size, belongs))
}

// fail ends the walk, unless err is nil. Nothing is left to read then, or to
// guess from: hostile bytes cost what it takes to come to the first wrong one.
func (w *walk) fail(err error) {
	if w.err == nil && err != nil {
		w.err, w.data = err, nil
	}
}

// text goes through what is the same in every statement, or follows from what
// the statement has said before.
func (w *walk) text(s string) { through(w, s) }

func through[T string | []byte](w *walk, s T) {
	switch {
	case w.err != nil:
	case !w.reading:
		w.data = append(w.data, s...)
	case len(w.data) >= len(s) && string(w.data[:len(s)]) == string(s):
		w.data = w.data[len(s):]
	default:
		w.refuse(string(s))
	}
}

// next reports whether a text is next to be read.
func (w *walk) next(s string) bool { return w.reading && string(w.ahead(0, len(s))) == s }

// ahead returns what is next to be read, as far as it is there.
func (w *walk) ahead(from, to int) []byte {
	return w.data[min(from, len(w.data)):min(to, len(w.data))]
}

func (w *walk) digest(before string, d *Digest) { w.hex(before, d[:]) }

func (w *walk) digest512(before string, d *Digest512) { w.hex(before, d[:]) }

func (w *walk) hex(before string, b []byte) {
	w.text(before)
	w.text(`"`)
	if w.reading {
		_, _ = hex.Decode(b, w.ahead(0, hex.EncodedLen(len(b))))
	}
	w.spelled(b)
}

// spelled goes through bytes in hexadecimal, up to the quote.
func (w *walk) spelled(b []byte) {
	var spelling [2*len(Digest512{}) + 1]byte
	through(w, append(hex.AppendEncode(spelling[:0], b), '"'))
}

func (w *walk) digests(before string, all *[]Digest) {
	list(w, before, all, func(d *Digest) { w.digest("", d) })
}

// again goes through a digest that was said before, up to the quote.
func (w *walk) again(before string, d Digest) {
	w.text(before)
	w.spelled(d[:])
}

func (w *walk) time(before string, t *Time) {
	w.text(before)
	w.text(`"`)
	if w.reading {
		var guess time.Time
		_ = guess.UnmarshalText(w.ahead(0, len(timeLayout)))
		*t = At(guess)
	}
	var spelling [len(timeLayout) + 1]byte
	text, err := t.AppendText(spelling[:0])
	if err != nil {
		w.fail(malformed("%w", err))
	}
	through(w, append(text, '"'))
}

func (w *walk) truth(before string, b *bool) {
	w.text(before)
	if w.reading {
		*b = w.next("true")
	}
	w.text(strconv.FormatBool(*b))
}

// base64 goes through bytes in base64. That has one spelling, but for line ends,
// which decoding skips and the length tells.
func (w *walk) base64(before string, b *[]byte) {
	w.text(before)
	w.text(`"`)
	switch {
	case w.err != nil:
	case !w.reading:
		w.data = base64.StdEncoding.AppendEncode(w.data, *b)
	default:
		text, _, _ := bytes.Cut(w.data, []byte(`"`))
		decoded, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
		if err != nil || base64.StdEncoding.EncodedLen(len(decoded)) != len(text) {
			w.refuse("")
			return
		}
		*b, w.data = decoded, w.data[len(text):]
	}
	w.text(`"`)
}

// number goes through a whole number from zero on that JSON keeps exact.
func number[N int | int64 | uint64](w *walk, before string, n *N) {
	w.text(before)
	if w.reading {
		digits := len(w.data) - len(bytes.TrimLeft(w.data, "0123456789"))
		guess, _ := strconv.ParseUint(string(w.ahead(0, min(digits, 16))), 10, 53)
		*n = N(guess)
	}
	var spelling [20]byte
	through(w, strconv.AppendInt(spelling[:0], int64(*n), 10))
}

// word goes through a text: a name, or a word from a list.
func word[S ~string](w *walk, before string, s *S) {
	w.text(before)
	var scratch [128]byte
	if w.reading {
		guess, _ := jsontext.AppendUnquote(scratch[:0], w.quoted())
		*s = S(guess)
	}
	spelling, err := jsontext.AppendQuote(scratch[:0], *s)
	through(w, spelling)
	w.fail(err)
}

// quoted returns the text in quotes that is next to be read, if one is.
func (w *walk) quoted() []byte {
	for i := 1; i < len(w.data); i++ {
		switch w.data[i] {
		case '\\':
			i++
		case '"':
			return w.data[:i+1]
		}
	}
	return nil
}

// list goes through an array.
func list[T any](w *walk, before string, items *[]T, step func(*T)) {
	w.text(before)
	w.text(`[`)
	if w.reading {
		*items = []T{}
	}
	for i := 0; w.more(`]`, i, len(*items)); i++ {
		if w.reading {
			*items = append(*items, *new(T))
		}
		step(&(*items)[i])
	}
	w.text(`]`)
}

// words goes through an object of texts. Its names are in the order of their bytes,
// which is that of RFC 8785 for ASCII: whoever walks words must refuse other names.
func (w *walk) words(before string, m *map[string]string) {
	w.text(before)
	w.text(`{`)
	names := slices.Sorted(maps.Keys(*m))
	if w.reading {
		*m = map[string]string{}
	}
	for i := 0; w.more(`}`, i, len(names)); i++ {
		if w.reading {
			names = append(names, "")
		}
		word(w, "", &names[i])
		if i > 0 && names[i] <= names[i-1] {
			w.refuse("a later name")
		}
		value := (*m)[names[i]]
		word(w, `:`, &value)
		(*m)[names[i]] = value
	}
	w.text(`}`)
}

// more reports whether there is an item i, and goes through the comma before it.
func (w *walk) more(end string, i, items int) bool {
	if w.err != nil || w.next(end) || !w.reading && i == items {
		return false
	}
	if i > 0 {
		w.text(`,`)
	}
	return w.err == nil
}

// optional goes through an array of one reference to a digest, or of none if it is zero.
func (w *walk) optional(before string, d *Digest, name string) {
	w.text(before)
	w.unlessZero(`[{"digest":{"sha256":"`, d)
	if d.IsZero() {
		w.text(`[]`)
		return
	}
	w.text(`},"name":"`)
	w.text(name)
	w.text(`"}]`)
}

// unlessZero goes through a digest, unless it is zero; before ends with the quote.
func (w *walk) unlessZero(before string, d *Digest) {
	if w.reading {
		*d = Digest{}
		if w.next(before) {
			_, _ = hex.Decode(d[:], w.ahead(len(before), len(before)+hex.EncodedLen(len(d))))
		}
	}
	if !d.IsZero() {
		w.again(before, *d)
	}
}

// mark goes through a text that is there if b is true.
func (w *walk) mark(s string, b *bool) {
	if w.reading {
		*b = w.next(s)
	}
	if *b {
		w.text(s)
	}
}
