// Package promise keeps the signer to its word: over some bytes there is one
// signature by a certificate, ever (design §6, invariant 3).
//
// What a signature says, its time and its notations, follows from the decision
// that it names. Which decision that is the log tells, but the log is written by
// somebody else: a coordinator that keeps the news of a signature from the log
// could have the same bytes decided on once more, and signed with another time. So
// the signer promises, to itself and durably, before it asks the device:
//
//	these bytes, by this certificate, name this decision
//
// and whenever it is asked about the same bytes again it keeps that promise, or
// signs nothing:
//
//	book, err := promise.Open(promise.Config{Directory: state, Log: log})
//	…
//	d, given := book.Given(certificate, sha512) // what was promised before
//	…
//	if err := book.Give(certificate, promises); err != nil { … } // no signature
//
// The log is the authority on what is lawful, the book on what is the same: a
// promise permits nothing.
//
// # The file
//
// The directory holds an append-only file, promises.jsonl, in which each line is
// what one or several requests promised together, with a sum over it and all lines
// before. One write and one sync make a line, before any of its promises is acted
// on. So a crash can tear the last line alone, and what it held was not acted on: it
// is cut off. Any other damage is an error, for nobody can say what was promised
// there. Only one process may use the file.
//
// A used signer's file that is gone is not made anew: a person has to, by making an
// empty one. An older copy of the file has forgotten promises, and nothing in it
// tells. It must never be put in the place of a newer one.
package promise
