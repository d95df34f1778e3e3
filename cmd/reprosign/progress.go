package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// progress is one line on a terminal that tells what is waited for. Elsewhere
// it shows nothing.
type progress struct {
	mu    sync.Mutex
	out   io.Writer // nil shows nothing
	width int
	all   int
	ready int
}

func (a *app) newProgress(all int) *progress {
	p := &progress{all: all}
	if f, ok := a.stderr.(*os.File); ok && isTerminal(f) {
		p.out = f
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.width = width
		}
	}
	return p
}

// show replaces the line.
func (p *progress) show(what, how string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		return
	}
	line := []rune(plain(fmt.Sprintf("%d of %d done; %s: %s", p.ready, p.all, what, how)))
	if most := max(p.width-1, 20); len(line) > most {
		line = append(line[:most-1], '…')
	}
	fmt.Fprintf(p.out, "\r\x1b[K%s", string(line))
}

func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready++
}

// clear removes the line, for what is printed after it.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != nil {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
