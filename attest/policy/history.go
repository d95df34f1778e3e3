package policy

import (
	"fmt"
	"slices"

	"github.com/reprosign/reprosign/attest"
)

// Check reports why [Chain.Add] would not take a policy, without adding it.
func (c *Chain) Check(e *attest.Envelope) error {
	v, err := read(e)
	if err != nil {
		return fmt.Errorf("checking policy: %w", err)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if slices.ContainsFunc(c.versions, func(old *Version) bool { return old.Digest == v.Digest }) {
		return nil
	}
	if err := c.follows(v); err != nil {
		return fmt.Errorf("checking policy %d: %w", v.Serial, err)
	}
	return nil
}

// Oldest returns the first policy of the chain: the pinned one, or the oldest
// that [Chain.Precede] put before it.
func (c *Chain) Oldest() *Version {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.versions[0]
}

// Precede puts a policy before the oldest one, which names it by digest. That
// alone shows that the admins of the pinned policy came after it; its own
// signatures need not be looked at. Whoever follows a log needs the keys of
// policies older than the pinned one to read the log's old entries.
func (c *Chain) Precede(e *attest.Envelope) error {
	v, err := read(e)
	if err != nil {
		return fmt.Errorf("preceding policy: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	oldest := c.versions[0]
	if v.Digest != oldest.Previous || v.Serial >= oldest.Serial {
		return fmt.Errorf("preceding policy: %w: policy %d names %s as the one before it, this is %s",
			ErrBroken, oldest.Serial, oldest.Previous.Short(), v.Digest.Short())
	}
	c.versions = append([]*Version{v}, c.versions...)
	return nil
}
