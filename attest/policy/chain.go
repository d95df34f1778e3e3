package policy

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/keytable"
)

// Errors of a chain that its callers act on.
var (
	// ErrTwoPolicies says that the admins signed two policies with one serial.
	// Both envelopes are proof; nothing should be signed until they explain.
	ErrTwoPolicies = errors.New("two policies with one serial")
	// ErrNotSigned says that too few of the admins who had to sign a policy did.
	ErrNotSigned = errors.New("too few admins signed the policy")
	// ErrStale says that a policy is unknown, and older than one that is known.
	ErrStale = errors.New("policy is older than what is known")
	// ErrBroken says that a policy does not follow the one before it: another
	// one was signed in between, or its previous digest is mistaken.
	ErrBroken = errors.New("policy does not follow the one before")
)

// Version is a policy that its admins signed, with the digest that openings
// and decisions name it by and the bytes that were signed.
type Version struct {
	Policy

	Digest   attest.Digest
	Envelope *attest.Envelope
}

// Chain is the policies that follow from a pinned one, oldest first. It only
// grows. Its methods may be called concurrently; its versions must not be changed.
type Chain struct {
	mu       sync.RWMutex
	versions []*Version
	tables   keytable.Tables           // of the keys that sign something for every release
	signedBy map[[2]attest.Digest]bool // whether the admins of one signed another, for To
}

// Pin starts a chain with a policy that the caller trusts for a reason of his
// own: a trust file that admins handed out. Its own admins' threshold must have signed it.
func Pin(e *attest.Envelope) (*Chain, error) {
	v, err := read(e)
	if err != nil {
		return nil, fmt.Errorf("pinning policy: %w", err)
	}
	if err := v.Admins.signed(e); err != nil {
		return nil, fmt.Errorf("pinning policy %d: %w", v.Serial, err)
	}
	c := &Chain{versions: []*Version{v}}
	v.useTables(&c.tables)
	return c, nil
}

// Add appends a newer policy. The thresholds of the newest policy's admins and
// of its own must both have signed it. Its serial must be higher; serials may
// be skipped, but the very next one must name the newest policy's digest. A
// known policy is not added twice, and that is no error.
//
// Another policy under a known serial, signed by those who could, is
// [ErrTwoPolicies]; an unknown one with a lower serial is [ErrStale].
func (c *Chain) Add(e *attest.Envelope) error {
	v, err := read(e)
	if err != nil {
		return fmt.Errorf("adding policy: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.ContainsFunc(c.versions, func(old *Version) bool { return old.Digest == v.Digest }) {
		return nil
	}
	if err := c.follows(v); err != nil {
		return fmt.Errorf("adding policy %d: %w", v.Serial, err)
	}
	v.useTables(&c.tables)
	c.versions = append(c.versions, v)
	return nil
}

// follows checks v against the policy it would follow: the newest one with a
// lower serial. Signatures come first, so that nobody else can raise the alarm
// of two policies.
func (c *Chain) follows(v *Version) error {
	pinned, newest := c.versions[0], c.versions[len(c.versions)-1]
	if v.Serial < pinned.Serial {
		return fmt.Errorf("%w: policy %d is pinned", ErrStale, pinned.Serial)
	}
	before := pinned
	for _, old := range c.versions {
		if old.Serial < v.Serial {
			before = old
		}
	}
	if err := before.Admins.signed(v.Envelope); err != nil {
		return fmt.Errorf("admins of policy %d: %w", before.Serial, err)
	}
	if err := v.Admins.signed(v.Envelope); err != nil {
		return fmt.Errorf("its own admins: %w", err)
	}
	for _, old := range c.versions {
		if old.Serial == v.Serial {
			return fmt.Errorf("%w: %s is known, %s is new; stop and ask the admins who signed both",
				ErrTwoPolicies, old.Digest.Short(), v.Digest.Short())
		}
	}
	if v.Serial < newest.Serial {
		return fmt.Errorf("%w: policy %d is in force", ErrStale, newest.Serial)
	}
	if v.Serial == newest.Serial+1 && v.Previous != newest.Digest {
		return fmt.Errorf("%w: it names %s as policy %d, known is %s",
			ErrBroken, v.Previous.Short(), newest.Serial, newest.Digest.Short())
	}
	return nil
}

// Newest returns the policy in force.
func (c *Chain) Newest() *Version {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.versions[len(c.versions)-1]
}

// ByDigest returns the policy that an opening names.
func (c *Chain) ByDigest(d attest.Digest) (*Version, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, v := range c.versions {
		if v.Digest == d {
			return v, true
		}
	}
	return nil, false
}

// Since returns the policies with a serial above serial, oldest first.
func (c *Chain) Since(serial uint64) []*Version {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []*Version
	for _, v := range c.versions {
		if v.Serial > serial {
			out = append(out, v)
		}
	}
	return out
}

// useTables gives the keys that sign for every release what the chain has learned of
// them: most were in the version before, too.
func (v *Version) useTables(tables *keytable.Tables) {
	for i := range v.Coordinators {
		v.Coordinators[i].Key = v.Coordinators[i].Key.WithTables(tables)
	}
	for i := range v.Signers {
		v.Signers[i].Key = v.Signers[i].Key.WithTables(tables)
	}
	for i := range v.Publishers {
		v.Publishers[i].Key = v.Publishers[i].Key.WithTables(tables)
	}
	for i := range v.Rebuilders {
		v.Rebuilders[i].Key = v.Rebuilders[i].Key.WithTables(tables)
	}
}

func read(e *attest.Envelope) (*Version, error) {
	if e == nil || e.PayloadType != attest.PolicyType {
		return nil, malformed("no envelope of a policy")
	}
	// It may have stood inside a bundle, with any number of signatures.
	if err := e.Check(); err != nil {
		return nil, err
	}
	p, err := Parse(e.Payload)
	if err != nil {
		return nil, err
	}
	return &Version{Policy: p, Digest: e.Digest(), Envelope: e}, nil
}

// signed reports whether enough of the admins signed e. An admin who signed
// twice counts once.
func (a Admins) signed(e *attest.Envelope) error {
	if n := len(e.SignedBy(a.Keys)); n < a.Threshold {
		return fmt.Errorf("%w: %d of the %d needed", ErrNotSigned, n, a.Threshold)
	}
	return nil
}
