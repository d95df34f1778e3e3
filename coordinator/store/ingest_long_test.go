//go:build long

package store_test

import "testing"

func TestLongNoQuorumIsLostWhenLastVotesCommitAtTheSameTime(t *testing.T) {
	voteAtTheSameTime(t, 2000, 100)
}
