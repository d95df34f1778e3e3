// Package sequencer brings log entries from the outbox into the evidence log's
// tree and publishes signed checkpoints of it (design §2.6, C2SP tlog-tiles).
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
//	s, err := sequencer.New(writer, logKey, logger)
//	go s.Run(ctx)
//	proof, err := s.Proof(ctx, index) // under the newest checkpoint
package sequencer
