package translog

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxConsistency bounds the hashes of a consistency proof (C2SP tlog-witness).
const MaxConsistency = 63

// CheckConsistency checks that the newer checkpoint's tree continues the older
// one's: the same log, no smaller, and the older leaves unchanged at their
// places. Trees of one size need equal roots and no proof; the empty tree needs
// no proof.
func CheckConsistency(proof []tlog.Hash, newer, older Checkpoint) error {
	if err := checkConsistency(proof, newer, older); err != nil {
		return fmt.Errorf("checking that size %d continues size %d: %w", newer.Size, older.Size, err)
	}
	return nil
}

func checkConsistency(proof []tlog.Hash, newer, older Checkpoint) error {
	switch {
	case newer.Origin != older.Origin:
		return fmt.Errorf("checkpoints of two logs, %q and %q", newer.Origin, older.Origin)
	case older.Size < 0 || newer.Size > MaxTreeSize:
		return malformed("tree sizes %d and %d, 0 to %d allowed", older.Size, newer.Size, int64(MaxTreeSize))
	case newer.Size < older.Size:
		return fmt.Errorf("log shrank")
	case len(proof) > MaxConsistency:
		return malformed("consistency proof of %d hashes, at most %d allowed", len(proof), MaxConsistency)
	case older.Size == 0 && older.Root != emptyRoot, newer.Size == 0 && newer.Root != emptyRoot:
		return malformed("empty tree with the root of another")
	case older.Size == newer.Size && newer.Root != older.Root:
		return fmt.Errorf("two trees of one size: roots %v and %v", newer.Root, older.Root)
	case older.Size == 0 || older.Size == newer.Size:
		if len(proof) != 0 {
			return malformed("consistency proof of %d hashes where none is needed", len(proof))
		}
		return nil
	}
	return tlog.CheckTree(proof, newer.Size, newer.Root, older.Size, older.Root)
}
