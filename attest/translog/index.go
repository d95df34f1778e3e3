package translog

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// index holds what facts say. Its large maps hold no pointers, so that the
// garbage collector does not walk the memory of millions of entries.
type index struct {
	versions []*policy.Version // that releases were opened under
	words    []string          // suites, sources, publishers: few, and often named
	wordOf   map[string]uint32
	releases []entryRelease
	byID     map[attest.Digest]uint32
	names    map[nameKey]owner
	// first is the release of the first decision about some bytes, more are those
	// of the decisions that follow it.
	first map[bytesKey]uint32
	more  map[bytesKey][]uint32

	signatures   map[signedKey]int64   // the entry that says which were made
	withdrawn    map[attest.Digest]int // by request: the first attempt that is
	reopened     map[attest.Digest]int // by request: the last attempt, if not the first
	equivocators map[attest.Digest][]string
	complainants map[attest.Digest][]string
	refused      map[attest.Digest]string
	contradicted string // why nobody knows which policy is in force
}

// entryRelease is a release as the index holds it.
type entryRelease struct {
	id, request, decision    attest.Digest
	opened, decided          int64 // indexes of entries; decided is negative without a decision
	at                       attest.Time
	version                  uint32
	publisher, suite, source uint32
	ground                   uint32
	attempt                  int32
	artifacts                uint16 // decided
	signed                   bool
}

// signedKey is a release, by its number, and a certificate.
type signedKey struct{ release, certificate uint32 }

// nameKey is the SHA-256 of suite and name.
type nameKey [sha256.Size]byte

// bytesKey is the first half of a SHA-512: enough to tell contents apart.
type bytesKey [32]byte

// owner is whom a file name belongs to.
type owner struct {
	sha256  attest.Digest
	source  uint32
	release uint32
}

func newIndex() index {
	return index{
		wordOf: map[string]uint32{}, byID: map[attest.Digest]uint32{}, names: map[nameKey]owner{},
		first: map[bytesKey]uint32{}, more: map[bytesKey][]uint32{}, signatures: map[signedKey]int64{},
		withdrawn: map[attest.Digest]int{}, reopened: map[attest.Digest]int{}, equivocators: map[attest.Digest][]string{}, complainants: map[attest.Digest][]string{}, refused: map[attest.Digest]string{},
	}
}

func keyOfName(suite, name string) nameKey { return sha256.Sum256([]byte(suite + "\x00" + name)) }

func keyOfBytes(d attest.Digest512) bytesKey { return bytesKey(d[:len(bytesKey{})]) }

var errFact = errors.New("fact does not follow from those before it")

func (x *index) learn(chain *policy.Chain, at int64, fact *Fact) error {
	if fact.Problem != "" {
		if d := fact.Decision; d != nil {
			x.refused[d.Release] = fmt.Sprintf("decision at log entry %d: %s", at, fact.Problem)
		}
		if r := fact.Record; r != nil && r.Contradicts {
			x.contradicted = fmt.Sprintf("log entry %d: %s", at, fact.Problem)
		}
		return nil
	}
	switch fact.Kind {
	case KindOpening:
		return x.opened(chain, at, fact)
	case KindDecision:
		return x.decided(at, fact)
	case KindSignatures:
		return x.signed(at, fact.Signatures)
	case KindForeign:
		return errFact // it is foreign for a reason
	case KindPolicy, KindWithdrawal, KindEquivocation, KindComplaint:
	}
	if fact.Record == nil {
		return errFact
	}
	return x.recorded(chain, fact.Kind, fact.Record)
}

func (x *index) signed(at int64, s *SignaturesFact) error {
	if s == nil {
		return errFact
	}
	i, known := x.byID[s.Release]
	if !known {
		return errFact
	}
	x.releases[i].signed = true
	x.signatures[signedKey{i, x.word(s.Certificate)}] = at
	return nil
}

func (x *index) recorded(chain *policy.Chain, kind Kind, record *RecordFact) error {
	if kind == KindPolicy {
		if record.Policy == nil {
			return errFact
		}
		before := chain.Newest()
		if err := chain.Add(record.Policy); err != nil {
			return err
		}
		if chain.Newest() != before {
			x.contradicted = "" // the admins have explained themselves
		}
		return nil
	}
	i, known := x.byID[record.Release]
	if !known {
		return errFact
	}
	switch r := &x.releases[i]; kind {
	case KindWithdrawal:
		if attempt, before := x.withdrawn[r.request]; !before || int(r.attempt) < attempt {
			x.withdrawn[r.request] = int(r.attempt)
		}
	case KindEquivocation:
		x.equivocators[r.id] = append(x.equivocators[r.id], record.By)
	case KindComplaint:
		x.complainants[r.id] = append(x.complainants[r.id], record.By)
	case KindOpening, KindDecision, KindSignatures, KindPolicy, KindForeign:
	}
	return nil
}

func (x *index) opened(chain *policy.Chain, at int64, fact *Fact) error {
	o := fact.Opening
	if o == nil || len(x.releases) > maxReleases {
		return errFact
	}
	version, known := chain.ByDigest(o.Policy)
	if _, twice := x.byID[fact.Statement]; !known || twice {
		return errFact
	}
	v := slices.Index(x.versions, version)
	if v < 0 {
		v = len(x.versions)
		x.versions = append(x.versions, version)
	}
	if o.Attempt > 1 {
		x.reopened[o.Request] = max(o.Attempt, x.reopened[o.Request])
	}
	x.byID[fact.Statement] = uint32(len(x.releases))
	x.releases = append(x.releases, entryRelease{
		id: fact.Statement, request: o.Request, opened: at, decided: -1, version: uint32(v),
		publisher: x.word(o.Publisher), suite: x.word(o.Suite), source: x.word(o.Source), attempt: int32(o.Attempt),
	})
	return nil
}

// explained reports why a statement of signatures explains nothing: its release
// has one by the certificate already, or it names more than were decided about. A
// device that signed in secret could hide behind either.
func (x *index) explained(m attest.SignaturesMade) error {
	i := x.byID[m.Release]
	if word, known := x.wordOf[m.Certificate]; known {
		if at, twice := x.signatures[signedKey{i, word}]; twice {
			return fmt.Errorf("signatures by certificate %s on release %s are in the log already, at entry %d", m.Certificate, m.Release.Short(), at)
		}
	}
	if n := int(x.releases[i].artifacts); len(m.Signatures) > n {
		return fmt.Errorf("%d signatures on release %s, in which %d artifacts were decided", len(m.Signatures), m.Release.Short(), n)
	}
	return nil
}

// maxReleases is what the index can number.
const maxReleases = 1<<32 - 2

func (x *index) word(s string) uint32 {
	i, known := x.wordOf[s]
	if !known {
		i = uint32(len(x.words))
		x.words, x.wordOf[s] = append(x.words, s), i
	}
	return i
}

func (x *index) decided(at int64, fact *Fact) error {
	d := fact.Decision
	if d == nil {
		return errFact
	}
	i, known := x.byID[d.Release]
	if !known || x.releases[i].decided >= 0 {
		return errFact
	}
	r := &x.releases[i]
	r.decision, r.decided, r.at, r.ground = fact.Statement, at, d.Decided, x.word(string(d.Ground))
	r.artifacts = uint16(len(d.Artifacts))
	suite := x.words[r.suite]
	for _, a := range d.Artifacts {
		if _, taken := x.names[keyOfName(suite, a.Name)]; !taken {
			x.names[keyOfName(suite, a.Name)] = owner{a.SHA256, r.source, i}
		}
		key := keyOfBytes(a.SHA512)
		if _, before := x.first[key]; before {
			x.more[key] = append(x.more[key], i)
		} else {
			x.first[key] = i
		}
	}
	return nil
}

func (x *index) decisionOf(r *entryRelease) *Decided {
	if r.decided < 0 {
		return nil
	}
	return &Decided{
		Index: r.decided, Statement: r.decision, Release: r.id, At: r.at, Ground: attest.Ground(x.words[r.ground]),
		Origin: x.versions[r.version].Log.Origin,
	}
}
