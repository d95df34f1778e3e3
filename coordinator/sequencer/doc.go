// Package sequencer brings log entries from the outbox into the evidence log's
// tree and publishes signed checkpoints of it (design §2.6, C2SP tlog-tiles),
// cosigned by the policy's witnesses if it names any (C2SP tlog-witness).
//
// Writers of entries never wait for the tree: they put a row into the outbox in
// the transaction of whatever the entry is about. Any replica then integrates a
// batch: it holds the log's state row, gives the leaves their indexes, computes
// the hashes and tiles that change, and moves the state on, all in one
// transaction. Of two replicas one waits or loses, and then finds other work.
//
// Signing comes strictly after that commit, and signs the row that is committed,
// read anew. A transaction that was rolled back, or lost against another one,
// can so never lead to a signature, and a crash between commit and publication
// only leaves a tree for the next one to sign: two replicas that sign the same
// tree make the same bytes. A tree is signed only if it provably extends the
// last one that was; if it does not, the sequencer stops with
// [coordinator.ErrForked] and a person has to look.
//
// # Witnesses
//
// A signed checkpoint goes to all witnesses at once, and is stored, and so seen
// by anybody else, only with the cosignatures of a quorum. What follows from it
// follows then: decisions are logged, or expire if the witnesses saw them too
// late. Each witness has a time-out and a back-off of its own, so that the
// others never wait for one that is away, and none of what one says is believed
// unless it is signed.
//
// The witnesses are also the memory that a restored database lacks. Before a
// process signs for the first time, and after every fault of the database, it
// asks them how large the log was; so many must know of nothing larger that one
// of them was in every quorum there was. One that contradicts is set aside, and
// the log goes on with the others; unless it shows a checkpoint with our
// signature that the database does not continue, or without it and those like
// it there is no quorum: then the log is forked.
//
//	s, err := sequencer.Open(sequencer.Config{Store: writer, Key: logKey, Trust: chain, Witnesses: endpoints})
//	go s.Run(ctx)
//	proof, err := s.Proof(ctx, index, version) // under the first checkpoint that version's readers accept
package sequencer
