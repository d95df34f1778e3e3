package attest

import (
	"bytes"
	"crypto/sha512"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
)

// State is the SHA-512 midstate of a whole artifact in Go's encoding
// (go-sha512-state/1, docs/spec/sha512-state.md): magic, eight chaining words,
// the last partial block and the byte count. With it the signer finishes an
// OpenPGP signature over a file of any size without seeing the file.
//
// A state is not voted on. It is worth something only after [State.Check]
// against an agreed artifact. It leaks the last size mod 128 bytes of the
// file and so falls under the embargo like the digests.
type State []byte

// StateSize is the length of a state in bytes.
const StateSize = 204

const (
	stateMagic = "sha\x07"
	stateBlock = 4 + 64   // offset of the partial block
	stateCount = 68 + 128 // offset of the byte count
)

// ErrBadState says that a state does not belong to its artifact.
var ErrBadState = errors.New("SHA-512 state does not match its artifact")

// Check reports whether the state is the one and only encoding of a state that
// has taken in a.Size bytes and finishes to a.SHA512.
func (s State) Check(a Artifact) error {
	bad := func(why string) error { return fmt.Errorf("%w %q: %s", ErrBadState, a.Name, why) }
	if len(s) != StateSize || string(s[:4]) != stateMagic {
		return bad("not 204 bytes of go-sha512-state/1")
	}
	count := binary.BigEndian.Uint64(s[stateCount:])
	if a.Size < 0 || count != uint64(a.Size) {
		return bad("byte count differs from the size")
	}
	// UnmarshalBinary ignores what lies behind the buffered bytes; left
	// unchecked it would give one state many spellings.
	unused := s[stateBlock+int(count%sha512.BlockSize) : stateCount]
	if len(bytes.Trim(unused, "\x00")) != 0 {
		return bad("unused buffer bytes are not zero")
	}
	h := sha512.New()
	u, ok := h.(encoding.BinaryUnmarshaler)
	if !ok {
		return bad("this SHA-512 implementation takes none")
	}
	if err := u.UnmarshalBinary(s); err != nil {
		return bad(err.Error())
	}
	if !bytes.Equal(h.Sum(nil), a.SHA512[:]) {
		return bad("it finishes to another SHA-512")
	}
	again, err := stateOf(h)
	if err != nil || !bytes.Equal(again, s) {
		return bad("not canonical")
	}
	return nil
}

// CheckStates checks one state per artifact, in the order of the set.
func CheckStates(set Artifacts, states []State) error {
	if len(states) != len(set) {
		return fmt.Errorf("%w: %d states for %d artifacts", ErrBadState, len(states), len(set))
	}
	for i, a := range set {
		if err := states[i].Check(a); err != nil {
			return err
		}
	}
	return nil
}
