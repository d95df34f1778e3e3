// Package translog speaks the formats of the evidence log (design §3 "Log"):
// leaves, checkpoints, inclusion proofs and tile paths. It is a thin layer over
// golang.org/x/mod/sumdb/note and tlog, which do the mathematics, and follows
// the C2SP specifications signed-note, tlog-checkpoint, tlog-tiles and
// tlog-proof, and for witnesses tlog-cosignature, tlog-witness and tlog-policy, so
// that anybody's tools can read, mirror and witness the log.
//
// # From a statement to a proof
//
// A statement signed with ECDSA P-256 is logged as the leaf that [Leaf] makes
// of it. Whoever holds the statement makes the leaf again and so needs nothing
// from the log but a proof: which place, which hashes, which checkpoint.
//
//	leaf, err := translog.Leaf(envelope, statementKey)
//	…
//	checkpoint, err := proof.Verify(leaf, logKey)
//
// The leaf is to the byte what stock cosign computes from the same statement
// (docs/spec/log.md). ECDSA signatures are not unique, but a log holds one of
// them: a statement is signed once, kept, and never signed again.
//
// # What a checkpoint proves
//
// A checkpoint proves that the log's key signed a tree of that size and root. It does
// not prove that everybody sees the same tree; witnesses do, and their
// cosignatures stand as further signature lines below the log's own. Lines of
// unknown keys are skipped, as signed-note demands.
//
// A witness remembers the largest tree of a log that it cosigned and cosigns
// only what provably continues it ([CheckConsistency]). Its cosignature carries
// the time, which no party of the signing cycle can choose: [Witnesses.Time],
// the moment by which a quorum of witnesses had cosigned, is the cycle's time.
//
//	_, err := translog.OpenCheckpoint(signed, logKey)
//	…
//	at, by, err := witnesses.Time(signed)
//
// # What the entries say
//
// A [Follower] reads a log from its first entry on and knows what it says: what
// was opened, decided and withdrawn, which file name has which content, which
// policies are in force. It starts with a pinned policy and believes what follows
// from it; what does not is named and changes nothing.
//
//	f := translog.NewFollower(pinned)
//	facts, err := f.Append(entries)
//	…
//	err = f.Advance(checkpoint)
//	release, known := f.Release(id)
//
// The package is pure: bytes in, values out.
package translog
