package box

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

const (
	// maxTail bounds how much of a server's output is kept for error messages.
	maxTail = 40

	// maxLine bounds one kept or logged line of it, in bytes.
	maxLine = 1000
)

// output passes on what a server program prints, line by line at debug level,
// and remembers the last lines for the error message when the server fails.
type output struct {
	logger *slog.Logger
	server string // who prints: postgres or nats

	mu      sync.Mutex
	partial []byte
	tail    []string
}

// Write implements io.Writer; it never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	written := len(p)
	for {
		line, rest, whole := bytes.Cut(p, []byte{'\n'})
		if room := maxLine - len(o.partial); len(line) > room {
			line = line[:max(room, 0)]
		}
		o.partial = append(o.partial, line...)
		if !whole {
			return written, nil
		}
		o.keep(string(o.partial))
		o.partial, p = o.partial[:0], rest
	}
}

// keep logs and remembers one line. The caller holds o.mu.
func (o *output) keep(line string) {
	o.logger.Debug("server output", slog.String("server", o.server), slog.String("line", line))
	if len(o.tail) == maxTail {
		o.tail = append(o.tail[:0], o.tail[1:]...)
	}
	o.tail = append(o.tail, line)
}

// last returns the remembered lines, indented to stand below an error message.
func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.tail) == 0 {
		return "  (the server printed nothing)"
	}
	return "  " + strings.Join(o.tail, "\n  ")
}
