package policy_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// link is a policy of a drawn chain, with the names of those who signed it.
type link struct{ admins, signers []string }

// drawChain draws policies that follow from one another: admins come and go,
// more of them sign than have to, and serials are skipped.
func drawChain(t *rapid.T, most int) ([]*attest.Envelope, []link) {
	names := []string{"ann", "bob", "cem", "dee", "eli", "fay"}
	three := rapid.Custom(func(t *rapid.T) []string { return rapid.Permutation(names).Draw(t, "admins")[:3] })
	var chain []*attest.Envelope
	var links []link
	var earlier []string // admins of the policy before
	for range rapid.IntRange(1, most).Draw(t, "policies") {
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
		signers = slices.Compact(signers)
		e := must(p.Seal(admin(signers[0])))
		for _, name := range signers[1:] {
			if err := e.AddSignature(admin(name)); err != nil {
				t.Fatal(err)
			}
		}
		chain, links, earlier = append(chain, e), append(links, link{admins, signers}), admins
	}
	return chain, links
}

// leads reports whether everybody gets to the last of the policies given, by
// them alone, whichever of all policies he pinned.
func leads(all, given []*attest.Envelope) bool {
	serial := map[*attest.Envelope]uint64{}
	for _, e := range all {
		serial[e] = must(policy.Parse(e.Payload)).Serial
	}
	last := serial[given[len(given)-1]]
	for _, e := range all {
		if serial[e] > last {
			break
		}
		c := must(policy.Pin(e))
		for _, g := range given {
			if serial[g] > c.Newest().Serial && c.Add(g) != nil {
				return false
			}
		}
		if c.Newest().Serial != last {
			return false
		}
	}
	return true
}

// suffice reports what leads does, counted again by the plainest means: two
// admins of the policy somebody is at have signed the next one given.
func suffice(links []link, given []int) bool {
	for at := range links {
		for _, next := range given {
			if next <= at {
				continue
			}
			theirs := 0
			for _, name := range links[at].admins {
				if slices.Contains(links[next].signers, name) {
					theirs++
				}
			}
			if theirs < 2 {
				return false
			}
			at = next
		}
	}
	return true
}

func TestBundlesCarryTheShortestChainThatServesEverybody(t *testing.T) {
	t.Parallel()
	bundleShortest(t, 5)
}

// bundleShortest draws chains of as many policies as said, at most.
// TestLongBundlesCarryTheShortestChainThatServesEverybody has longer ones.
func bundleShortest(t *testing.T, most int) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		all, links := drawChain(t, most)
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
		if tail := all[slices.Index(all, also):]; !slices.Equal(got[max(0, len(got)-len(tail)):], tail) {
			t.Fatalf("the policies since the other one wanted are broken")
		}
		if !leads(all, got) {
			t.Fatalf("%d of %d policies do not lead everybody to the last", len(got), len(all))
		}
		for choice := range 1 << len(all) {
			var fewer []int
			for i := range all {
				if choice>>i&1 == 1 || i == 0 || i >= slices.Index(all, also) {
					fewer = append(fewer, i)
				}
			}
			if len(fewer) < len(got) && suffice(links[:last+1], fewer) {
				t.Fatalf("%d of %d policies were kept, %d suffice", len(got), len(all), len(fewer))
			}
		}
	})
}

func TestPoliciesOfTheSameAdminsAreAllSkipped(t *testing.T) {
	t.Parallel()
	one, c := first(t)
	chain := []*attest.Envelope{one}
	for range 80 {
		e := sign(t, after(chain[len(chain)-1], nil), "ann", "cem")
		if err := c.Add(e); err != nil {
			t.Fatal(err)
		}
		chain = append(chain, e)
	}
	kept := func(also ...attest.Digest) string {
		var got []uint64
		for _, e := range c.To(chain[80].Digest(), also...) {
			got = append(got, must(policy.Parse(e.Payload)).Serial)
		}
		return fmt.Sprint(got)
	}
	for _, test := range []struct {
		got, want string
	}{
		{kept(), "[1 81]"},
		{kept(digest("unknown"), chain[80].Digest()), "[1 81]"},
		{kept(chain[78].Digest()), "[1 79 80 81]"},
		{kept(chain[80].Digest(), chain[77].Digest(), chain[79].Digest()), "[1 78 79 80 81]"},
		{kept(chain[15].Digest()), "[1 16 81]"}, // too many to keep all
	} {
		if test.got != test.want {
			t.Errorf("kept %v, want %v", test.got, test.want)
		}
	}
	if got := c.To(chain[80].Digest(), chain[16].Digest()); len(got) != 66 {
		t.Errorf("%d policies kept, want the first and the last 65", len(got))
	}
	if got := c.To(digest("unknown")); got != nil {
		t.Errorf("%d policies lead to an unknown one", len(got))
	}
}
