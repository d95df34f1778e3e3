package policy_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// after returns the policy that follows e, unsigned.
func after(e *attest.Envelope, change func(*policy.Policy)) policy.Policy {
	p := must(policy.Parse(e.Payload))
	p.Serial++
	p.Previous = e.Digest()
	if change != nil {
		change(&p)
	}
	return p
}

func first(t *testing.T) (*attest.Envelope, *policy.Chain) {
	t.Helper()
	e := sign(t, newPolicy(2, 0, "alpha", "beta", "gamma"), "ann", "bob")
	c, err := policy.Pin(e)
	if err != nil {
		t.Fatal(err)
	}
	return e, c
}

func quota(n int) func(*policy.Policy) {
	return func(p *policy.Policy) { p.Publishers[0].Quota = n }
}

func TestAChainGrowsByItsAdminsSignatures(t *testing.T) {
	t.Parallel()
	one, c := first(t)
	two := sign(t, after(one, nil), "bob", "cem")
	four := sign(t, after(two, func(p *policy.Policy) { p.Serial = 4; p.Previous = digest("three, unseen") }), "ann", "cem")
	for _, e := range []*attest.Envelope{two, four, two, one} {
		if err := c.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Newest(); got.Serial != 4 || got.Digest != four.Digest() {
		t.Errorf("newest is policy %d", got.Serial)
	}
	if got := c.Since(1); len(got) != 2 || got[0].Serial != 2 || got[1].Serial != 4 {
		t.Errorf("%d policies since 1, want 2 and 4", len(got))
	}
	if v, ok := c.ByDigest(two.Digest()); !ok || v.Serial != 2 {
		t.Error("policy 2 is not found by its digest")
	}
	if _, ok := c.ByDigest(digest("three, unseen")); ok {
		t.Error("a policy nobody added is found")
	}
}

// What was learned of a key is not lost with the policy that brought it.
func TestAChainKnowsAKeyAgainInTheNextPolicy(t *testing.T) {
	t.Parallel()
	one, c := first(t)
	before := c.Newest()
	if err := c.Add(sign(t, after(one, nil), "bob", "cem")); err != nil {
		t.Fatal(err)
	}
	parsed := must(policy.Parse(one.Payload))
	for i, r := range c.Newest().Rebuilders {
		if r.Key != before.Rebuilders[i].Key || r.Key == parsed.Rebuilders[i].Key {
			t.Errorf("rebuilder %s has a key of its own in each policy", r.Key.Name())
		}
	}
	for i, p := range c.Newest().Publishers {
		if p.Key != before.Publishers[i].Key || p.Key == parsed.Publishers[i].Key {
			t.Errorf("publisher %s has a key of its own in each policy", p.Key.Name())
		}
	}
}

func TestAChainRefuses(t *testing.T) {
	t.Parallel()
	stranger := func(p *policy.Policy) {
		for i, name := range []string{"xin", "yan", "zoe"} {
			p.Admins.Keys[i] = admin(name).VerifierKey
		}
	}
	for name, test := range map[string]struct {
		sign func(t *testing.T, one *attest.Envelope) *attest.Envelope
		want error
	}{
		"one signature of two": {func(t *testing.T, one *attest.Envelope) *attest.Envelope {
			return sign(t, after(one, nil), "ann")
		}, policy.ErrNotSigned},
		"one admin signing twice": {func(t *testing.T, one *attest.Envelope) *attest.Envelope {
			return sign(t, after(one, nil), "ann", "ann")
		}, policy.ErrNotSigned},
		"new admins alone": {func(t *testing.T, one *attest.Envelope) *attest.Envelope {
			return sign(t, after(one, stranger), "xin", "yan")
		}, policy.ErrNotSigned},
		"old admins alone": {func(t *testing.T, one *attest.Envelope) *attest.Envelope {
			return sign(t, after(one, stranger), "ann", "bob")
		}, policy.ErrNotSigned},
		"another policy before it": {func(t *testing.T, one *attest.Envelope) *attest.Envelope {
			return sign(t, after(one, func(p *policy.Policy) { p.Previous = digest("other") }), "ann", "bob")
		}, policy.ErrBroken},
		"a second policy 1": {func(t *testing.T, one *attest.Envelope) *attest.Envelope {
			p := must(policy.Parse(one.Payload))
			quota(7)(&p)
			return sign(t, p, "ann", "bob")
		}, policy.ErrTwoPolicies},
		"a second policy 1 by nobody": {func(t *testing.T, one *attest.Envelope) *attest.Envelope {
			p := must(policy.Parse(one.Payload))
			stranger(&p)
			return sign(t, p, "xin", "yan")
		}, policy.ErrNotSigned},
		"a statement": {func(t *testing.T, one *attest.Envelope) *attest.Envelope {
			return must(attest.Seal(attest.StatementType, one.Payload, admin("ann")))
		}, attest.ErrMalformed},
		"nothing": {func(*testing.T, *attest.Envelope) *attest.Envelope { return nil }, attest.ErrMalformed},
		"an invalid policy": {func(t *testing.T, one *attest.Envelope) *attest.Envelope {
			p := after(one, quota(0))
			e := must(attest.Seal(attest.PolicyType, must(attest.MarshalCanonical(p)), admin("ann")))
			return e
		}, attest.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, c := first(t)
			if err := c.Add(test.sign(t, one)); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if c.Newest().Digest != one.Digest() {
				t.Error("the chain grew")
			}
		})
	}
}

func TestTwoPoliciesWithOneSerialAreRefusedWhereverTheyStand(t *testing.T) {
	t.Parallel()
	one, c := first(t)
	two := sign(t, after(one, nil), "ann", "bob")
	rival := sign(t, after(one, quota(7)), "bob", "cem")
	// Policy 4 hands over to others, who could not have signed policy 2.
	four := sign(t, after(two, func(p *policy.Policy) {
		p.Serial = 4
		for i, name := range []string{"xin", "yan", "zoe"} {
			p.Admins.Keys[i] = admin(name).VerifierKey
		}
	}), "ann", "bob", "xin", "yan")
	if err := errors.Join(c.Add(two), c.Add(four)); err != nil {
		t.Fatal(err)
	}
	if err := c.Add(rival); !errors.Is(err, policy.ErrTwoPolicies) {
		t.Errorf("a second policy 2: %v", err)
	}
	if err := c.Add(sign(t, after(two, nil), "ann", "bob")); !errors.Is(err, policy.ErrStale) {
		t.Errorf("a policy that was skipped: %v", err)
	}
	late, err := policy.Pin(four)
	if err != nil {
		t.Fatal(err)
	}
	if err := late.Add(two); !errors.Is(err, policy.ErrStale) {
		t.Errorf("a policy before the pinned one: %v", err)
	}
}

func TestPinWantsTheOwnAdminsThreshold(t *testing.T) {
	t.Parallel()
	p := newPolicy(2, 0, "alpha", "beta", "gamma")
	for _, admins := range [][]string{{"ann"}, {"ann", "ann"}, {"ann", "xin"}} {
		if _, err := policy.Pin(sign(t, p, admins...)); !errors.Is(err, policy.ErrNotSigned) {
			t.Errorf("signed by %v: %v", admins, err)
		}
	}
}

func TestRolesFindTheirOwnKeysOnly(t *testing.T) {
	t.Parallel()
	p := newPolicy(2, 0, "alpha", "beta", "gamma")
	for role, find := range map[string]struct {
		keys attest.Keys
		name string
	}{
		"publisher":             {p.PublisherKey, "builds"},
		"rebuilder":             {p.RebuilderKey, "beta"},
		"coordinator":           {p.CoordinatorKey, "coordinator"},
		"signer":                {p.SignerKey, "signer"},
		"admin":                 {p.AdminKey, "cem"},
		"withdrawing admin":     {func(n string) (attest.VerifierKey, error) { return p.AuthorKey(attest.RoleAdmin, n) }, "ann"},
		"withdrawing publisher": {func(n string) (attest.VerifierKey, error) { return p.AuthorKey(attest.RolePublisher, n) }, "builds"},
	} {
		if key, err := find.keys(find.name); err != nil || key.Name() != find.name {
			t.Errorf("%s %s: %v", role, find.name, err)
		}
		for _, other := range []string{"", "mallory", "log.example.org"} {
			if _, err := find.keys(other); !errors.Is(err, policy.ErrUnknown) {
				t.Errorf("%s %q: %v", role, other, err)
			}
		}
	}
	if _, err := p.AuthorKey("signer", "signer"); !errors.Is(err, policy.ErrUnknown) {
		t.Errorf("a signer may withdraw: %v", err)
	}
}

// An envelope inside another document is as strict as one by itself: else
// whoever writes the document makes the reader verify signatures without end.
func TestAnEnvelopeThatCouldNotStandAloneIsNoPolicy(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*attest.Envelope){
		"too many signatures": func(e *attest.Envelope) { e.Signatures = slices.Repeat(e.Signatures, attest.MaxSignatures) },
		"keyid in colors":     func(e *attest.Envelope) { e.Signatures[0].KeyID = "\x1b[31m" },
	} {
		e := sign(t, newPolicy(2, 0, "alpha", "beta", "gamma"), "ann", "bob")
		change(e)
		if _, err := policy.Pin(e); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: pinned, %v", name, err)
		}
	}
}
