package translog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// Errors of a follower that its callers act on.
var (
	// ErrMissingBody says that whoever serves the log does not serve an envelope
	// that an entry names, or serves another one in its place. Nobody can say
	// what the entry means, so nobody may go on: not even past it.
	ErrMissingBody = errors.New("body missing")
	// ErrOldPolicy says that an entry is under a policy older than all that are
	// known, while not all old ones are known. Pin an older policy.
	ErrOldPolicy = errors.New("entry is under a policy older than the pinned one")
	// ErrForked says that entries are not those that the log's key signed, or
	// that the key signed two histories. A person has to look.
	ErrForked = errors.New("log is forked")
)

// problem is why an entry changes nothing.
type problem struct{ why string }

func (p problem) Error() string { return p.why }

func problemf(format string, args ...any) error {
	return problem{attest.CleanReason(fmt.Errorf(format, args...).Error())}
}

// Read says what the next entry means and changes nothing. An entry of which
// that is settled has no error, however odd it is: then the fact's Problem says
// what is wrong. Errors wrap [ErrMissingBody] or [ErrOldPolicy].
func (f *Follower) Read(e Entry) (Fact, error) {
	if e.Index != f.Size() {
		return Fact{}, fmt.Errorf("log entry %d where entry %d is next", e.Index, f.Size())
	}
	if len(e.Leaf) == 0 || len(e.Leaf) > MaxLeaf {
		return Fact{}, malformed("log entry %d: leaf of %d bytes, 1 to %d allowed", e.Index, len(e.Leaf), MaxLeaf)
	}
	fact := Fact{Leaf: attest.Digest(LeafHash(e.Leaf)), Kind: KindForeign}
	err := f.read(&e, &fact)
	var p problem
	switch {
	case errors.As(err, &p):
		fact.Problem = p.why
	case err != nil:
		return Fact{}, fmt.Errorf("log entry %d: %w", e.Index, err)
	}
	return fact, nil
}

func (f *Follower) read(e *Entry, fact *Fact) error {
	body, signature, spki, err := openLeaf(e.Leaf)
	if err != nil {
		return problemf("%w", err)
	}
	if e.Envelope == nil || BodyDigest(e.Envelope) != body || len(e.Envelope.Signatures) != 1 ||
		!bytes.Equal(e.Envelope.Signatures[0].Sig, signature) {
		return fmt.Errorf("%w: statement %s", ErrMissingBody, body.Short())
	}
	r := reader{f: f, entry: e, fact: fact, spki: spki}
	parse := map[string]func() error{
		attest.OpeningType:        r.opening,
		attest.DecisionType:       r.decision,
		attest.SignaturesMadeType: r.signatures,
		attest.RecordType:         r.record,
	}[attest.PredicateType(e.Envelope.Payload)]
	if parse == nil || e.Envelope.PayloadType != attest.StatementType {
		return problemf("statement of a type that does not belong into the log")
	}
	return parse()
}

// reader reads one entry, whose leaf fits its statement.
type reader struct {
	f     *Follower
	entry *Entry
	fact  *Fact
	spki  []byte // the key in the leaf
}

// by checks that the statement is signed with the key of the leaf, and that
// one of the policies gives that key to its author.
func (r *reader) by(kind Kind, author string, key func(*policy.Policy, string) (attest.VerifierKey, error), policies ...*policy.Policy) error {
	i := slices.IndexFunc(policies, func(p *policy.Policy) bool {
		k, err := key(p, author)
		return err == nil && bytes.Equal(k.SPKI(), r.spki)
	})
	if i < 0 {
		return problemf("%s: the policy gives %q another key than the leaf's, or none", kind, author)
	}
	k, err := key(policies[i], author)
	if err != nil {
		return problemf("%s: %w", kind, err)
	}
	if r.f.known == nil || !r.f.known(r.fact.Leaf) {
		if err := r.entry.Envelope.Verify(k); err != nil {
			return problemf("%s of %q: %w", kind, author, err)
		}
	}
	r.fact.Kind, r.fact.Statement = kind, r.entry.Envelope.Digest()
	return nil
}

func (r *reader) opening() error {
	o, err := attest.ParseOpening(r.entry.Envelope.Payload)
	if err != nil {
		return problemf("%w", err)
	}
	version, known := r.f.chain.ByDigest(o.Policy)
	if oldest := r.f.chain.Oldest(); !known && o.PolicySerial < oldest.Serial && !oldest.Previous.IsZero() {
		return fmt.Errorf("%w: policy %d, known are those from %d on", ErrOldPolicy, o.PolicySerial, oldest.Serial)
	}
	if !known || version.Serial != o.PolicySerial {
		return problemf("opening under policy %d, which does not stand before it in the log", o.PolicySerial)
	}
	if err := r.by(KindOpening, o.Coordinator, (*policy.Policy).CoordinatorKey, &version.Policy); err != nil {
		return err
	}
	// The digest in the opening fixes what the request says. Who signed it is for
	// whoever decides to check: no signature is fixed by a digest of the payload.
	body := r.entry.body(o.Request)
	if body == nil {
		return fmt.Errorf("%w: request %s of an opening", ErrMissingBody, o.Request.Short())
	}
	request, err := attest.ParseRequest(body.Payload)
	if err != nil {
		return problemf("request of an opening: %w", err)
	}
	if _, err := version.Suite(request.Suite); err != nil {
		return problemf("request of an opening: %w", err)
	}
	if known, there := r.f.Release(r.fact.Statement); there {
		return problemf("opening is in the log already, at entry %d", known.Index)
	}
	r.fact.Opening = &OpeningFact{
		Request: o.Request, Policy: o.Policy, Attempt: o.Attempt,
		Publisher: request.Publisher, Suite: request.Suite, Source: request.Source,
	}
	return nil
}

func (r *reader) decision() error {
	d, err := attest.ParseDecision(r.entry.Envelope.Payload)
	if err != nil {
		return problemf("%w", err)
	}
	release, known := r.f.Release(d.Release)
	if !known {
		return problemf("decision about release %s, whose opening does not stand before it in the log", d.Release.Short())
	}
	if err := r.by(KindDecision, d.Signer, (*policy.Policy).SignerKey, &release.Policy.Policy); err != nil {
		return err
	}
	fact := &DecisionFact{Release: d.Release, Signer: d.Signer, Decided: d.Decided, Ground: d.Ground, Set: d.Set}
	for _, a := range d.Artifacts {
		fact.Artifacts = append(fact.Artifacts, NamedBytes(a))
	}
	r.fact.Decision = fact
	switch {
	case d.Request != release.Request || d.Policy != release.Policy.Digest || d.PolicySerial != release.Policy.Serial:
		return problemf("decision names another request or policy than the opening of release %s", d.Release.Short())
	case release.Decision != nil:
		return problemf("release %s is decided already, at entry %d", d.Release.Short(), release.Decision.Index)
	}
	for _, a := range d.Artifacts {
		if err := r.f.CheckName(release.Suite, release.Source, a.Name, a.SHA256); err != nil {
			return problemf("%w", err)
		}
	}
	return nil
}

func (r *reader) signatures() error {
	m, err := attest.ParseSignaturesMade(r.entry.Envelope.Payload)
	if err != nil {
		return problemf("%w", err)
	}
	// The key that decided may have been followed by another one, and the device
	// signs for the newer.
	if err := r.by(KindSignatures, m.Signer, (*policy.Policy).SignerKey, r.anyPolicy()...); err != nil {
		return err
	}
	r.fact.Signatures = &SignaturesFact{Release: m.Release, Decision: m.Decision, Certificate: m.Certificate, Count: len(m.Signatures)}
	release, known := r.f.Release(m.Release)
	if !known || release.Decision == nil || release.Decision.Statement != m.Decision || release.Decision.Index != m.LogIndex {
		return problemf("signatures on a decision about release %s that does not stand at entry %d", m.Release.Short(), m.LogIndex)
	}
	if err := r.f.index.explained(m); err != nil {
		return problemf("%w", err)
	}
	return nil
}

// anyPolicy returns all policies so far, the newest first.
func (r *reader) anyPolicy() []*policy.Policy {
	var all []*policy.Policy
	for _, v := range r.f.chain.Since(0) {
		all = append(all, &v.Policy)
	}
	slices.Reverse(all)
	return all
}
