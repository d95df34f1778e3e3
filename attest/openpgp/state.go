package openpgp

import (
	"bytes"
	"crypto/sha512"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
)

// A state is Go's encoding of a SHA-512 in progress: magic "sha\x07", eight
// chaining words, one block of buffer with its unused part zero, byte count.
// A golden file of the tests pins it.
const (
	// StateSize is the length of a state in bytes.
	StateSize = 204

	stateCount = StateSize - 8 // offset of the byte count
)

// ErrBadState says that a state is not the one of the file it came with.
var ErrBadState = errors.New("bad SHA-512 state")

func badState(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrBadState, fmt.Errorf(format, args...))
}

// resume restores a state after the last check before a signature: it must have
// taken in exactly size bytes and finish to exactly digest. Packages that count
// votes check states too; this check does not rely on them.
func resume(state []byte, size uint64, digest [sha512.Size]byte) (hash.Hash, error) {
	h, err := restore(state)
	if err != nil {
		return nil, err
	}
	if counted := binary.BigEndian.Uint64(state[stateCount:]); counted != size {
		return nil, badState("it has taken in %d bytes, the file has %d", counted, size)
	}
	if !bytes.Equal(h.Sum(nil), digest[:]) {
		return nil, badState("it finishes to another SHA-512 than the file's")
	}
	return h, nil
}

// restore accepts exactly the states that a SHA-512 in progress marshals to.
// UnmarshalBinary checks the magic, but takes any bytes in the unused part of
// the buffer; marshalling again finds those.
func restore(state []byte) (hash.Hash, error) {
	if len(state) != StateSize {
		return nil, badState("%d bytes, %d expected", len(state), StateSize)
	}
	h := sha512.New()
	u, ok := h.(encoding.BinaryUnmarshaler)
	if !ok {
		return nil, badState("this SHA-512 implementation takes none")
	}
	if err := u.UnmarshalBinary(state); err != nil {
		return nil, badState("restoring it: %w", err)
	}
	again, err := suspend(h)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, state) {
		return nil, badState("not the form in which it is written")
	}
	return h, nil
}

func suspend(h hash.Hash) ([]byte, error) {
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, badState("this SHA-512 implementation gives none")
	}
	return m.MarshalBinary()
}
