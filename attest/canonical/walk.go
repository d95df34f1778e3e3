package canonical

import (
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error that says: these bytes are not a
// well-formed message. Asking again with the same bytes cannot help.
var ErrMalformed = errors.New("malformed")

// ErrNotCanonical says that JSON is not spelled as it has to be.
var ErrNotCanonical = errors.New("not the canonical form (RFC 8785) of what it says")

// Walk goes through a message from its first byte to its last.
type Walk struct {
	reading bool
	data    []byte // written so far, or left to read
	size    int    // of all that is read, in bytes
	err     error
}

// Append appends what a walk writes to b.
func Append(b []byte, steps func(*Walk)) ([]byte, error) {
	w := Walk{data: b}
	steps(&w)
	return w.data, w.err
}

// Read has a walk read at most limit bytes to their end. Errors wrap [ErrMalformed],
// but for those that the steps themselves pass to [Walk.Fail].
func Read(data []byte, limit int, steps func(*Walk)) error {
	if len(data) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d allowed", ErrMalformed, len(data), limit)
	}
	w := Walk{reading: true, data: data, size: len(data)}
	steps(&w)
	if w.err == nil && len(w.data) > 0 {
		w.refuse("")
	}
	return w.err
}

// Reading reports whether the walk reads values, not writes them.
func (w *Walk) Reading() bool { return w.reading }

// Fail ends the walk, unless err is nil. Nothing is left to read then, or to
// guess from: hostile bytes cost what it takes to come to the first wrong one.
func (w *Walk) Fail(err error) {
	if w.err == nil && err != nil {
		w.err, w.data = err, nil
	}
}

// refuse says what belongs where the walk has come to.
func (w *Walk) refuse(want string) {
	const shown = 40
	same := 0
	for same < min(len(w.data), len(want)) && w.data[same] == want[same] {
		same++
	}
	belongs := "nothing more"
	if want = want[same:]; want != "" {
		belongs = fmt.Sprintf("%.*q", shown, want)
	}
	w.wrong(same, belongs)
}

// wrong ends the walk some bytes further on. It says what belongs there, but not
// what is there: a private key may have been named in place of a statement, and
// errors are logged.
func (w *Walk) wrong(further int, belongs string) {
	w.Fail(fmt.Errorf("%w: %w: at byte %d of %d belongs %s", ErrMalformed, ErrNotCanonical, w.size-len(w.data)+further, w.size, belongs))
}

// Text goes through what the form has here, not a value: refusing, it is shown.
func (w *Walk) Text(s string) {
	if !through(w, s) {
		w.refuse(s)
	}
}

// Spelling goes through the spelling of a value: of one that reading has guessed, or
// of one that the message has said before.
func (w *Walk) Spelling(s []byte) {
	if !through(w, s) {
		w.wrong(0, "a value in its one spelling")
	}
}

// through reports whether s is what belongs here, unless the walk has failed before.
func through[T string | []byte](w *Walk, s T) bool {
	switch {
	case w.err != nil:
	case !w.reading:
		w.data = append(w.data, s...)
	case len(w.data) >= len(s) && string(w.data[:len(s)]) == string(s):
		w.data = w.data[len(s):]
	default:
		return false
	}
	return true
}

// Ahead returns what is next to be read, at most n bytes, to guess a value from.
func (w *Walk) Ahead(n int) []byte { return w.ahead(0, n) }

func (w *Walk) ahead(from, to int) []byte {
	return w.data[min(from, len(w.data)):min(to, len(w.data))]
}

// next reports whether a text is next to be read.
func (w *Walk) next(s string) bool { return w.reading && string(w.ahead(0, len(s))) == s }

// Mark goes through a text that is there if b is true.
func (w *Walk) Mark(s string, b *bool) {
	if w.reading {
		*b = w.next(s)
	}
	if *b {
		w.Text(s)
	}
}

// Has reports whether a member is there, and goes through what comes before its
// value. It is left out when writing has none of it, and so is not read if it
// is spelled as none.
func (w *Walk) Has(before, none string, there bool) bool {
	if w.reading {
		there = w.next(before) && string(w.ahead(len(before), len(before)+len(none))) != none
	}
	if there {
		w.Text(before)
	}
	return there
}

var errMissing = errors.New("message lacks what must be there")

// Present returns what p points to, for the steps that go through it: reading,
// there is room for it; writing, it must be there.
func Present[T any](w *Walk, p **T) *T {
	if *p != nil {
		return *p
	}
	if w.reading {
		*p = new(T)
		return *p
	}
	w.Fail(errMissing)
	return new(T)
}

// more reports whether there is an item i, and goes through the comma before it.
func (w *Walk) more(end string, i, items int) bool {
	if w.err != nil || w.next(end) || !w.reading && i == items {
		return false
	}
	if i > 0 {
		w.Text(`,`)
	}
	return w.err == nil
}
