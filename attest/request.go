package attest

import (
	"fmt"

	"github.com/reprosign/reprosign/attest/canonical"
)

// Request is a publisher's wish to have one release rebuilt and signed
// (design §2.1). The same request submitted again is the same release, so
// nothing in it depends on when or how often it is submitted.
type Request struct {
	Publisher    string
	Suite        string
	Source       string // source name
	Version      string
	Architecture string
	Recipe       Recipe
	// Inputs is the digest of a description of the wanted build inputs (a
	// .buildinfo, say); zero when the recipe says it all.
	Inputs Digest
	// Claim is the salted digest of the candidate artifacts, zero when there is
	// no candidate to compare with. See [Claim].
	Claim Digest
	// ClaimPublic says that the candidate's bytes are public already, so that a
	// rebuilder could copy its vote from them: the evidence then says it is not blind.
	ClaimPublic bool
}

const sourceSubject = "source"

// Check reports why the request is not well-formed.
func (r Request) Check() error {
	for what, name := range map[string]string{"publisher": r.Publisher, "suite": r.Suite} {
		if err := CheckName(name); err != nil {
			return fmt.Errorf("release request: %s: %w", what, err)
		}
	}
	for _, t := range []struct{ what, s string }{
		{"source name", r.Source}, {"version", r.Version}, {"architecture", r.Architecture},
	} {
		if err := checkText(t.what, t.s); err != nil {
			return fmt.Errorf("release request: %w", err)
		}
	}
	if r.ClaimPublic && r.Claim.IsZero() {
		return fmt.Errorf("release request: %w", malformed("claim is public, but there is none"))
	}
	if err := r.Recipe.Check(); err != nil {
		return fmt.Errorf("release request: %w", err)
	}
	return nil
}

// Encode returns the payload of a valid request.
func (r Request) Encode() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	return writeStatement(r.walk)
}

func (r *Request) walk(w *canonical.Walk) {
	canonical.Word(w, beginStatement+`{"architecture":`, &r.Architecture)
	w.HexUnlessZero(`,"claim":"`, r.Claim[:])
	w.Mark(`,"claimPublic":true`, &r.ClaimPublic)
	w.HexUnlessZero(`,"inputs":"`, r.Inputs[:])
	canonical.Word(w, `,"publisher":`, &r.Publisher)
	w.Text(`,"recipe":`)
	r.Recipe.walk(w)
	canonical.Word(w, `,"source":`, &r.Source)
	canonical.Word(w, `,"suite":`, &r.Suite)
	canonical.Word(w, `,"version":`, &r.Version)
	source, err := r.Recipe.SourceDigest()
	if err != nil {
		w.Fail(err)
	}
	w.HexAgain(`},"predicateType":"`+RequestType+oneSubject+`"`, source[:])
	w.Text(`},"name":"` + sourceSubject + `"}]}`)
}

// Seal signs the request with the publisher's key.
func (r Request) Seal(key SigningKey) (*Envelope, error) {
	return seal("release request", r.Publisher, key, r.Encode)
}

// ParseRequest reads a request's payload, whose envelope somebody else verified.
func ParseRequest(payload []byte) (Request, error) { return parse[Request]("release request", payload) }

// OpenRequest verifies a request under the key of the publisher it names.
func OpenRequest(e *Envelope, publishers Keys) (Request, error) {
	return open("release request", e, ParseRequest, func(r Request) string { return r.Publisher }, publishers)
}
