//go:build long

package translog_test

import "testing"

func TestLongFollowersOfOneLogKnowTheSameWhateverTheBatches(t *testing.T) {
	t.Parallel()
	followInBatches(t, 16)
}
