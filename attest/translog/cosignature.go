package translog

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"github.com/reprosign/reprosign/attest"
)

// MaxCosignatures bounds a witness's answer, in bytes: many more lines than a
// witness has keys.
const MaxCosignatures = 16 << 10

// Cosignature says that a witness saw a checkpoint as its log's largest at a time.
type Cosignature struct {
	Witness string // the name of the witness's key
	At      attest.Time
}

// Cosign returns the signature line that key, a witness's, adds to a signed
// checkpoint (C2SP tlog-cosignature, cosignature/v1 in Ed25519). It checks
// neither the log's signature nor consistency: that is the witness's duty before.
func Cosign(signed []byte, key attest.SigningKey, at attest.Time) ([]byte, error) {
	text, err := noteText(signed)
	if err != nil {
		return nil, fmt.Errorf("cosigning checkpoint: %w", err)
	}
	cosignature, err := key.Cosign(text, at)
	if err != nil {
		return nil, err
	}
	return cosignatureLine(key.VerifierKey, cosignature), nil
}

// FindCosignature returns the line of the witness with key in its answer to a
// signed checkpoint (C2SP tlog-witness, status 200), in the one spelling that
// [Cosign] writes. Lines of other keys are skipped; an answer that is
// malformed, holds no line of this witness or a bad one is refused.
func FindCosignature(signed, answer []byte, key attest.VerifierKey) ([]byte, Cosignature, error) {
	line, c, err := findCosignature(signed, answer, key)
	if err != nil {
		return nil, Cosignature{}, fmt.Errorf("cosignature of %q: %w", key.Name(), err)
	}
	return line, c, nil
}

func findCosignature(signed, answer []byte, key attest.VerifierKey) ([]byte, Cosignature, error) {
	if len(answer) > MaxCosignatures {
		return nil, Cosignature{}, malformed("answer of %d bytes, at most %d allowed", len(answer), MaxCosignatures)
	}
	text, err := noteText(signed)
	if err != nil {
		return nil, Cosignature{}, err
	}
	// An empty line in the answer would make lines above it text.
	if len(answer) == 0 || answer[0] == '\n' || bytes.Contains(answer, []byte("\n\n")) {
		return nil, Cosignature{}, malformed("answer is no list of signature lines")
	}
	found, err := openCosignatures(bytes.Join([][]byte{text, answer}, []byte("\n")), Witnesses{Keys: []attest.VerifierKey{key}})
	if err != nil {
		return nil, Cosignature{}, err
	}
	if len(found) == 0 {
		return nil, Cosignature{}, fmt.Errorf("%w: no line of this witness's key", attest.ErrBadSignature)
	}
	return cosignatureLine(key, found[0].bytes), found[0].Cosignature, nil
}

// verified is a cosignature with its bytes.
type verified struct {
	Cosignature

	bytes []byte
}

// openCosignatures verifies the lines of known witnesses, in their order.
func openCosignatures(signed []byte, w Witnesses) ([]verified, error) {
	if len(signed) > MaxCheckpoint {
		return nil, malformed("%d bytes, at most %d allowed", len(signed), MaxCheckpoint)
	}
	verifiers := make([]note.Verifier, len(w.Keys))
	for i, k := range w.Keys {
		verifiers[i] = cosignatureVerifier{k}
	}
	opened, err := note.Open(signed, note.VerifierList(verifiers...))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		return nil, nil
	case errors.As(err, &invalid):
		return nil, fmt.Errorf("%w: bad cosignature of witness %q", attest.ErrBadSignature, invalid.Name)
	case err != nil:
		return nil, malformed("%w", err)
	}
	var out []verified
	for _, s := range opened.Sigs {
		line, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil || len(line) < 4 {
			return nil, malformed("signature line of %q", s.Name)
		}
		for _, k := range w.Keys {
			if k.Name() != s.Name || k.ID() != s.Hash {
				continue
			}
			at, err := k.VerifyCosignature([]byte(opened.Text), line[4:])
			if err != nil {
				return nil, err
			}
			out = append(out, verified{Cosignature{s.Name, at}, line[4:]})
		}
	}
	return out, nil
}

// noteText returns the part of a signed note that is signed.
func noteText(signed []byte) ([]byte, error) {
	i := bytes.LastIndex(signed, []byte("\n\n"))
	if i < 0 {
		return nil, malformed("no signed note")
	}
	return signed[:i+1], nil
}

func cosignatureLine(key attest.VerifierKey, cosignature []byte) []byte {
	line := append(binary.BigEndian.AppendUint32(nil, key.ID()), cosignature...)
	return fmt.Appendf(nil, "— %s %s\n", key.Name(), base64.StdEncoding.EncodeToString(line))
}

// cosignatureVerifier is a witness's key in the terms of package note.
type cosignatureVerifier struct{ attest.VerifierKey }

func (v cosignatureVerifier) KeyHash() uint32 { return v.ID() }
func (v cosignatureVerifier) Verify(text, cosignature []byte) bool {
	_, err := v.VerifyCosignature(text, cosignature)
	return err == nil
}
