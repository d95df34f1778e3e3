package signer

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/reprosign/reprosign/attest"
)

// mostMade bounds the signatures that are remembered; with RSA-4096 they take
// some 3 MiB.
const mostMade = 1 << 12

// made remembers the newest signatures. Who asks again, because the answer got
// lost or came too late, or because a coordinator was restarted, is told the same
// without the device: it counts what it makes, and the log explains each once.
type made struct {
	making singleflight.Group

	mu         sync.Mutex
	signatures map[string][]byte // by subject
	oldest     []string          // subjects in a ring
	next       int
}

func newMade() *made {
	return &made{signatures: map[string][]byte{}, oldest: make([]string, mostMade)}
}

// subjectOf names a signature: what it says follows from certificate and decision.
func subjectOf(certificate string, sha512 attest.Digest512, decision attest.Digest) string {
	return certificate + string(sha512[:]) + string(decision[:])
}

// signature returns the signature about a subject, and has it made unless it is
// known. Who asks while it is being made waits for the same one.
func (m *made) signature(ctx context.Context, subject string, make func() ([]byte, error)) ([]byte, error) {
	for {
		own := false
		signature, err, _ := m.making.Do(subject, func() (any, error) {
			own = true
			if known, ok := m.known(subject); ok {
				return known, nil
			}
			signature, err := make()
			if err == nil {
				m.note(subject, signature)
			}
			return signature, err
		})
		if err == nil {
			return signature.([]byte), nil
		}
		impatient := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
		if own || !impatient || ctx.Err() != nil {
			return nil, err
		}
		// The patience of another ended, not ours.
	}
}

func (m *made) known(subject string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	signature, ok := m.signatures[subject]
	return signature, ok
}

func (m *made) note(subject string, signature []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.signatures, m.oldest[m.next])
	m.signatures[subject], m.oldest[m.next] = signature, subject
	m.next = (m.next + 1) % mostMade
}
