package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// Colours of a terminal, used where a word says the same.
const (
	bold   = "\x1b[1m"
	faint  = "\x1b[2m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"

	eraseLine = "\r\x1b[K"
)

const (
	whoWidth     = 12
	defaultWidth = 80
)

// screen tells a person what happens: one line per event, and on a terminal a
// last line with what is going on right now. It may be used concurrently.
type screen struct {
	out   io.Writer
	began time.Time
	color bool
	width int // of the terminal; 0 if there is none

	mu   sync.Mutex
	last string // the live line as it stands
}

func newScreen(out *os.File) *screen {
	s := &screen{out: out, began: time.Now()}
	if fd := int(out.Fd()); term.IsTerminal(fd) {
		s.width = defaultWidth
		if w, _, err := term.GetSize(fd); err == nil && w > 0 {
			s.width = w
		}
		s.color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return s
}

func (s *screen) paint(color, text string) string {
	if !s.color {
		return text
	}
	return color + text + reset
}

// section begins a part of the story.
func (s *screen) section(title string) { s.line("\n" + s.paint(bold, title)) }

// explain says what is about to be seen, and why.
func (s *screen) explain(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		s.line(s.paint(faint, "  "+strings.TrimSuffix(line, "\n")))
	}
}

// event tells who did what.
func (s *screen) event(who, format string, args ...any) {
	s.line(s.happened(who) + fmt.Sprintf(format, args...))
}

// good and notable are events that a reader should not miss.
func (s *screen) good(who, format string, args ...any) {
	s.line(s.happened(who) + s.paint(green, fmt.Sprintf(format, args...)))
}

func (s *screen) notable(who, format string, args ...any) {
	s.line(s.happened(who) + s.paint(yellow, fmt.Sprintf(format, args...)))
}

func (s *screen) happened(who string) string {
	return fmt.Sprintf("%s %-*s ", s.paint(faint, fmt.Sprintf("%6.1fs", time.Since(s.began).Seconds())), whoWidth, who)
}

// line writes a line above the live one.
func (s *screen) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != "" {
		fmt.Fprint(s.out, eraseLine)
	}
	fmt.Fprintln(s.out, text)
	if s.last != "" {
		fmt.Fprint(s.out, s.last)
	}
}

// live replaces the last line; without a terminal there is none.
func (s *screen) live(format string, args ...any) {
	if s.width == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	text := []rune(fmt.Sprintf("        "+format, args...))
	if len(text) >= s.width {
		text = append(text[:max(0, s.width-2)], '…')
	}
	if string(text) != s.last {
		s.last = string(text)
		fmt.Fprint(s.out, eraseLine+s.last)
	}
}

// still removes the live line.
func (s *screen) still() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != "" {
		fmt.Fprint(s.out, eraseLine)
		s.last = ""
	}
}
