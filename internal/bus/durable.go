package bus

import (
	"encoding/base64"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/canonical"
)

// EncodedVote is a vote as it travels and as agents keep it. [EncodeVote] alone
// makes one.
type EncodedVote struct {
	statement attest.Digest
	data      []byte
}

// EncodeVote encodes a vote, which must hold an envelope and fit [MaxVote].
func EncodeVote(v Vote) (EncodedVote, error) {
	// In bytes, if signature and names are not longer than most are.
	const around, perArtifact = 512, 320
	size := around + perArtifact*len(v.Artifacts) + base64.StdEncoding.EncodedLen(attest.StateSize)*len(v.States)
	if v.Envelope != nil {
		size += base64.StdEncoding.EncodedLen(len(v.Envelope.Payload))
	}
	data, err := canonical.Append(make([]byte, 0, size), v.walk)
	if err != nil {
		return EncodedVote{}, failed(err, KindInvalid, "encoding a vote")
	}
	if err := checkSize(data, MaxVote); err != nil {
		return EncodedVote{}, err
	}
	return EncodedVote{v.Envelope.Digest(), data}, nil
}

// Data returns the message, for [DecodeVote]. It must not be changed.
func (v EncodedVote) Data() []byte { return v.data }

// Statement returns the digest of the statement that the vote carries.
func (v EncodedVote) Statement() attest.Digest { return v.statement }

// DecodeVote reads the data of a vote message. It verifies nothing beyond the form.
func DecodeVote(data []byte) (Vote, error) {
	var v Vote
	if err := decode(data, MaxVote, &v); err != nil {
		return Vote{}, err
	}
	if v.Envelope == nil {
		return Vote{}, Errorf(KindInvalid, "vote holds no envelope")
	}
	return v, nil
}

// EncodeTask writes a task as agents keep it.
func EncodeTask(t Task) ([]byte, error) { return encode(t, MaxMessage) }

// DecodeTask reads a task. It verifies nothing beyond the form.
func DecodeTask(data []byte) (Task, error) {
	var t Task
	if err := decode(data, MaxMessage, &t); err != nil {
		return Task{}, err
	}
	if t.Opening == nil || t.Request == nil {
		return Task{}, Errorf(KindInvalid, "task holds no opening or no request")
	}
	return t, nil
}
