package policy

import (
	"slices"

	"github.com/reprosign/reprosign/attest"
)

// To returns the signed policies of an evidence bundle: from the oldest known
// one to the one with the digest target, both included, and those of also that
// lie between, oldest first. Of the others it leaves out as many as it can, so
// that whoever pinned any of the known policies gets from his to target by those
// that are left (see [Chain.Add]). It is nil if target is not known.
//
// From the oldest of also on it leaves out none, so that whoever pinned a newer one
// gets back to it by the digests that they name (see [Chain.Precede]); unless it is
// more than 64 policies away from target: then it leaves out those between as well.
func (c *Chain) To(target attest.Digest, also ...attest.Digest) []*attest.Envelope {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := slices.IndexFunc(c.versions, func(v *Version) bool { return v.Digest == target })
	if last < 0 {
		return nil
	}
	// kept[i] is how many policies a chain to policy i needs at least, and
	// before[i] the last of them but policy i itself.
	kept, before := make([]int, last+1), make([]int, last+1)
	fixed := 0 // the newest policy so far that cannot be left out
	wanted := func(v *Version) bool { return slices.Contains(also, v.Digest) }
	oldest := slices.IndexFunc(c.versions[:last+1], wanted)
	unbroken := oldest >= 0 && last-oldest <= maxUnbroken
	for i := 1; i <= last; i++ {
		before[i] = i - 1
		for j := i - 1; j >= fixed && c.signedUnder(j, i); j-- {
			if kept[j] < kept[before[i]] {
				before[i] = j
			}
		}
		kept[i] = kept[before[i]] + 1
		if wanted(c.versions[i]) || unbroken && i >= oldest {
			fixed = i
		}
	}
	chain := []*attest.Envelope{c.versions[last].Envelope}
	for i := last; i > 0; i = before[i] {
		chain = append(chain, c.versions[before[i]].Envelope)
	}
	slices.Reverse(chain)
	return chain
}

// signedUnder reports whether the admins of policy j signed policy i. It checks
// signatures once for each pair. The caller holds the lock.
func (c *Chain) signedUnder(j, i int) bool {
	pair := [2]attest.Digest{c.versions[j].Digest, c.versions[i].Digest}
	signed, known := c.signedBy[pair]
	if !known {
		signed = c.versions[j].Admins.signed(c.versions[i].Envelope) == nil
		if c.signedBy == nil {
			c.signedBy = map[[2]attest.Digest]bool{}
		}
		c.signedBy[pair] = signed
	}
	return signed
}
