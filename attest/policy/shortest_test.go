package policy_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// drawChain draws policies that follow from one another: admins come and go,
// more of them sign than have to, and serials are skipped.
func drawChain(t *rapid.T) []*attest.Envelope {
	names := []string{"ann", "bob", "cem", "dee", "eli", "fay"}
	three := rapid.Custom(func(t *rapid.T) []string { return rapid.Permutation(names).Draw(t, "admins")[:3] })
	var chain []*attest.Envelope
	var earlier []string // admins of the policy before
	for range rapid.IntRange(1, 7).Draw(t, "policies") {
		p := newPolicy(2, 0, "alpha", "beta", "gamma")
		if n := len(chain); n > 0 {
			p = after(chain[n-1], nil)
			if rapid.IntRange(0, 3).Draw(t, "skips") == 0 {
				p.Serial, p.Previous = p.Serial+1, digest("unseen")
			}
		}
		admins := earlier
		if admins == nil || rapid.Bool().Draw(t, "new admins") {
			admins = three.Draw(t, "new")
		}
		p.Admins.Keys = nil
		for _, name := range slices.Sorted(slices.Values(admins)) {
			p.Admins.Keys = append(p.Admins.Keys, admin(name).VerifierKey)
		}
		signers := slices.Clone(admins[:2])
		if earlier != nil {
			signers = append(signers, earlier[:2]...)
		}
		signers = append(signers, rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(t, "and")...)
		slices.Sort(signers)
		e := must(p.Seal(admin(signers[0])))
		for _, name := range slices.Compact(signers)[1:] {
			if err := e.AddSignature(admin(name)); err != nil {
				t.Fatal(err)
			}
		}
		chain, earlier = append(chain, e), admins
	}
	return chain
}

// leads reports whether everybody gets to the last of the policies given, by
// them alone, whichever of all policies he pinned.
func leads(all, given []*attest.Envelope) bool {
	last := must(policy.Parse(given[len(given)-1].Payload))
	for _, e := range all {
		c := must(policy.Pin(e))
		if c.Newest().Serial > last.Serial {
			break
		}
		for _, g := range given {
			if must(policy.Parse(g.Payload)).Serial <= c.Newest().Serial {
				continue
			}
			if c.Add(g) != nil {
				return false
			}
		}
		if c.Newest().Serial != last.Serial {
			return false
		}
	}
	return true
}

func TestBundlesCarryTheShortestChainThatServesEverybody(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := drawChain(t)
		c := must(policy.Pin(all[0]))
		for _, e := range all[1:] {
			if err := c.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		last := rapid.IntRange(0, len(all)-1).Draw(t, "target")
		all = all[:last+1]
		also := rapid.SampledFrom(all).Draw(t, "also")
		got := c.To(all[last].Digest(), also.Digest())
		if !slices.Contains(got, all[0]) || !slices.Contains(got, all[last]) || !slices.Contains(got, also) {
			t.Fatalf("first, last or another wanted is missing among %d of %d", len(got), len(all))
		}
		if !leads(all, got) {
			t.Fatalf("%d of %d policies do not lead everybody to the last", len(got), len(all))
		}
		for choice := range 1 << len(all) {
			var fewer []*attest.Envelope
			for i, e := range all {
				if choice>>i&1 == 1 || i == 0 || i == last || e == also {
					fewer = append(fewer, e)
				}
			}
			if len(fewer) < len(got) && leads(all, fewer) {
				t.Fatalf("%d of %d policies were kept, %d suffice", len(got), len(all), len(fewer))
			}
		}
	})
}

func TestPoliciesOfTheSameAdminsAreAllSkipped(t *testing.T) {
	t.Parallel()
	one, c := first(t)
	chain := []*attest.Envelope{one}
	for range 20 {
		e := sign(t, after(chain[len(chain)-1], nil), "ann", "cem")
		if err := c.Add(e); err != nil {
			t.Fatal(err)
		}
		chain = append(chain, e)
	}
	for also, want := range map[int][]uint64{0: {1, 21}, 20: {1, 21}, 7: {1, 8, 21}} {
		var got []uint64
		for _, e := range c.To(chain[20].Digest(), chain[also].Digest(), digest("unknown")) {
			got = append(got, must(policy.Parse(e.Payload)).Serial)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("with policy %d: kept %v, want %v", also+1, got, want)
		}
	}
	if got := c.To(digest("unknown")); got != nil {
		t.Errorf("%d policies lead to an unknown one", len(got))
	}
}
