package nethsmtest

import (
	"net/http"
	"time"
)

// Fault is one misbehaviour of the device. The zero value is none.
type Fault struct {
	Delay            time.Duration // wait before anything else, or until the client goes away
	Status           int           // if not 0: answer with this status, without doing anything
	Message          string        // the body's message with Status; sent as text with 503, as the device does
	Drop             bool          // close the connection without doing anything
	DropAnswer       bool          // do what was asked, then close the connection
	CorruptSignature bool          // change one bit of the signature made
}

// SetFault has f decide, for every request from now on, how the device misbehaves; nil from f is good behaviour, a nil f
// ends all faults. f must be safe for concurrent use and must not call the Server.
func (s *Server) SetFault(f func(*http.Request) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

func (s *Server) takeFault(r *http.Request) *Fault {
	s.mu.Lock()
	f := s.fault
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(r)
}

// before lets the part of the fault happen that comes before the work, and reports whether it takes its place.
func (f *Fault) before(r *http.Request) bool {
	if f == nil {
		return false
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	return f.Status != 0
}

func (f *Fault) reply() reply {
	switch {
	case f.Message == "":
		return empty(f.Status)
	case f.Status == http.StatusServiceUnavailable:
		return reply{status: f.Status, contentType: "text/plain", body: []byte(f.Message)}
	default:
		return message(f.Status, "%s", f.Message)
	}
}
