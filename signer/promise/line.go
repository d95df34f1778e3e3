package promise

import (
	"errors"
	"fmt"

	"github.com/reprosign/reprosign/attest"
)

const (
	// MaxBatch bounds the promises of one line, and of one call of [Book.Give].
	MaxBatch = 1 << 13
	// maxLine bounds a line of the file, in bytes: each promise may be about
	// another decision, which with the names of the members takes some 380.
	maxLine = MaxBatch * 512
	// maxCertificate bounds the fingerprint of a certificate, in bytes.
	maxCertificate = 64
)

// form is in the sum of the first line, so that a file of another form is refused.
const form = "reprosign signer's promises, form 1"

// line is one line of the file.
type line struct {
	Promises []entry `json:"promises"`
	// Sum is over the line before's, or the form, and over Promises: see sum.
	Sum attest.Digest `json:"sum"`
}

// entry is what was promised about one decision.
type entry struct {
	Certificate string             `json:"certificate"`
	Release     attest.Digest      `json:"release"`
	SHA512      []attest.Digest512 `json:"sha512"`
	Statement   attest.Digest      `json:"statement"`
}

// sum is the SHA-256 of the sum before and of promises in canonical JSON.
func sum(before attest.Digest, promises []entry) (attest.Digest, error) {
	data, err := attest.MarshalCanonical(promises)
	if err != nil {
		return attest.Digest{}, err
	}
	return attest.SHA256(append(before[:], data...)), nil
}

// encode returns a line that follows one with the sum before, with its end.
func encode(before attest.Digest, promises []entry) (data []byte, own attest.Digest, err error) {
	if own, err = sum(before, promises); err != nil {
		return nil, own, err
	}
	if data, err = attest.MarshalCanonical(line{promises, own}); err != nil {
		return nil, own, err
	}
	if len(data) >= maxLine {
		return nil, own, fmt.Errorf("line of %d bytes, at most %d allowed", len(data), maxLine-1)
	}
	return append(data, '\n'), own, nil
}

// parse reads a line, without its end, that follows one with the sum before. It
// takes exactly what encode writes.
func parse(before attest.Digest, data []byte) (line, error) {
	var l line
	if err := attest.UnmarshalStrict(data, maxLine, &l); err != nil {
		return line{}, err
	}
	want, err := sum(before, l.Promises)
	if err != nil {
		return line{}, err
	}
	if l.Sum != want {
		return line{}, errors.New("its sum is not of it and of the lines before it")
	}
	if len(l.Promises) == 0 {
		return line{}, errors.New("it promises nothing")
	}
	for _, e := range l.Promises {
		if e.Certificate == "" || len(e.Certificate) > maxCertificate || len(e.SHA512) == 0 || e.Release.IsZero() || e.Statement.IsZero() {
			return line{}, errors.New("a promise in it lacks the certificate, the bytes or the decision")
		}
	}
	return l, nil
}
