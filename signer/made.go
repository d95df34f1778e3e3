package signer

import (
	"context"
	"errors"
	"sync"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
)

// mostMade bounds the signatures that are remembered; with RSA-4096 they take
// some 3 MiB.
const mostMade = 1 << 12

// made remembers the newest signatures. Who asks again, because the answer got
// lost or came too late, or because a coordinator was restarted, is told the same
// without the device: it counts what it makes, and the log explains each once.
type made struct {
	mu         sync.Mutex
	signatures map[string]*making // by subject
	oldest     []string           // subjects of what was made, in a ring
	next       int
}

// making is a signature that is made, or was.
type making struct {
	done      chan struct{} // closed when the others are settled
	signature []byte
	err       error
}

// errUnfinished is what the others get of a making that panicked.
var errUnfinished = refusal(bus.KindInternal, "making a signature ended halfway")

func newMade() *made {
	return &made{signatures: map[string]*making{}, oldest: make([]string, mostMade)}
}

// subjectOf names a signature: what it says follows from certificate and decision.
func subjectOf(certificate string, sha512 attest.Digest512, decision attest.Digest) string {
	return certificate + string(sha512[:]) + string(decision[:])
}

// signature returns the signature about a subject, and has it made unless it is
// known. Who asks while it is being made waits for the same one.
func (m *made) signature(ctx context.Context, subject string, make func() ([]byte, error)) ([]byte, error) {
	for {
		s, own := m.join(subject)
		if own {
			defer m.settle(subject, s)
			s.signature, s.err = make()
			return s.signature, s.err
		}
		select {
		case <-s.done:
		case <-ctx.Done():
			return nil, refusal(bus.KindUnavailable, "waiting for the same signature, which another request is having made: %w", ctx.Err())
		}
		if !errors.Is(s.err, context.Canceled) && !errors.Is(s.err, context.DeadlineExceeded) {
			return s.signature, s.err
		}
		// The patience of another ended, not ours.
	}
}

// join returns the making of a subject, and whether it is the caller's to do.
func (m *made) join(subject string) (s *making, own bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, known := m.signatures[subject]; known {
		return s, false
	}
	s = &making{done: make(chan struct{}), err: errUnfinished}
	m.signatures[subject] = s
	return s, true
}

// settle keeps what was made, in the place of the oldest, and forgets a failure.
func (m *made) settle(subject string, s *making) {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(s.done)
	if s.err != nil {
		delete(m.signatures, subject)
		return
	}
	delete(m.signatures, m.oldest[m.next])
	m.oldest[m.next] = subject
	m.next = (m.next + 1) % mostMade
}
