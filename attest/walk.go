package attest

import (
	"time"

	"github.com/reprosign/reprosign/attest/canonical"
)

// moment goes through a time in its text form.
func moment(w *canonical.Walk, before string, t *Time) {
	w.Text(before)
	w.Text(`"`)
	if w.Reading() {
		var guess time.Time
		_ = guess.UnmarshalText(w.Ahead(len(timeLayout)))
		*t = At(guess)
	}
	var spelling [len(timeLayout) + 1]byte
	text, err := t.AppendText(spelling[:0])
	if err != nil {
		w.Fail(malformed("%w", err))
	}
	w.Spelling(append(text, '"'))
}

func digests(w *canonical.Walk, before string, all *[]Digest) {
	canonical.List(w, before, all, func(d *Digest) { w.Hex("", d[:]) })
}

// reference goes through an array of one reference to a digest, or of none if it is zero.
func reference(w *canonical.Walk, before string, d *Digest, name string) {
	w.Text(before)
	if !w.HexUnlessZero(`[{"digest":{"sha256":"`, d[:]) {
		w.Text(`[]`)
		return
	}
	w.Text(`},"name":"`)
	w.Text(name)
	w.Text(`"}]`)
}
