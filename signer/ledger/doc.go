// Package ledger is the signer's memory: what the evidence log says, kept in
// step with the log and verified from the first entry on (design §1, "the log is
// the signer's memory").
//
// A [Ledger] reads entries through a [Reader], whoever that is, and believes
// what a signed and sufficiently witnessed checkpoint covers. Before anybody is
// told what it knows, size and root are on disk, so that it can never be shown a
// shorter or another log again:
//
//	l, err := ledger.Open(ledger.Config{Directory: dir, Trust: pinned, Reader: ledger.OverBus(conn), …})
//	go l.Run(ctx)
//	…
//	if err := l.CatchUp(ctx, nil); err != nil { … } // what was published before now is known
//	err = l.View(func(v ledger.View) error { … })
//
// # The file
//
// The directory holds an append-only file with one line per entry, what it
// means ([translog.Fact]), and one per checkpoint that the lines before it were
// verified under. A start reads it and verifies the rest from there on. What
// follows the last checkpoint, torn by a crash, is cut off. The file may be
// deleted: then the log is read again from its first entry, and what is lost is
// the memory of how far the log had come.
//
// Whoever can write the file can have the signer believe what he likes: it
// belongs to the signer as its keys do.
//
// # When it halts
//
// Two histories signed by the log's key halt the ledger for good: both
// checkpoints are written beside the file, and nothing goes on until a person has
// looked and removed them ([ErrForked]). An envelope that is not served
// ([ErrMissingBody]), a log that has become shorter ([ErrShrunk]) or a
// checkpoint that too few witnesses cosigned ([ErrUnwitnessed]) halt it until that
// changes. Metrics tell which.
package ledger
