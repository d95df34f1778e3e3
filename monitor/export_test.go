package monitor

import (
	"net/http"
	"time"
)

// Over returns a source over HTTP with a transport of the test's own.
func Over(base string, t http.RoundTripper) Source {
	return &web{base: base, client: &http.Client{Transport: t}, pause: firstPause}
}

// Hasten makes a source over HTTP try again at once.
func Hasten(s Source) {
	if w, ok := s.(*web); ok {
		w.pause = time.Microsecond
	}
}

// HastenWebhook makes a monitor post again at once.
func (m *Monitor) HastenWebhook() { m.hook.pause = time.Microsecond }

// ParseCounts is what the fuzz test parses.
func ParseCounts(data []byte) error {
	_, err := parseCounts(data)
	return err
}

// ParseState reads a state as the memory does.
var ParseState = parseState
