//go:build long

package policy_test

import "testing"

func TestLongBundlesCarryTheShortestChainThatServesEverybody(t *testing.T) {
	t.Parallel()
	bundleShortest(t, 7)
}
