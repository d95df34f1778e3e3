// Package nethsmtest is a soft NetHSM: an HTTP handler that answers like the device, for tests and demonstrations of
// whatever speaks to one. Its keys lie in memory, or in a plain file; it protects nothing.
//
// It is written from the device's documentation and shares no type with any client, so that a misreading in a client
// does not repeat itself here. A test takes a provisioned device over TLS:
//
//	device, err := nethsmtest.Provisioned(nethsmtest.Setup{
//		Namespaces: []string{"stable"},
//		Users:      []nethsmtest.User{{ID: "stable~signer", Role: "Operator", Passphrase: "operator passphrase"}},
//		Keys:       []nethsmtest.Key{{Namespace: "stable", ID: "artifacts"}},
//	})
//	url, pin := nethsmtest.Start(t, device)
//
// Covered are provisioning, lock and unlock, health, info, users, tags, passphrases, namespaces, keys (generation,
// import, listing, certificates, restrictions), signing in all modes, random bytes and metrics, with the device's order
// of checks, status codes, error bodies, roles and the one-second pause after a failed log-in. Not covered are CSRs,
// moving keys, config, system, backup, decryption, encryption and clustering: their paths answer 404.
//
// Faults ([Server.SetFault]) make it answer late, wrongly or not at all; [Server.Signatures] says what it signed.
package nethsmtest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	maxURIBytes      = 2000
	maxBodyBytes     = 1 << 20
	maxSignBodyBytes = 67 << 20
)

// Server is one device. It is an [http.Handler], safe for concurrent use; like the device it works on one request at a
// time.
type Server struct {
	now func() time.Time

	mu        sync.Mutex // held while a request is answered: the device has one core and one event loop
	file      string     // where contents are saved, or ""
	contents  contents
	attempts  attempts
	started   time.Time
	responses map[int]int
	generated int
	fault     func(*http.Request) *Fault
}

// Option changes a new device.
type Option func(*Server)

// WithClock gives the device another clock than the host's. It decides the pause after failed log-ins and the Date header.
func WithClock(now func() time.Time) Option {
	return func(s *Server) { s.now = now }
}

// New returns an unprovisioned device that keeps its contents in memory.
func New(options ...Option) *Server {
	s := &Server{now: time.Now, contents: newContents(), responses: make(map[int]int)}
	for _, option := range options {
		option(s)
	}
	s.attempts = attempts{now: s.now, failed: make(map[string]time.Time)}
	s.started = s.now()
	return s
}

// Signatures returns how many signatures each key has made, refused requests not counted. The names are key ids, for
// keys in a namespace "namespace~id".
func (s *Server) Signatures() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[string]uint64)
	for namespace, keys := range s.contents.Keys {
		for id, k := range keys {
			counts[qualified(namespace, id)] = k.Operations
		}
	}
	return counts
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, arguments := match(r.URL.Path)
	if route == nil {
		s.write(w, reply{status: http.StatusNotFound, contentType: "text/plain", body: []byte("Not found")})
		return
	}
	body, err := readBody(r, route.limit())
	if err != nil && !errors.Is(err, errTooLarge) {
		panic(http.ErrAbortHandler) // the client went away
	}
	c := &call{Server: s, r: r, route: route, arguments: arguments, body: body, tooLarge: err != nil}
	fault := s.takeFault(r)
	if fault.before(r) {
		s.write(w, fault.reply())
		return
	}
	c.corrupt = fault != nil && fault.CorruptSignature
	answer := s.answer(c)
	if fault != nil && fault.DropAnswer {
		panic(http.ErrAbortHandler)
	}
	s.write(w, answer)
}

// answer makes the checks and calls the handler, alone.
func (s *Server) answer(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if refusal := c.check(); refusal != nil {
		return *refusal
	}
	answer := c.method.handle(c)
	if c.changed {
		if err := s.save(); err != nil {
			return reply{status: http.StatusServiceUnavailable, contentType: "text/plain", body: []byte(err.Error())}
		}
	}
	return answer
}

func (s *Server) write(w http.ResponseWriter, answer reply) {
	s.mu.Lock()
	s.responses[answer.status]++
	s.mu.Unlock()
	header := w.Header()
	header.Set("Date", s.now().UTC().Format(http.TimeFormat))
	for name, value := range answer.header {
		header.Set(name, value)
	}
	if answer.contentType != "" {
		header.Set("Content-Type", answer.contentType)
	}
	if answer.status != http.StatusNoContent && answer.status != http.StatusNotModified {
		header.Set("Content-Length", strconv.Itoa(len(answer.body)))
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body) // the client's loss
}

var errTooLarge = errors.New("body too large")

// readBody reads at most limit bytes of a body with a stated length. The device does not look at the length of a chunked
// body; this one does at the largest limit, because somebody has to.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, errTooLarge
	}
	if r.ContentLength < 0 {
		limit = maxSignBodyBytes
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, errTooLarge
	}
	return body, nil
}
